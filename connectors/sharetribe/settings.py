"""What an operator sets for a Sharetribe marketplace."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from connectors.addresses import safe_base_url

VENDOR_URL = "https://flex-integ-api.sharetribe.com"


class SharetribeMarketplaceSettings(BaseModel):
    """One marketplace, reached as one Integration application.

    The application must be trueup's alone: changes made under its client id count as trueup's own.
    """

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
    unlimited_from: int = Field(
        default=10**12,
        gt=0,
        le=2**63 - 1,
        description="Totals from here on stand for unlimited stock (storefronts write 10^15) and are never touched.",
    )
    sku_key: str | None = Field(
        default=None,
        pattern=r"^(publicData|privateData|metadata)\..+$",
        description="Where listings keep a SKU, e.g. `metadata.externalSku`; a hint for links, nothing more.",
    )

    @field_validator("base_url")
    @classmethod
    def _safe_address(cls, value: str) -> str:
        return safe_base_url(value)
