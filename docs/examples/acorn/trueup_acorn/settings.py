"""What the user says about one Acorn account."""

from __future__ import annotations

from typing import Annotated

from connectors.addresses import safe_base_url
from connectors.registry import ASKED
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class AcornSettings(BaseModel):
    """One shop, and the credentials of its account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shop: str = Field(pattern=r"^[a-z0-9-]{1,40}$", description="The shop's name, as in `acorn-tills.example/NAME`.")
    api_key: SecretStr = Field(min_length=8, description="The account's API key, with the scope `orders:read`.")
    webhook_secrets: tuple[Annotated[SecretStr, Field(min_length=16)], ...] = Field(
        default=(), description="What webhooks are signed with, several while one is replaced. None: polling alone."
    )
    exclude_sources: tuple[str, ...] = Field(
        default=(),
        description="Orders of one of these sources do not count.",
        json_schema_extra={ASKED: "Orders that come from the marketplace are reserved there: name their sources"},
    )
    page_size: int = Field(default=100, ge=1, le=250, description="Orders read in one call.")
    base_url: str = Field(default="https://api.acorn-tills.example", description="Another address, for a sandbox.")

    @field_validator("base_url")
    @classmethod
    def _safe_address(cls, base_url: str) -> str:
        return safe_base_url(base_url)

    @field_validator("api_key")
    @classmethod
    def _sendable(cls, api_key: SecretStr) -> SecretStr:
        if not (api_key.get_secret_value().isascii() and api_key.get_secret_value().isprintable()):
            raise ValueError("holds characters that no header can carry; was the whole of it copied?")
        return api_key
