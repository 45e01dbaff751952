"""The bodies the control surface takes."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from connectors.sandbox.control import Body


class NewProduct(Body):
    """A product of the catalogue."""

    id: str | None = None
    sku: str | None = None
    name: str = "Mug"
    status: Literal["live", "draft"] = "live"
    stock: int | None = Field(default=None, ge=0, description="Null: not managed.")
    locations: dict[str, int] = Field(default_factory=dict)
    organization: bool = False
    created_at: AwareDatetime | None = None


class NewProducts(Body):
    """Products made in bulk."""

    products: list[NewProduct]


class StockAct(Body):
    """A transaction by a person in Commerce Manager."""

    action: Literal["increment", "decrement", "allocate", "deallocate", "set"]
    quantity: int = Field(ge=0)
    location: str | None = None


class Create(Body):
    """Start managing stock."""

    quantity: int = Field(ge=0)


class Break(Body):
    """Numbers that should never be."""

    available: int | None = None
    discrepancy: int = Field(default=0, description="Added to the total that is shown.")
    location: str | None = None


class NewItem(Body):
    """One item of an order."""

    product_id: str | None = Field(default=None, description="Null: looked up by SKU, else made up. Empty: custom.")
    sku: str = ""
    quantity: int = Field(default=1, ge=1)
    unit_amount: int = Field(default=1000, description="Minor units; negative for a promotion.")
    location: str | None = None


class NewOrder(Body):
    """A checkout, with the steps that follow at once."""

    items: list[NewItem] = Field(min_length=1)
    steps: list[str] = Field(default_factory=lambda: ["pay"])
    external_ref: str | None = None
    order_number: str | None = None
    placed_at: AwareDatetime | None = None


class NewOrders(Body):
    """Checkouts in bulk."""

    orders: list[NewOrder]


class Step(Body):
    """What a step needs."""

    amount: int | None = Field(default=None, ge=1, description="Of a refund, in minor units; null: all of it.")
