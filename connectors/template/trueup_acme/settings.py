"""What the user says about one Acme account."""

from __future__ import annotations

from connectors.addresses import safe_base_url
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class AcmeSettings(BaseModel):
    """One account. `trueup init` asks for every field that has no default, with its description.

    Secrets are `SecretStr`: then they are read from `env:` and `file:` alone, and shown nowhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: SecretStr = Field(min_length=8, description="The account's API key.")
    # new: channel
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(), description="What webhooks are signed with, several while one is replaced. None: polling alone."
    )
    # new: end
    page_size: int = Field(default=100, ge=1, description="How much is read in one call.")
    base_url: str = Field(default="https://acme.example", description="Another address, for a sandbox.")

    @field_validator("base_url")
    @classmethod
    def _safe_address(cls, base_url: str) -> str:
        return safe_base_url(base_url)
