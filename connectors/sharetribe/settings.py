"""What an operator sets for a Sharetribe marketplace, as the one whose stock is kept true or as a channel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from connectors.addresses import safe_base_url
from connectors.registry import ASKED

VENDOR_URL = "https://flex-integ-api.sharetribe.com"


_SKU_KEY = r"^(publicData|privateData|metadata)\..+$"


class SharetribeAccount(BaseModel):
    """One marketplace, reached as one Integration application."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: str = Field(
        min_length=1, description="Client id of an Integration application that nothing but trueup uses."
    )
    client_secret: SecretStr = Field(min_length=1, description="Its client secret, shown once when it is created.")
    base_url: str = Field(
        default=VENDOR_URL,
        description="Host of the Integration API, without `/v1`: https, or http on this machine, for sandboxes.",
    )
    environment: Literal["live", "dev"] = Field(
        default="live",
        description="`dev` for dev and test environments: tighter rate limits, events kept 7 days instead of 90.",
    )

    @field_validator("base_url")
    @classmethod
    def _safe_address(cls, value: str) -> str:
        return safe_base_url(value)


class SharetribeMarketplaceSettings(SharetribeAccount):
    """The marketplace whose stock is kept true.

    The application must be trueup's alone: changes made under its client id count as trueup's own.
    """

    unlimited_from: int = Field(
        default=10**12,
        gt=0,
        le=2**63 - 1,
        description="Totals from here on stand for unlimited stock (storefronts write 10^15) and are never touched.",
    )
    sku_key: str | None = Field(
        default=None,
        pattern=_SKU_KEY,
        description="Where listings keep a SKU, e.g. `metadata.externalSku`; a hint for links, nothing more.",
    )


class SharetribeChannelSettings(SharetribeAccount):
    """A marketplace whose sales are taken."""

    sku_key: str | None = Field(
        default=None,
        pattern=_SKU_KEY,
        description="Where listings keep their SKU, e.g. `metadata.externalSku`. A listing without one, and every"
        " listing when this is not set, goes by its id.",
        json_schema_extra={ASKED: "Where do listings keep their SKU (publicData.sku, metadata.sku)? Empty: by id"},
    )
    provider_id: str | None = Field(
        default=None, min_length=1, description="Only what this user sells counts; none for every seller's sales."
    )
    exclude_processes: tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)], ...] = Field(
        default=(),
        description="Transactions of processes with these names do not count.",
        json_schema_extra={
            ASKED: "If orders of your marketplace are mirrored into this one: the transaction process they go through"
        },
    )
