"""Every setting, typed, with its default and its unit.

A section of the configuration file is one model here. Each field carries a description: it is what a problem with that
key prints as its remedy, and `trueup.example.toml` documents the same keys. Objects are frozen; secrets are `SecretStr`
and never appear in `repr`, JSON or errors. To read a configuration, call `config.loading.load`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    PositiveInt,
    PrivateAttr,
    SecretStr,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from config.alerts import AlertSettings
from config.origins import Origin
from config.section import Interval, Seconds, Section

CHANNEL_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
"""A channel's name is part of a URL path, of log lines and of metric labels."""


class SecretUrl(SecretStr):
    """An address that may hold a password. Without one it may stand in the file as it is."""

    @property
    def harmless(self) -> bool:
        """Whether there is no password in it, neither before the host nor among its parameters."""
        try:
            parts = urlsplit(self.get_secret_value())
        except ValueError:
            return False
        return parts.password is None and not any("password" in name.lower() for name in parse_qs(parts.query))


def _database(url: SecretUrl) -> SecretUrl:
    text = url.get_secret_value()
    if text.startswith(("postgres://", "postgresql://")):
        message = "must name the driver: postgresql+psycopg://…"
        raise ValueError(message)
    if not text.startswith(("sqlite:///", "postgresql+psycopg://")):
        message = "must begin with sqlite:/// or postgresql+psycopg://"
        raise ValueError(message)
    return url


def _broker(url: SecretUrl) -> SecretUrl:
    if not url.get_secret_value().startswith(("memory://", "redis://", "rediss://", "amqp://", "amqps://")):
        message = "must begin with memory://, redis://, rediss://, amqp:// or amqps://"
        raise ValueError(message)
    return url


def _redis(url: SecretUrl) -> SecretUrl:
    if not is_redis(url):
        message = "must begin with redis:// or rediss://"
        raise ValueError(message)
    return url


def _public(url: str) -> str:
    if url and not url.startswith(("https://", "http://")):
        message = "must begin with https:// (or http:// while trying things out)"
        raise ValueError(message)
    return url.rstrip("/")


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def is_redis(url: SecretUrl) -> bool:
    """Whether this address is a Redis server's."""
    return url.get_secret_value().startswith(("redis://", "rediss://"))


DatabaseUrl = Annotated[SecretUrl, AfterValidator(_database)]
BrokerUrl = Annotated[SecretUrl, AfterValidator(_broker)]
RedisUrl = Annotated[SecretUrl, AfterValidator(_redis)]
Moment = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class DatabaseSettings(Section):
    """Where the truth is kept."""

    url: DatabaseUrl = Field(
        SecretUrl("sqlite:///trueup.db"),
        description="SQLAlchemy URL: sqlite:///FILE, or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE",
    )
    pool_size: PositiveInt = Field(10, description="connections one process keeps open (PostgreSQL)")


class BrokerSettings(Section):
    """The doorbell, and where processes share their rate budgets."""

    url: BrokerUrl = Field(
        SecretUrl("memory://"), description="Celery broker URL: memory:// (one process), redis://…, or amqp://…"
    )
    budgets_url: RedisUrl | None = Field(
        None, description="Redis URL for rate budgets shared by all processes; broker.url when that is Redis"
    )

    @property
    def shared_budgets_url(self) -> SecretUrl | None:
        """The Redis that holds the shared rate budgets; None means that each process keeps its own."""
        if self.budgets_url is not None:
            return self.budgets_url
        return self.url if is_redis(self.url) else None


class MarketplaceSettings(Section):
    """The system whose stock we keep true. `options` are the connector's own settings."""

    name: str = Field("marketplace", min_length=1, description="how the console, logs and alerts call it")
    connector: str = Field(description="which connector speaks to it; `trueup connectors` lists them")
    options: SerializeAsAny[BaseModel]


class Unusable(Section):
    """In place of a channel's options: its connector is installed, but broken, so nobody can say what they mean.

    The channel stands still and says why; the others go on. A marketplace cannot stand still: there it is a problem of
    the configuration.
    """

    reason: str


class ChannelSettings(Section):
    """One account on an external system where sales happen. `options` are the connector's own settings."""

    name: str = Field(pattern=CHANNEL_NAME)
    connector: str = Field(description="which connector speaks to it; `trueup connectors` lists them")
    seller: str = Field("", description="the marketplace's id of the seller whose listings this channel may move")
    any_seller: bool = Field(False, description="true lets this channel's links reach listings of every seller")
    counted_from: Moment | None = Field(
        None, description="orders placed earlier never count; a date with time and offset, e.g. 2026-11-01T00:00:00Z"
    )
    poll_seconds: Interval = Field(300, description="seconds between two polls; schedule.poll_seconds when absent")
    paused: bool = Field(False, description="true takes sales in but writes nothing for them")
    options: SerializeAsAny[BaseModel]

    @field_validator("any_seller")
    @classmethod
    def _one_seller_or_all(cls, any_seller: bool, fields: ValidationInfo) -> bool:
        if "seller" in fields.data and bool(fields.data["seller"]) == any_seller:
            message = "set either seller to the marketplace's seller id, or any_seller to true, and not both"
            raise ValueError(message)
        return any_seller


class PolicySettings(Section):
    """How patient and how thorough to be."""

    settle_after_seconds: Seconds = Field(
        60, description="seconds before a write whose answer was lost may be found absent"
    )
    close_after_seconds: Seconds = Field(
        1200, description="seconds at zero without interruption before a listing closes"
    )
    close_scope: Literal["all", "linked"] = Field("all", description='"all" listings, or only "linked" ones')
    close_listings: bool = Field(True, description="whether to close listings that reach zero at all")
    park_orders_older_than_days: PositiveInt = Field(
        60, description="days; an order first seen later than this after it was placed is parked, not booked"
    )
    raw_kept_days: PositiveInt = Field(7, description="days to keep a delivery body that could not be read")
    deliveries_kept_days: PositiveInt = Field(30, description="days to keep handled deliveries")
    anomalies_kept_days: PositiveInt = Field(
        365, description="days to keep resolved anomalies, and the messages sent about anomalies"
    )
    details_kept_days: PositiveInt = Field(
        365, description="days to keep what only explains an order, a write or an adjustment"
    )
    lease_seconds: Interval = Field(60, description="seconds a process has a listing or an order for itself")
    reservations_pending_hours: Interval = Field(
        24, description="hours after which a marketplace's reservation that is still pending is told"
    )
    batch_listings: PositiveInt = Field(32, description="due listings a process takes at a time")
    write_attempts: PositiveInt = Field(5, description="compare-and-sets in one pass before the listing waits its turn")
    confirm_new_channels: bool = Field(
        True, description="a new channel first shows its plan and writes nothing until `trueup holds lift`"
    )
    large_plan_listings: PositiveInt = Field(
        500, description="listings; a channel that would change so many at once, not by trade, is held until confirmed"
    )
    large_plan_share: float = Field(
        0.5, gt=0, le=1, description="the same as a share of the listings the channel is linked to, from 20 listings on"
    )


class ScheduleSettings(Section):
    """What rings when. Calls to vendors at rest come from here alone."""

    feed_seconds: Interval = Field(60, description="seconds between two readings of the marketplace's change feed")
    poll_seconds: Interval = Field(300, description="seconds between two polls of a channel")
    recent_seconds: Interval = Field(3600, description="seconds between two looks for orders the channel indexed late")
    daily_pass_hours: Interval = Field(24, description="hours between two passes over the last 48 h of orders")
    sweep_seconds: Interval | None = Field(
        None,
        description="seconds between two full sweeps of the marketplace's listings; when absent a day behind a change"
        " feed, without one ten times as long as a sweep takes, from five minutes to a day",
    )
    upkeep_seconds: Interval = Field(60, description="seconds between two rounds of closing, opening and clearing up")
    reconcile_seconds: Interval = Field(10, description="seconds between two looks for due listings nobody rang for")
    intake_seconds: Interval = Field(10, description="seconds between two looks for deliveries nobody rang for")
    alerts_seconds: Interval = Field(30, description="seconds between two looks for alerts to send")
    audit_seconds: Interval = Field(
        86_400, description="seconds between two audits, which prove every number that may have moved since the last"
    )
    subscriptions_seconds: Interval = Field(3600, description="seconds between two checks of webhook registrations")


class WebSettings(Section):
    """The receiver, health and metrics."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    public_url: Annotated[str, AfterValidator(_public)] = Field(
        "", description="the address under which vendors reach this receiver, e.g. https://stock.example.com"
    )
    max_body_bytes: PositiveInt = Field(4_194_304, description="bytes; a larger delivery is refused and rings a poll")
    metrics: bool = Field(True, description="whether /metrics is served")


class ConsoleSettings(Section):
    """The pages for operators, on a port of their own: who reaches the receiver reaches nothing of them."""

    enabled: bool = Field(True, description="whether `trueup run` and `trueup web` serve the console")
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8090, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    proxies: tuple[str, ...] = Field(
        ("127.0.0.1", "::1"),
        description="addresses or networks of the proxies whose X-Forwarded-For and X-Forwarded-Proto are believed",
    )
    session_idle_minutes: Interval = Field(60, description="minutes without use after which a sign-in ends")
    session_hours: Interval = Field(12, description="hours after which a sign-in ends in any case")


class WorkerSettings(Section):
    """How much one worker process does at a time."""

    threads: PositiveInt = Field(8, description="tasks one process runs at once")
    in_flight: PositiveInt = Field(10, description="vendor calls one process has open at once")
    channels: PositiveInt = Field(16, description="channels one process visits at once; slow ones stand aside")
    call_seconds: Interval = Field(
        120, description="seconds one call to a vendor may take in all, with its repetitions"
    )
    metrics_host: str = Field("127.0.0.1", min_length=1, description="address where a worker's own /metrics is served")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="port of `trueup worker` for its own /metrics; 0 takes a free one"
    )


class TracingSettings(Section):
    """Traces by OpenTelemetry; where they go, the standard variables say, such as OTEL_EXPORTER_OTLP_ENDPOINT."""

    enabled: bool = Field(False, description="whether each sale is traced from webhook to marketplace call")
    service: str = Field("trueup", min_length=1, description="the service's name in the traces")


class LogSettings(Section):
    """What is logged, and for whom."""

    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="the least level that is logged"
    )
    format: Literal["auto", "console", "json"] = Field(
        "auto", description='"console" for people, "json" for machines, "auto" decides by whether this is a terminal'
    )


class Settings(BaseSettings):
    """The whole configuration, valid."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=True,
        env_prefix="TRUEUP_",
        env_nested_delimiter="__",
    )

    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    marketplace: MarketplaceSettings
    channels: dict[Annotated[str, Field(pattern=CHANNEL_NAME)], ChannelSettings] = {}
    policy: PolicySettings = PolicySettings()
    schedule: ScheduleSettings = ScheduleSettings()
    web: WebSettings = WebSettings()
    console: ConsoleSettings = ConsoleSettings()
    worker: WorkerSettings = WorkerSettings()
    alerts: AlertSettings = AlertSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()

    _origins: Mapping[str, Origin] | None = PrivateAttr(None)

    @property
    def origins(self) -> Mapping[str, Origin] | None:
        """Where the values come from that are no defaults, by dotted key; None where that was not told."""
        return self._origins

    def come_from(self, origins: Mapping[str, Origin]) -> None:
        """Tell where the values come from: for whoever reads them for us."""
        self._origins = origins

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Constructing settings reads nothing: file and environment are `config.loading`'s, which is handed both."""
        return (init_settings,)

    def secrets(self) -> frozenset[str]:
        """Every secret value in here, for the log's redaction. Never print what this returns."""
        return frozenset(secrets_of(self))


def secrets_of(value: object) -> set[str]:
    """All secret values anywhere within a model, list or mapping, and the passwords within secret addresses."""
    match value:
        case SecretUrl() if value.harmless:
            parts: list[object] = []
        case SecretStr():
            text = value.get_secret_value()
            return {text, _password(text)} - {""}
        case BaseModel():
            parts = [field for _, field in value]
        case dict():
            parts = list(value.values())
        case list() | tuple() | set() | frozenset():
            parts = list(value)
        case _:
            parts = []
    return {secret for part in parts for secret in secrets_of(part)}


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
