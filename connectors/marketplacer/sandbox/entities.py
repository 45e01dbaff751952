"""What a site holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from connectors.sandbox.stock import Reservation

UNPAID = "unpaid"
"""An invoice that nobody is shown yet. No word of the vendor's."""


@dataclass(slots=True)
class Seller:
    """One seller, with the key made for it."""

    seller_id: int
    name: str
    api_key: str
    member: bool = False
    """Of the first seller's multi-store."""


@dataclass(slots=True)
class Record:
    """What one seller has of one variant. Its number is in the shared stock model."""

    record_id: int
    stock_key: str
    """Its name there; never changes, whatever becomes of the variant's id."""
    seller_id: int
    price: Decimal | None = None
    sale_price: Decimal | None = None
    infinite: bool = False
    deleted: bool = False


@dataclass(slots=True)
class Variant:
    """One variant of an advert."""

    serial: int
    """Known inside only: `ids` change."""
    advert: Advert
    ids: list[tuple[datetime, int]]
    """Each with the moment from which it was the variant's; the last one is its present id."""
    sku: str | None
    barcode: str | None
    external_id: str | None
    records: dict[int, Record] = field(default_factory=dict)
    """By seller. A single-seller variant has one."""

    @property
    def variant_id(self) -> int:
        """Its present id."""
        return self.ids[-1][1]


@dataclass(slots=True)
class Advert:
    """One product."""

    advert_id: int
    seller_id: int
    title: str
    external_id: str | None
    published: bool
    multi_store: bool
    variants: list[Variant] = field(default_factory=list)


@dataclass(slots=True)
class LineItem:
    """One line of an invoice."""

    line_id: int
    variant: Variant
    record: Record
    quantity: int
    status: str = "allocated"
    reservation: Reservation | None = None
    """What the stock model holds for it; None where nothing is held."""


@dataclass(slots=True)
class Invoice:
    """One seller's part of a purchase, of one way of delivery."""

    invoice_id: int
    purchase_id: int
    seller_id: int
    delivery_type: str
    created_at: datetime
    updated_at: datetime
    lines: list[LineItem]
    paid_at: datetime | None = None
    status: str = UNPAID
