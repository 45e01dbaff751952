"""Who is told of what: the configured destinations, each with the severities, kinds and hours that are its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from config.alerts import AlertSettings, DestinationSettings
from config.problems import ConfigurationError, Problem, meant
from connectors.clock import Clock
from worker.alerts.anomalies import Kind
from worker.alerts.carrying import Carrier
from worker.alerts.destinations import Address
from worker.alerts.times import Times
from worker.alerts.webhook import Webhook
from worker.store.tables import Severity


@dataclass(frozen=True, slots=True)
class Destination:
    """Somebody, or something, that is told of anomalies."""

    name: str
    carrier: Carrier
    times: Times = field(default_factory=Times)
    severities: frozenset[Severity] = frozenset(Severity)
    kinds: frozenset[str] = frozenset(Kind)

    @property
    def told_of(self) -> str:
        """For people: which severities and kinds."""
        left_out = sorted(frozenset(Kind) - self.kinds)
        severities = ", ".join(severity.value for severity in reversed(Severity) if severity in self.severities)
        if not left_out:
            return severities
        return f"{severities}: " + (
            f"all but {', '.join(left_out)}" if len(left_out) <= len(self.kinds) else ", ".join(sorted(self.kinds))
        )

    def wants(self, kind: str, severity: Severity, detail: Mapping[str, Any]) -> bool:
        """Whether an anomaly is told there.

        That alerts do not reach a destination is told to every other one, and never to itself: it would be a message
        about messages, for ever.
        """
        if kind == Kind.ALERTS_NOT_TAKEN:
            return detail.get("destination") != self.name
        # A kind that only a newer version knows is told wherever nobody chose among kinds.
        known = kind in self.kinds if kind in list(Kind) else self.kinds == frozenset(Kind)
        return known and severity in self.severities


def destinations_of(settings: AlertSettings, clock: Clock) -> Sequence[Destination]:
    """Those of `urls`, by their place, then the named ones. Raises `ConfigurationError` for kinds that do not exist."""
    if problems := list(_unknown_kinds(settings)):
        raise ConfigurationError(problems, source="that was read")
    usual = Times(
        zone=ZoneInfo(settings.time_zone),
        group=timedelta(seconds=settings.group_seconds),
        remind=_remind(settings.remind_hours),
    )
    addresses = [(place, Address(url)) for place, url in enumerate(settings.urls, start=1)]
    by_place = [
        Destination(f"{place} ({address.kind})" if address.kind else str(place), address, usual)
        for place, address in addresses
    ]
    return [*by_place, *(_destination(name, own, settings, clock) for name, own in settings.destinations.items())]


def _destination(name: str, own: DestinationSettings, shared: AlertSettings, clock: Clock) -> Destination:
    usual_group = shared.group_seconds if own.webhook is None else 0
    return Destination(
        name,
        _carrier(own, clock),
        Times(
            zone=ZoneInfo(own.time_zone or shared.time_zone),
            group=timedelta(seconds=usual_group if own.group_seconds is None else own.group_seconds),
            remind=_remind(shared.remind_hours if own.remind_hours is None else own.remind_hours),
            quiet=own.quiet_hours,
            passes=frozenset(map(Severity, own.quiet_passes)),
            digest_at=own.digest_at,
            digested=frozenset(map(Severity, own.digest_severities)),
        ),
        severities=frozenset(map(Severity, own.severities)),
        kinds=frozenset(own.kinds or Kind) - frozenset(own.except_kinds),
    )


def _carrier(own: DestinationSettings, clock: Clock) -> Carrier:
    if own.webhook is not None:
        return Webhook(own.webhook, own.webhook_secrets, clock)
    assert own.url is not None  # noqa: S101  the settings allow no destination without either
    return Address(own.url)


def _remind(hours: float) -> timedelta | None:
    return timedelta(hours=hours) if hours else None


def _unknown_kinds(settings: AlertSettings) -> Iterator[Problem]:
    for name, own in settings.destinations.items():
        for key in ("kinds", "except_kinds"):
            for place, kind in enumerate(getattr(own, key)):
                if kind not in list(Kind):
                    where = f"alerts.destinations.{name}.{key}.{place}"
                    yield Problem(where, f"{kind!r} is no kind of anomaly", meant(kind, list(Kind)))
