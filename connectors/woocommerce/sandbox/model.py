"""A product, an order, its lines and its refunds. Times are Unix seconds: the vendor stamps whole seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

REDUCING = frozenset({"processing", "completed", "on-hold"})
"""Entering one of these books the stock."""
RESTORING = frozenset({"pending", "cancelled"})
"""Entering one of these gives it back."""
DRAFTS = frozenset({"checkout-draft", "auto-draft", "draft"})
TRASH = "trash"


class ImpossibleError(Exception):
    """The shop cannot do what was asked; nothing was changed. The message is one sentence for a person."""


@dataclass(slots=True, eq=False)
class Product:
    """What a line sells."""

    product_id: int
    variation_id: int
    """0 for a product without variations."""
    sku: str
    managed: bool
    stock: int
    deleted: bool = False


@dataclass(slots=True, eq=False)
class Line:
    """One line of an order."""

    line_id: int
    product: Product
    quantity: int
    """As ordered: refunds do not lower it."""
    meta: dict[str, Any]
    reduced: int | None = None
    """The shop's own account of the line: the meta `_reduced_stock`."""
    refunded: int = 0
    """Units that refunds name, restocked or not."""
    restocked: int = 0
    """Of those, the units that were put back: the meta `_restock_refunded_items`."""


@dataclass(slots=True, eq=False)
class RefundLine:
    """Units of one line in one refund."""

    refund_line_id: int
    line: Line
    quantity: int
    restocked: int


@dataclass(slots=True, eq=False)
class Refund:
    """One refund; without lines it is about money alone."""

    refund_id: int
    created_at: int
    lines: list[RefundLine]


@dataclass(slots=True, eq=False)
class Order:
    """One order."""

    order_id: int
    created_at: int
    modified_at: int
    status: str
    created_via: str
    meta: dict[str, Any]
    lines: list[Line] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    status_before_trash: str = ""
    booked: bool = False
    """Whether its stock was booked and not given back: the order-level flag."""

    def line(self, line_id: int) -> Line:
        """Raises `ImpossibleError` when it has no such line."""
        for line in self.lines:
            if line.line_id == line_id:
                return line
        message = f"order {self.order_id} has no line {line_id}"
        raise ImpossibleError(message)
