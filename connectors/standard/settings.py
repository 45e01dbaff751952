"""What a user says about one system that sends its orders in our own format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic.config import JsonDict

from connectors.addresses import safe_base_url
from connectors.registry import ASKED
from connectors.signing import key_of

_Words = tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)], ...]

MIRRORED: JsonDict = {
    ASKED: "If orders of the marketplace come with this channel's, they are reserved there already: how to tell them"
}


class StandardSettings(BaseModel):
    """One system: what its messages are signed with, and where its orders can be read besides, if anywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secrets a message may be signed with (`whsec_…`), several while one is replaced. Without any, no "
        "message is taken.",
    )
    orders_url: str | None = Field(
        default=None,
        description="Where changed orders can be read, like `https://shop.example/api/orders`: https, or http on this "
        "machine. Without it, what is not sent is not known.",
    )
    orders_token: SecretStr | None = Field(default=None, description="The bearer token that `orders_url` asks for.")
    orders_directory: Path | None = Field(
        default=None, description="A directory, as an absolute path, whose files of orders are read as they arrive."
    )
    file_rest_seconds: float = Field(
        default=30.0, ge=0, description="How long a file there must have stayed as it is before it is read."
    )
    time_zone: str | None = Field(
        default=None, description="The time zone of CSV files that name no offset, like `Europe/Berlin`."
    )
    ordered_by: Literal["version", "updated_at"] = Field(
        default="version", description="Which field tells the newer of two states of an order."
    )
    page_size: int = Field(default=100, ge=1, le=1000, description="Orders read in one call, or at once from a file.")
    exclude_sources: _Words = Field(
        default=(), description="Orders of one of these sources do not count.", json_schema_extra=MIRRORED
    )

    @field_validator("webhook_secrets")
    @classmethod
    def _well_formed(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in secrets:
            key_of(secret)
        return secrets

    @field_validator("orders_url")
    @classmethod
    def _safe_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        url = safe_base_url(url.strip())
        if not urlsplit(url).path.strip("/"):
            raise ValueError("must name the place of the orders there, like https://shop.example/api/orders")
        return url

    @field_validator("orders_token")
    @classmethod
    def _sendable(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not (token.get_secret_value().isascii() and token.get_secret_value().isprintable()):
            raise ValueError("holds characters that no header can carry; was the whole of it copied?")
        return token

    @field_validator("orders_directory")
    @classmethod
    def _absolute(cls, directory: Path | None) -> Path | None:
        if directory is not None and not directory.is_absolute():
            raise ValueError("must be an absolute path: services are started from anywhere")
        return directory

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        try:
            return name and ZoneInfo(name).key
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("must be the name of a time zone, like Europe/Berlin") from error

    @model_validator(mode="after")
    def _one_source(self) -> StandardSettings:
        if self.orders_url and self.orders_directory:
            raise ValueError("set orders_url or orders_directory, not both: make two channels of it")
        return self

    @property
    def keys(self) -> tuple[bytes, ...]:
        """What messages may be signed with."""
        return tuple(key_of(secret) for secret in self.webhook_secrets)
