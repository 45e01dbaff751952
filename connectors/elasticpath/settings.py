"""What an operator sets for an Elastic Path store, as the marketplace or as a channel."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

from connectors.addresses import safe_base_url
from connectors.registry import ASKED

EUROPE = "https://euwest.api.elasticpath.com"

# Nothing that JSON writes in more than one way, so that a secret can be found, and masked, in a body that repeats it.
_SECRET = re.compile(r"[A-Za-z0-9._~-]{16,128}")


class ElasticPathAccount(BaseModel):
    """One store, reached with one application key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: str = Field(min_length=1, description="Client id of an application key of the store.")
    client_secret: SecretStr = Field(min_length=1, description="Its client secret.")
    base_url: str = Field(
        default=EUROPE,
        description="Host of the store's region, e.g. `https://useast.api.elasticpath.com`; http on this machine only.",
    )
    environment: Literal["production", "development"] = Field(
        default="production", description="The kind of store: 100 requests a second, or 25."
    )

    @field_validator("base_url")
    @classmethod
    def _safe_address(cls, value: str) -> str:
        return safe_base_url(value)


class ElasticPathMarketplaceSettings(ElasticPathAccount):
    """The store whose stock is kept true."""

    inventory: Literal["basic", "multi_location"] = Field(
        default="basic", description="Which flavour of the inventory API the store's stock is kept in."
    )
    location: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="Slug of the location whose stock counts; none for multi-location stock without locations.",
    )
    close_by_status: bool = Field(
        default=False,
        description="Whether a sold-out product is set to `draft` and back to `live`. Shoppers see either only once a"
        " catalogue is published, which is not done for you.",
    )
    sole_writer: bool = Field(
        default=False,
        description="Whether every increment and decrement in this store is made by trueup: no person in Commerce"
        " Manager, no other program. Then a write whose answer was lost is settled by the store's own history.",
    )

    @model_validator(mode="after")
    def _location_needs_its_flavour(self) -> ElasticPathMarketplaceSettings:
        if self.location is not None and self.inventory == "basic":
            raise ValueError('location needs inventory = "multi_location"')
        return self


class ElasticPathChannelSettings(ElasticPathAccount):
    """A store whose sales are taken."""

    refunded: Literal["ask", "kept", "returned"] = Field(
        default="ask",
        description="What became of the units of an order refunded in full, which the store does not say: ask a"
        " person each time, they are gone, or they are for sale again.",
        json_schema_extra={ASKED: "Elastic Path refunds money only. Are the units of a refunded order for sale again"},
    )
    exclude_external_refs: tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)], ...] = Field(
        default=(),
        description="Orders whose external_ref starts with one of these do not count.",
        json_schema_extra={ASKED: "If orders of the marketplace are mirrored into this store: what they are known by"},
    )
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secrets a delivery may carry, several while one is replaced; the first is registered."
        " 16 to 128 letters, digits or . _ ~ -.",
    )

    @field_validator("webhook_secrets")
    @classmethod
    def _usable(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(_SECRET.fullmatch(secret.get_secret_value()) for secret in secrets):
            raise ValueError("each must be 16 to 128 letters, digits or . _ ~ -")
        return secrets
