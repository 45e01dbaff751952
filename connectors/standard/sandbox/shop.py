"""The shop: its orders, what can be done to them, and how it shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from connectors.clock import Clock

from .commands import ChangeSpec, EditSpec, LineSpec, OrderSpec
from .options import Options, Switches

BUYER = {"name": "Ada Lovelace", "address": "12 Analytical Street, London", "email": "ada@example.com"}

Announce = Callable[["Order"], None]
"""Told an order that has just changed."""


class ImpossibleError(Exception):
    """The shop cannot do what was asked; nothing was changed. The message is one sentence for a person."""


@dataclass(slots=True, eq=False)
class Line:
    """One line of an order."""

    line_id: str
    sku: str | None
    item_id: str | None
    quantity: int
    cancelled: int = 0
    restocked: int = 0

    @property
    def gone(self) -> int:
        """Units that are not for sale any more because of it."""
        return self.quantity - self.cancelled - self.restocked


@dataclass(slots=True, eq=False)
class Order:
    """One order."""

    order_id: str
    placed_at: datetime
    updated_at: datetime
    source: str | None
    lines: list[Line] = field(default_factory=list)
    cancelled: bool = False
    version: int = 0
    sequence: int = 0
    """Of its last change among all changes of the shop."""
    shown_from: float = 0.0
    """When its last change is listed, on the monotonic clock."""

    def line(self, line_id: str) -> Line:
        """Raises `ImpossibleError` when it has no such line."""
        for line in self.lines:
            if line.line_id == line_id:
                return line
        message = f"order {self.order_id} has no line {line_id}"
        raise ImpossibleError(message)


class Shop:
    """One shop. Used from the event loop only. Every command either happens whole or raises `ImpossibleError`."""

    def __init__(self, options: Options, clock: Clock, announce: Announce) -> None:
        self.switches = options.switches
        self._clock = clock
        self._announce = announce
        self.orders: dict[str, Order] = {}
        self._ids = count(options.first_id)
        self._line_ids = count(1)
        self._changes = count(1)

    def turn(self, switches: Switches) -> None:
        """Change what senders do differently, from now on."""
        self.switches = switches

    def order(self, order_id: str) -> Order:
        """Raises `ImpossibleError` when there is no such order."""
        order = self.orders.get(order_id)
        if order is None:
            message = f"there is no order {order_id}"
            raise ImpossibleError(message)
        return order

    def place(self, spec: OrderSpec) -> Order:
        """Sell."""
        order_id = spec.order_id or f"S-{next(self._ids)}"
        if order_id in self.orders:
            message = f"there is an order {order_id} already"
            raise ImpossibleError(message)
        now, lines = self._clock.now(), [self._line(one) for one in spec.lines]
        order = Order(order_id, spec.created_at or now, now, spec.source, lines)
        self.orders[order_id] = order
        return self._changed(order)

    def cancel(self, order_id: str) -> Order:
        """All of it."""
        order = self.order(order_id)
        order.cancelled = True
        return self._changed(order)

    def cancel_units(self, order_id: str, spec: ChangeSpec) -> Order:
        """Units that are not sent after all."""
        order = self.order(order_id)
        for line, units in self._units(order, spec):
            line.cancelled += units
        return self._changed(order)

    def restock(self, order_id: str, spec: ChangeSpec) -> Order:
        """Units that came back and are for sale again."""
        order = self.order(order_id)
        for line, units in self._units(order, spec):
            line.restocked += units
        return self._changed(order)

    def edit(self, order_id: str, spec: EditSpec) -> Order:
        """Change what was ordered."""
        order = self.order(order_id)
        wanted = [(order.line(change.line_id), change.quantity) for change in spec.set]
        for line, quantity in wanted:
            if 0 < quantity < line.cancelled + line.restocked:
                message = f"of line {line.line_id} more is cancelled and restocked than {quantity}"
                raise ImpossibleError(message)
        for line, quantity in wanted:
            if quantity:
                line.quantity = quantity
            else:
                order.lines.remove(line)
        order.lines += [self._line(one) for one in spec.add]
        return self._changed(order)

    def touch(self, order_id: str) -> Order:
        """A change that has nothing to do with stock, such as a note."""
        return self._changed(self.order(order_id))

    def delete(self, order_id: str) -> None:
        """For good, and without a word: the format has none for it."""
        self.order(order_id)
        del self.orders[order_id]

    def listed(self) -> Sequence[Order]:
        """What a list shows by now, oldest change first."""
        now = self._clock.monotonic()
        return sorted(
            (order for order in self.orders.values() if order.shown_from <= now), key=lambda order: order.sequence
        )

    def shown(self, order: Order) -> dict[str, Any]:
        """An order in our format; and with what a shop has besides, which nobody asked for."""
        updated_at = order.updated_at.replace(microsecond=0) if self.switches.whole_seconds else order.updated_at
        return {
            "order_id": order.order_id,
            **({"version": order.version} if self.switches.versions else {}),
            "updated_at": updated_at.isoformat(),
            "placed_at": order.placed_at.isoformat(),
            "status": "cancelled" if order.cancelled else "open",
            **({} if order.source is None else {"source": order.source}),
            "customer": BUYER,
            "lines": [
                {
                    "line_id": line.line_id,
                    "sku": line.sku,
                    **({} if line.item_id is None else {"item_id": line.item_id}),
                    "quantity": line.quantity,
                    "cancelled": line.cancelled,
                    "restocked": line.restocked,
                    "engraving": "For Bob",
                }
                for line in order.lines
            ],
        }

    def state(self, order: Order) -> dict[str, Any]:
        """An order with what became of every unit, as the shop itself knows it."""
        return {
            "id": order.order_id,
            "version": order.version,
            "cancelled": order.cancelled,
            "lines": [
                {"id": line.line_id, "sku": line.sku, "committed": 0 if order.cancelled else line.gone}
                for line in order.lines
            ],
        }

    def _units(self, order: Order, spec: ChangeSpec) -> list[tuple[Line, int]]:
        parts = [(order.line(part.line_id), part.quantity) for part in spec.lines]
        for line, units in parts:
            if units > line.gone:
                message = f"line {line.line_id} has {line.gone} units left, not {units}"
                raise ImpossibleError(message)
        return parts

    def _line(self, spec: LineSpec) -> Line:
        return Line(f"L{next(self._line_ids)}", spec.sku, spec.item_id, spec.quantity)

    def _changed(self, order: Order) -> Order:
        order.version += 1
        order.updated_at = self._clock.now()
        order.sequence = next(self._changes)
        order.shown_from = self._clock.monotonic() + self.switches.index_lag_seconds
        self._announce(order)
        return order
