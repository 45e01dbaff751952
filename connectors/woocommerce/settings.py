"""What a user says about one WooCommerce shop."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic.config import JsonDict

from connectors.addresses import safe_base_url
from connectors.registry import ASKED

Topic = Literal["order.created", "order.updated", "order.deleted", "order.restored"]
"""A webhook topic. There is none for refunds: they come as `order.updated`."""

TOPICS: tuple[Topic, ...] = get_args(Topic)

_Words = tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)], ...]
_Statuses = tuple[
    Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[a-z0-9_-]{1,40}$")], ...
]

MIRRORED: JsonDict = {
    ASKED: "If orders of the marketplace are mirrored into this shop, they are reserved there already: how to tell them"
}


class WooCommerceSettings(BaseModel):
    """One shop: where it is, how to get in, and which of its orders count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str = Field(
        description="The shop's home address, with its folder where it has one, like `https://example.com/shop`."
    )
    base_url: str | None = Field(
        default=None,
        description="Where to call instead of the shop's own address: https, or http on this machine. For sandboxes.",
    )
    consumer_key: SecretStr = Field(description="A REST API key of the shop (`ck_…`); read access is enough to poll.")
    consumer_secret: SecretStr = Field(description="The secret that belongs to the key (`cs_…`).")
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secrets a delivery may be signed with, several while one is replaced; webhooks are registered "
        "with the first. Of your own choice.",
    )
    page_size: int = Field(default=50, ge=2, le=100, description="Orders read in one call.")
    calls_at_once: int = Field(
        default=2, ge=1, le=8, description="Calls under way at once: the vendor sets no limit, small hosts do."
    )
    use_reduced_stock: bool = Field(
        default=True,
        description="Whether the shop's own account of a line's units (`_reduced_stock`) counts where it is shown.",
    )
    committing_statuses: _Statuses = Field(
        default=("processing", "completed", "on-hold"),
        description="Statuses in which an order takes its units, where the shop keeps no account of them.",
    )
    releasing_statuses: _Statuses = Field(
        default=("pending", "checkout-draft", "auto-draft", "cancelled", "refunded", "failed", "trash"),
        description="Statuses in which it takes none. An order in a status of neither list waits for a person.",
    )
    refunded_units_return: bool = Field(
        default=True,
        description="Whether units a refund names are for sale again, where the shop keeps no account of them.",
    )
    exclude_created_via: _Words = Field(
        default=(),
        description="Orders made in one of these ways (`rest-api`, …) do not count.",
        json_schema_extra=MIRRORED,
    )
    exclude_meta_keys: _Words = Field(
        default=(),
        description="Orders that carry one of these meta keys do not count, whatever its value.",
        json_schema_extra=MIRRORED,
    )
    include_topics: tuple[Topic, ...] = Field(
        default=TOPICS, min_length=1, description="The webhook topics to register for."
    )

    @field_validator("site")
    @classmethod
    def _home_address(cls, site: str) -> str:
        site = safe_base_url(site.strip())
        if re.search(r"/wp-(json|admin)(/|$)", site):
            raise ValueError("must be the shop's home address, without /wp-json or /wp-admin at its end")
        return site

    @field_validator("base_url")
    @classmethod
    def _safe_address(cls, base_url: str | None) -> str | None:
        return None if base_url is None else safe_base_url(base_url)

    @field_validator("consumer_key", "consumer_secret")
    @classmethod
    def _sendable(cls, secret: SecretStr) -> SecretStr:
        # A colon would end the user's name in HTTP's basic authentication.
        if not re.fullmatch(r"[\x21-\x39\x3b-\x7e]+", secret.get_secret_value()):
            message = "is empty or holds characters that no secret of this vendor has; was the whole of it copied?"
            raise ValueError(message)
        return secret

    @field_validator("webhook_secrets")
    @classmethod
    def _not_empty(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        # An empty key would let anybody sign.
        if not all(secret.get_secret_value().strip() for secret in secrets):
            raise ValueError("holds an empty secret")
        return secrets

    @field_validator("include_topics")
    @classmethod
    def _once_each(cls, topics: tuple[Topic, ...]) -> tuple[Topic, ...]:
        return tuple(dict.fromkeys(topics))

    @model_validator(mode="after")
    def _one_meaning(self) -> WooCommerceSettings:
        both = sorted(set(self.committing_statuses) & set(self.releasing_statuses))
        if both:
            message = f"{', '.join(both)} is in committing_statuses and in releasing_statuses; leave it in one"
            raise ValueError(message)
        return self

    @property
    def address(self) -> str:
        """The URL every call goes below, without a slash at its end."""
        return self.base_url or self.site

    @property
    def source(self) -> str:
        """How deliveries name this shop, in the form `source_of` gives."""
        return source_of(self.site)


def source_of(address: str) -> str:
    """A home address without its scheme, in one spelling: sites behind a proxy often do not know their own scheme."""
    try:
        parts = urlsplit(address.strip())
        port = "" if parts.port in (None, 80, 443) else f":{parts.port}"
    except ValueError:
        return ""
    return f"{(parts.hostname or '').lower()}{port}{parts.path.rstrip('/')}"
