"""The bodies the control surface takes."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from connectors.sandbox.control import Body


class NewSeller(Body):
    """One more seller, with a key of its own."""

    name: str = "A seller"
    api_key: str | None = None
    member: bool = Field(default=False, description="Of the first seller's multi-store.")


class Key(Body):
    """Another key for a seller; the one before opens nothing any more."""

    api_key: str = Field(min_length=1)


class NewRecord(Body):
    """What one seller has of a variant."""

    seller_id: int | None = Field(default=None, description="Null: the advert's own seller.")
    count_on_hand: int = Field(default=0, ge=0)
    price: Decimal | None = None
    sale_price: Decimal | None = None
    infinite: bool = False


class NewVariant(Body):
    """One variant."""

    external_id: str | None = None
    sku: str | None = None
    barcode: str | None = None
    records: list[NewRecord] = Field(default_factory=lambda: [NewRecord()])


class NewAdvert(Body):
    """One product with its variants."""

    title: str = "Mug"
    seller_id: int = 1
    external_id: str | None = None
    published: bool = True
    variants: list[NewVariant] = Field(min_length=1)


class NewAdverts(Body):
    """Products made in bulk."""

    adverts: list[NewAdvert]


class Edit(Body):
    """What a person does in the portal to what a seller has."""

    seller_id: int | None = None
    count_on_hand: int | None = Field(default=None, ge=0, description="The new number.")
    change: int | None = Field(default=None, description="Added to the number there is.")
    infinite: bool | None = None
    price: Decimal | None = None
    deleted: bool = Field(default=False, description="The seller does not have the variant any more.")

    @model_validator(mode="after")
    def _one_number(self) -> Edit:
        if self.count_on_hand is not None and self.change is not None:
            raise ValueError("either count_on_hand or change")
        return self


class Publish(Body):
    """On sale, or off."""

    published: bool


class NewLine(Body):
    """One line of a purchase."""

    variant: str = Field(description="By external id, SKU, barcode or present id.")
    seller_id: int | None = Field(default=None, description="Null: the only one that has it.")
    quantity: int = Field(default=1, ge=1)
    delivery_type: Literal["buy_online", "click_and_collect"] = "buy_online"


class NewPurchase(Body):
    """One purchase, with the steps that follow at once for each of its invoices."""

    lines: list[NewLine] = Field(min_length=1)
    steps: list[str] = Field(default_factory=lambda: ["pay"])
    placed_at: AwareDatetime | None = None


class NewPurchases(Body):
    """Purchases in bulk."""

    purchases: list[NewPurchase]


class Step(Body):
    """What a step needs."""

    line_id: int | None = Field(default=None, description="Null: the whole invoice.")


class NewWebhook(Body):
    """A webhook, as a seller or the operator makes it in a portal."""

    url: str
    type: Literal["ADVERT", "VARIANT", "INVOICE"] = "INVOICE"
    seller_id: int | None = Field(default=1, description="Null: the operator's.")
    headers: dict[str, str] = Field(default_factory=dict)
    hmac_key: str | None = Field(default=None, description="The operator's only.")
    fields: Literal["type", "ids", "full", "broken", "legacy"] = "ids"
    event_name: Literal["create", "update", "destroy"] | None = None
    max_retries: int = Field(default=25, ge=0, le=50)

    @model_validator(mode="after")
    def _operators_sign(self) -> NewWebhook:
        if self.hmac_key is not None and self.seller_id is not None:
            raise ValueError("sellers' webhooks cannot be signed")
        return self


class Change(Body):
    """A registration that is changed; what waits is sent by it."""

    headers: dict[str, str] | None = None
    enabled: bool = True
