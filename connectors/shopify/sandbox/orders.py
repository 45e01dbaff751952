"""An order, its lines and its refunds, with the quantities the vendor derives from them.

Times are Unix seconds: the vendor stamps whole seconds, and so two changes may carry the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .commands import AppSpec, RestockType


class ImpossibleError(Exception):
    """The shop cannot do what was asked; nothing was changed. The message is one sentence for a person."""


@dataclass(slots=True, eq=False)
class Variant:
    """What a line sells, in the catalogue."""

    variant_id: int
    product_id: int
    inventory_item_id: int
    sku: str | None
    tracked: bool


@dataclass(slots=True, eq=False)
class Line:
    """One line of an order. Units are never forgotten: those taken away stay counted by what became of them."""

    line_id: int
    sku: str | None
    variant: Variant | None
    """None for a custom line."""
    title: str
    gift_card: bool
    requires_shipping: bool
    ordered: int
    fulfilled: int = 0
    """Units handed over and not given back."""
    removed_restocked: int = 0
    removed_kept: int = 0
    """Units an edit took off the order without putting them back."""
    refunded_restocked: int = 0
    refunded_kept: int = 0
    current_before_cancel: int | None = None

    @property
    def removed(self) -> int:
        """Units an edit took off."""
        return self.removed_restocked + self.removed_kept

    @property
    def refunded(self) -> int:
        """Units given back by refunds."""
        return self.refunded_restocked + self.refunded_kept

    @property
    def current(self) -> int:
        """Ordered less refunded less removed; as the vendor defines it, the refundable quantity too."""
        return self.ordered - self.removed - self.refunded

    @property
    def unfulfilled(self) -> int:
        """Current units not handed over."""
        return self.current - self.fulfilled

    @property
    def committed(self) -> int:
        """Units that are gone for the seller: ordered less removed less restocked."""
        return self.ordered - self.removed - self.refunded_restocked

    def take_refunded(self, units: int, restock_type: RestockType) -> None:
        """Count `units` as refunded. Fulfilled units go first in a return, last otherwise."""
        if restock_type is RestockType.RETURN:
            from_fulfilled = min(units, self.fulfilled)
        else:
            from_fulfilled = max(0, units - self.unfulfilled)
        self.fulfilled -= from_fulfilled
        if restock_type is RestockType.NO_RESTOCK:
            self.refunded_kept += units
        else:
            self.refunded_restocked += units

    def take_removed(self, units: int, *, restock: bool) -> None:
        """Count `units` that are not fulfilled as removed by an edit or a cancellation."""
        if restock:
            self.removed_restocked += units
        else:
            self.removed_kept += units


@dataclass(frozen=True, slots=True, eq=False)
class RefundLine:
    """Units of one line in one refund."""

    refund_line_id: int
    line: Line
    quantity: int
    restock_type: RestockType


@dataclass(frozen=True, slots=True, eq=False)
class Refund:
    """One refund; without lines it moved money only."""

    refund_id: int
    created_at: int
    note: str | None
    lines: list[RefundLine]


@dataclass(slots=True, eq=False)
class Order:
    """One order as it stands."""

    order_id: int
    number: int
    created_at: int
    updated_at: int
    test: bool
    source_name: str | None
    source_identifier: str | None
    app: AppSpec | None
    tags: tuple[str, ...]
    financial_status: str
    lines: list[Line] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    cancelled_at: int | None = None
    cancel_reason: str | None = None
    closed_at: int | None = None
    edited: bool = False
    return_status: str = "NO_RETURN"
    _lines_by_id: dict[int, Line] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What people call it; no key."""
        return f"#{self.number}"

    def add_line(self, line: Line) -> None:
        """Add a line, whose id is higher than those before it."""
        self.lines.append(line)
        self._lines_by_id[line.line_id] = line

    def line(self, line_id: int) -> Line:
        """Raises `ImpossibleError` when the order has no such line."""
        line = self._lines_by_id.get(line_id)
        if line is None:
            message = f"order {self.order_id} has no line {line_id}"
            raise ImpossibleError(message)
        return line

    @property
    def fulfilment(self) -> str:
        """The display status. A cancelled order keeps the one it had."""
        fulfilled = sum(line.fulfilled for line in self.lines)
        if not fulfilled:
            return "UNFULFILLED"
        return "PARTIALLY_FULFILLED" if any(line.unfulfilled for line in self.lines) else "FULFILLED"
