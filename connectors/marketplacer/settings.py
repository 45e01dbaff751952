"""What an operator sets for a Marketplacer site, as the marketplace or as a channel."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from connectors.addresses import safe_base_url
from connectors.registry import ASKED

Identity = Literal["external_id", "sku", "barcode"]
"""By what a variant is known. Its own id is not among them: some operations of the portal replace that."""

Refunded = Literal["ask", "kept", "returned"]

_SENDABLE = re.compile(r"[\x21-\x7e]+")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# Nothing that JSON writes in more than one way, so that a secret can be found, and masked, in a body that repeats it.
_SECRET = re.compile(r"[A-Za-z0-9._~-]{16,128}")


class MarketplacerAccount(BaseModel):
    """One seller's API key on one marketplace site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretStr = Field(description="An API key of the seller, made in the seller portal.")
    base_url: str = Field(
        description="The marketplace's own address, like `https://marketplace.example.com`; http on this machine only."
    )
    basic_user: str | None = Field(
        default=None,
        min_length=1,
        pattern=r"^[^:]+$",
        description="User name, where the site itself asks for HTTP basic authentication, as staging sites do.",
    )
    basic_password: SecretStr | None = Field(default=None, description="The password that belongs to it.")
    identity: Identity = Field(
        default="external_id",
        description="By what variants are known: external_id, sku or barcode. Each must be unique to its variant.",
    )

    @field_validator("base_url")
    @classmethod
    def _safe_address(cls, value: str) -> str:
        address = safe_base_url(value.strip())
        if re.search(r"/(api|graphql)(/|$)", address):
            raise ValueError("must be the marketplace's own address, without /api/v2 or /graphql at its end")
        return address

    @field_validator("api_key")
    @classmethod
    def _sendable(cls, secret: SecretStr) -> SecretStr:
        if not _SENDABLE.fullmatch(secret.get_secret_value()):
            raise ValueError("is empty or holds characters that no API key has; was the whole of it copied?")
        return secret

    @model_validator(mode="after")
    def _user_with_password(self) -> MarketplacerAccount:
        if (self.basic_user is None) != (self.basic_password is None):
            raise ValueError("basic_user and basic_password belong together: set both or neither")
        return self


class MarketplacerMarketplaceSettings(MarketplacerAccount):
    """The site whose stock is kept true, as far as one key reaches."""

    inventory: Literal["variants", "multi_store"] = Field(
        default="variants",
        description="Where stock is kept: in the seller's own variants, or in a multi-store's inventories, one for each"
        " seller of a variant.",
    )
    seller_id: int | None = Field(
        default=None,
        gt=0,
        description="With multi_store: the id of the key's own seller if that is a member, whose inventories alone it"
        " may write; none for the parent's key.",
    )
    close_adverts: bool = Field(
        default=False,
        description="Whether an advert of which no variant has stock is unpublished, and published again.",
    )

    @model_validator(mode="after")
    def _what_the_key_may(self) -> MarketplacerMarketplaceSettings:
        if self.seller_id is not None and self.inventory == "variants":
            raise ValueError('seller_id needs inventory = "multi_store"')
        if self.seller_id is not None and self.close_adverts:
            raise ValueError("close_adverts needs the parent's key: adverts of a multi-store are not its members'")
        return self


class MarketplacerChannelSettings(MarketplacerAccount):
    """A seller's account whose sales are taken."""

    refunded: Refunded = Field(
        default="ask",
        description="What became of refunded units, which the vendor does not say: ask a person each time, they are"
        " gone, or they are for sale again.",
        json_schema_extra={ASKED: "Marketplacer does not say what becomes of refunded units. Are they for sale again"},
    )
    seller_id: int | None = Field(
        default=None, gt=0, description="Only invoices of the seller with this id count; none: all that the key shows."
    )
    webhook_header: str = Field(
        default="auth-key", description="Name of the static header that carries the secret of a seller's webhook."
    )
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secrets it may carry, several while one is replaced. 16 to 128 letters, digits or . _ ~ -.",
    )
    webhook_hmac_keys: tuple[SecretStr, ...] = Field(
        default=(), description="HMAC keys of webhooks that the marketplace's operator set up, which sign the body."
    )

    @field_validator("webhook_header")
    @classmethod
    def _header_name(cls, name: str) -> str:
        if not _HEADER.fullmatch(name):
            raise ValueError("is no name that an HTTP header can have")
        return name.lower()

    @field_validator("webhook_secrets")
    @classmethod
    def _usable(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(_SECRET.fullmatch(secret.get_secret_value()) for secret in secrets):
            raise ValueError("each must be 16 to 128 letters, digits or . _ ~ -")
        return secrets

    @field_validator("webhook_hmac_keys")
    @classmethod
    def _not_empty(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        # An empty key would let anybody sign.
        if not all(key.get_secret_value().strip() for key in keys):
            raise ValueError("holds an empty key")
        return keys
