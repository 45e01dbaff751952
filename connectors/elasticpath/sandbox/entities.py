"""What a store holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Product:
    """One product of the catalogue."""

    product_id: str
    sku: str
    name: str
    status: str
    """`live` or `draft`."""
    created_at: datetime
    organization: bool = False
    """Made at organisation level: a store cannot keep stock of its own for it."""


@dataclass(frozen=True, slots=True)
class StockTransaction:
    """One entry of a product's history."""

    transaction_id: str
    action: str
    quantity: int
    at: datetime
    location: str | None = None
    by_order: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A position's numbers from a moment on; None while it is not managed."""

    at: datetime
    available: int | None
    allocated: int = 0
    total: int = 0


@dataclass(slots=True)
class Position:
    """The stock of one product, at one location or without any."""

    key: str
    """Its name in the shared stock model, whose total is what is available here."""
    product_id: str
    location: str | None
    allocated: int = 0
    discrepancy: int = 0
    """By how much the shown total is off what adds up; 0 unless somebody breaks it."""
    levels: list[Level] = field(default_factory=list)


@dataclass(slots=True)
class Location:
    """A place that stock may lie at."""

    location_id: str
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One item of an order."""

    item_id: str
    product_id: str
    """Empty for a custom item."""
    sku: str
    name: str
    quantity: int
    unit_amount: int
    """Minor units of money; negative for a promotion."""
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it was from `updated_at` on."""

    order_id: str
    created_at: datetime
    updated_at: datetime
    items: tuple[OrderItem, ...]
    status: str = "incomplete"
    payment: str = "unpaid"
    shipping: str = "unfulfilled"
    external_ref: str | None = None
    order_number: str | None = None
    email: str = "ada@example.com"
    refunded_amount: int = 0

    @property
    def amount(self) -> int:
        """What is to be paid for it."""
        return sum(item.unit_amount * item.quantity for item in self.items)
