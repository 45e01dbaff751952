"""What a user says about one Shopify shop."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic.config import JsonDict

from connectors.addresses import safe_base_url
from connectors.registry import ASKED

Topic = Literal[
    "orders/create",
    "orders/updated",
    "orders/edited",
    "orders/cancelled",
    "orders/delete",
    "refunds/create",
    "app/uninstalled",
]
"""A webhook topic as the vendor writes it in the `X-Shopify-Topic` header."""

TOPICS: tuple[Topic, ...] = get_args(Topic)

# The check the vendor's own library makes. A shop that passes it cannot turn a URL built from it to another host.
_SHOP = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-]*\.myshopify\.com")

_Words = tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)], ...]

MIRRORED: JsonDict = {
    ASKED: "If orders of the marketplace are mirrored into this shop, they are reserved there already: how to tell them"
}


class ShopifySettings(BaseModel):
    """One shop: where it is, how to get in, and which of its orders count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shop: str = Field(description="The shop's permanent domain, `name.myshopify.com`.")
    base_url: str | None = Field(
        default=None,
        description="Where to call instead of the shop's own domain: https, or http on this machine. For sandboxes.",
    )
    access_token: SecretStr | None = Field(
        default=None, description="A token that does not expire (`shpat_…`), of a custom app made in the shop's admin."
    )
    client_id: str | None = Field(
        default=None, description="The app's client id, for an app of the organisation that owns the shop."
    )
    client_secret: SecretStr | None = Field(
        default=None, description="The app's client secret: signs in together with `client_id`, and signs webhooks."
    )
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secrets a delivery may be signed with, several while one is replaced. Default: the client secret.",
    )
    api_version: str = Field(
        default="2026-10",
        pattern=r"^20\d\d-(01|04|07|10)$",
        description="The version of the Admin API to ask for.",
    )
    page_size: int = Field(
        default=25, ge=1, le=50, description="Most orders read in one call; fewer when orders have many lines."
    )
    exclude_sources: _Words = Field(
        default=(),
        description="Orders with one of these source names (`web`, `pos`, …) do not count.",
        json_schema_extra=MIRRORED,
    )
    exclude_apps: tuple[Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,18}$")], ...] = Field(
        default=(),
        description="Orders made by one of these apps, by numeric app id, do not count.",
        json_schema_extra=MIRRORED,
    )
    exclude_tags: _Words = Field(
        default=(), description="Orders with one of these tags do not count.", json_schema_extra=MIRRORED
    )
    exclude_tests: bool = Field(default=True, description="Whether orders of the test payment provider do not count.")
    removed_units_return: bool = Field(
        default=True,
        description="Whether units taken off an order by an edit are for sale again: the shop does not tell.",
    )
    include_topics: tuple[Topic, ...] = Field(
        default=TOPICS, min_length=1, description="The webhook topics to register for."
    )

    @field_validator("shop")
    @classmethod
    def _permanent_domain(cls, shop: str) -> str:
        if not _SHOP.fullmatch(shop):
            message = "must be the shop's permanent domain, like your-shop.myshopify.com, without https:// or a path"
            raise ValueError(message)
        return shop.lower()

    @field_validator("base_url")
    @classmethod
    def _safe_address(cls, base_url: str | None) -> str | None:
        return None if base_url is None else safe_base_url(base_url)

    @field_validator("access_token", "client_secret")
    @classmethod
    def _sendable(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not re.fullmatch(r"[\x21-\x7e]+", secret.get_secret_value()):
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
    def _one_way_in(self) -> ShopifySettings:
        if self.access_token is not None and self.client_id is not None:
            raise ValueError("give either access_token, or client_id with client_secret, not both")
        if self.access_token is None and (self.client_id is None or self.client_secret is None):
            message = "give access_token, or client_id with client_secret: without one of them the shop cannot be read"
            raise ValueError(message)
        return self

    @property
    def address(self) -> str:
        """The URL every call goes below, without a slash at its end."""
        return self.base_url or f"https://{self.shop}"

    @property
    def signing_secrets(self) -> tuple[SecretStr, ...]:
        """What a delivery may be signed with. Empty: no delivery can be verified, and the channel lives by polling."""
        if self.webhook_secrets or self.client_secret is None:
            return self.webhook_secrets
        return (self.client_secret,)
