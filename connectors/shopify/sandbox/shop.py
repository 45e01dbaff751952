"""The shop: its orders and catalogue, everything that can be done to them, and what each change announces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from connectors.clock import Clock

from .commands import (
    CancelSpec,
    EditSpec,
    FulfilSpec,
    LineSpec,
    OrderSpec,
    RefundSpec,
    RestockType,
    ReturnSpec,
    VariantSpec,
)
from .index import Entry, OrderIndex
from .options import Options, Switches
from .orders import ImpossibleError, Line, Order, Refund, RefundLine, Variant
from .payloads import Payloads

# Real ids passed 32 bits long ago; each kind has a range of its own so that mixing two up shows.
_FIRST_ORDER_ID = 6_100_000_000_000
_FIRST_LINE_ID = 15_200_000_000_000
_FIRST_REFUND_ID = 930_000_000_000
_FIRST_REFUND_LINE_ID = 710_000_000_000
_FIRST_VARIANT_ID = 47_300_000_000_000
_FIRST_PRODUCT_ID = 8_400_000_000_000
_FIRST_INVENTORY_ITEM_ID = 49_500_000_000_000
_FIRST_EDIT_ID = 120_000_000_000


@dataclass(frozen=True, slots=True)
class Happening:
    """One topic of one merchant action. `body` builds the payload as of this moment, and only if somebody listens."""

    topic: str
    resource_id: int
    body: Callable[[], dict[str, Any]]


Announce = Callable[[Sequence[Happening]], None]
"""Told all topics of one merchant action at once, before anything else happens."""


class Shop:
    """One shop. Used from the event loop only. Every command either happens whole or raises `ImpossibleError`."""

    def __init__(self, options: Options, clock: Clock, announce: Announce) -> None:
        self.options = options
        self.switches = options.switches
        self._clock = clock
        self._announce = announce
        self.orders: dict[int, Order] = {}
        self.refunds: dict[int, tuple[Order, Refund]] = {}
        self.variants: dict[int, Variant] = {}
        self._variants_by_sku: dict[str | None, Variant] = {}
        self.index = OrderIndex(clock, Random(options.seed), lambda: self.switches.index_lag_seconds)
        self.payloads = Payloads(options.switches.payload_utc_offset_minutes)
        self._order_ids = count(_FIRST_ORDER_ID + 1)
        self._order_numbers = count(options.first_order_number)
        self._line_ids = count(_FIRST_LINE_ID + 1)
        self._refund_ids = count(_FIRST_REFUND_ID + 1)
        self._refund_line_ids = count(_FIRST_REFUND_LINE_ID + 1)
        self._variant_numbers = count(1)
        self._edit_ids = count(_FIRST_EDIT_ID + 1)

    def turn(self, switches: Switches) -> None:
        """Change what the documentation leaves open, from now on."""
        self.switches = switches
        self.payloads = Payloads(switches.payload_utc_offset_minutes)

    def now(self) -> int:
        """Unix seconds; the fraction is cut off, as in everything the vendor stamps."""
        return int(self._clock.now().timestamp())

    def order(self, order_id: int) -> Order:
        """Raises `ImpossibleError` when there is no such order."""
        order = self.orders.get(order_id)
        if order is None:
            message = f"there is no order {order_id}"
            raise ImpossibleError(message)
        return order

    def add_variant(self, spec: VariantSpec) -> Variant:
        """Put one more variant into the catalogue; SKUs need not be unique. A new line of a SKU sells the first."""
        number = next(self._variant_numbers)
        variant = Variant(
            _FIRST_VARIANT_ID + number,
            _FIRST_PRODUCT_ID + number,
            _FIRST_INVENTORY_ITEM_ID + number,
            spec.sku,
            spec.tracked,
        )
        self.variants[variant.variant_id] = variant
        self._variants_by_sku.setdefault(spec.sku, variant)
        return variant

    def place(self, spec: OrderSpec) -> Order:
        """Sell."""
        now = self.now()
        lines = [self._line(line) for line in spec.lines]
        order = Order(
            order_id=next(self._order_ids),
            number=next(self._order_numbers),
            created_at=now if spec.created_at is None else int(spec.created_at.timestamp()),
            updated_at=now,
            test=spec.test,
            source_name=spec.source_name,
            source_identifier=spec.source_identifier,
            app=spec.app,
            tags=spec.tags,
            financial_status=spec.financial_status,
        )
        for line in lines:
            order.add_line(line)
        self.orders[order.order_id] = order
        old = [
            (line, line_spec.legacy_restocked, RestockType.LEGACY_RESTOCK)
            for line, line_spec in zip(lines, spec.lines, strict=True)
            if line_spec.legacy_restocked
        ]
        if old:
            self._add_refund(order, old, None)
        topics = ["orders/create"]
        if order.financial_status == "PAID":
            topics.append("orders/paid")
        if self.switches.updated_on_create:
            topics.append("orders/updated")
        self._changed(order, [self._of_order(topic, order) for topic in topics])
        return order

    def pay(self, order_id: int) -> Order:
        """Take the payment an order waits for."""
        order = self.order(order_id)
        if order.financial_status not in ("PENDING", "AUTHORIZED"):
            message = f"order {order_id} is {order.financial_status}, not waiting for payment"
            raise ImpossibleError(message)
        order.financial_status = "PAID"
        self._stamp(order)
        self._changed(order, [self._of_order("orders/paid", order), self._of_order("orders/updated", order)])
        return order

    def touch(self, order_id: int) -> Order:
        """A change that has nothing to do with stock, such as a note."""
        order = self.order(order_id)
        self._stamp(order)
        self._changed(order, [self._of_order("orders/updated", order)])
        return order

    def edit(self, order_id: int, spec: EditSpec) -> Order:
        """Commit an edit: quantities changed, lines removed (to 0) or added."""
        order = self.order(order_id)
        self._must_be_open(order)
        wanted = [(order.line(change.line_id), change) for change in spec.set]
        for line, change in wanted:
            if change.quantity < line.fulfilled:
                message = f"line {line.line_id} has {line.fulfilled} fulfilled units, which an edit cannot remove"
                raise ImpossibleError(message)
        added = [self._line(line) for line in spec.add]
        deltas: list[tuple[int, int]] = []
        refunded: list[tuple[Line, int, RestockType]] = []
        for line, change in wanted:
            delta = change.quantity - line.current
            deltas.append((line.line_id, delta))
            if delta >= 0:
                line.ordered += delta
            elif self.switches.edit_removal_refunds:
                refunded.append((line, -delta, RestockType.CANCEL if change.restock else RestockType.NO_RESTOCK))
            else:
                line.take_removed(-delta, restock=change.restock)
        for line in added:
            order.add_line(line)
            deltas.append((line.line_id, line.ordered))
        order.edited = True
        self._stamp(order)
        edit_id = next(self._edit_ids)
        happenings = [
            Happening("orders/edited", order.order_id, lambda: self.payloads.edited(order, edit_id, deltas)),
            self._of_order("orders/updated", order),
        ]
        if refunded:
            happenings.append(self._of_refund(order, self._add_refund(order, refunded, None)))
        self._changed(order, happenings)
        return order

    def cancel(self, order_id: int, spec: CancelSpec) -> Order:
        """Cancel an order of which nothing was handed over yet."""
        order = self.order(order_id)
        self._must_be_open(order)
        if any(line.fulfilled for line in order.lines):
            message = f"order {order_id} has fulfilled units and cannot be cancelled"
            raise ImpossibleError(message)
        left = [(line, line.current) for line in order.lines if line.current]
        for line in order.lines:
            line.current_before_cancel = line.current
        self._stamp(order)
        order.cancelled_at = order.closed_at = order.updated_at
        order.cancel_reason = spec.reason
        happenings = [self._of_order("orders/cancelled", order), self._of_order("orders/updated", order)]
        if spec.refund:
            kind = RestockType.CANCEL if spec.restock else RestockType.NO_RESTOCK
            refund = self._add_refund(order, [(line, units, kind) for line, units in left], None)
            happenings.append(self._of_refund(order, refund))
            order.financial_status = "REFUNDED"
        else:
            for line, units in left:
                line.take_removed(units, restock=spec.restock)
            order.financial_status = "VOIDED"
        self._changed(order, happenings)
        return order

    def refund(self, order_id: int, spec: RefundSpec) -> Refund:
        """Give back units line by line, or money alone."""
        order = self.order(order_id)
        parts = [(order.line(part.line_id), part.quantity, RestockType(part.restock_type)) for part in spec.lines]
        asked: Counter[Line] = Counter()
        cancelled: Counter[Line] = Counter()
        for line, units, kind in parts:
            asked[line] += units
            cancelled[line] += units if kind is RestockType.CANCEL else 0
            if asked[line] > line.current:
                message = f"line {line.line_id} has {line.current} refundable units, not {asked[line]}"
                raise ImpossibleError(message)
            if cancelled[line] > line.unfulfilled:
                message = (
                    f"line {line.line_id} has {line.unfulfilled} unfulfilled units to cancel, not {cancelled[line]}"
                )
                raise ImpossibleError(message)
        refund = self._add_refund(order, parts, spec.note)
        if order.financial_status in ("PAID", "PARTIALLY_REFUNDED"):
            left = any(line.current for line in order.lines)
            order.financial_status = "PARTIALLY_REFUNDED" if left else "REFUNDED"
        happenings = [self._of_refund(order, refund)]
        if self.switches.refund_moves_updated_at:
            self._stamp(order)
            happenings.append(self._of_order("orders/updated", order))
        self._changed(order, happenings)
        return refund

    def fulfil(self, order_id: int, spec: FulfilSpec) -> Order:
        """Hand units over."""
        order = self.order(order_id)
        parts = [(order.line(part.line_id), part.quantity) for part in spec.lines]
        for line, units in parts:
            if units > line.unfulfilled:
                message = f"line {line.line_id} has {line.unfulfilled} unfulfilled units, not {units}"
                raise ImpossibleError(message)
        for line, units in parts or [(line, line.unfulfilled) for line in order.lines]:
            line.fulfilled += units
        self._stamp(order)
        self._changed(order, [self._of_order("orders/fulfilled", order), self._of_order("orders/updated", order)])
        return order

    def set_return_status(self, order_id: int, spec: ReturnSpec) -> Order:
        """Say where a return stands; units come back by a refund only."""
        order = self.order(order_id)
        order.return_status = spec.status
        self._stamp(order)
        self._changed(order, [self._of_order("orders/updated", order)])
        return order

    def delete(self, order_id: int) -> None:
        """Remove an order with its refunds, as if it had never been."""
        order = self.order(order_id)
        del self.orders[order_id]
        for refund in order.refunds:
            del self.refunds[refund.refund_id]
        self.index.drop(order_id)
        self._announce([Happening("orders/delete", order_id, lambda: {"id": order_id})])

    def _line(self, spec: LineSpec) -> Line:
        if spec.fulfilled + spec.legacy_restocked > spec.quantity:
            message = f"a line of {spec.quantity} units cannot have more of them fulfilled and restocked"
            raise ImpossibleError(message)
        return Line(
            line_id=next(self._line_ids),
            sku=spec.sku,
            variant=None if spec.custom else self._variant(spec),
            title=spec.title or spec.sku or "Item",
            gift_card=spec.gift_card,
            requires_shipping=spec.requires_shipping and not spec.gift_card,
            ordered=spec.quantity,
            fulfilled=spec.fulfilled,
        )

    def _variant(self, spec: LineSpec) -> Variant:
        if spec.variant_id is None:
            return self._variants_by_sku.get(spec.sku) or self.add_variant(VariantSpec(sku=spec.sku))
        variant = self.variants.get(spec.variant_id)
        if variant is None:
            message = f"there is no variant {spec.variant_id}"
            raise ImpossibleError(message)
        return variant

    def _must_be_open(self, order: Order) -> None:
        if order.cancelled_at is not None:
            message = f"order {order.order_id} is cancelled"
            raise ImpossibleError(message)

    def _add_refund(self, order: Order, parts: Sequence[tuple[Line, int, RestockType]], note: str | None) -> Refund:
        lines = []
        for line, units, kind in parts:
            line.take_refunded(units, kind)
            lines.append(RefundLine(next(self._refund_line_ids), line, units, kind))
        refund = Refund(next(self._refund_ids), self.now(), note, lines)
        order.refunds.append(refund)
        self.refunds[refund.refund_id] = order, refund
        return refund

    def _stamp(self, order: Order) -> None:
        order.updated_at = self.now()

    def _changed(self, order: Order, happenings: Sequence[Happening]) -> None:
        self.index.put(Entry(order.order_id, order.created_at, order.updated_at))
        self._announce(happenings)

    def _of_order(self, topic: str, order: Order) -> Happening:
        return Happening(topic, order.order_id, lambda: self.payloads.order(order))

    def _of_refund(self, order: Order, refund: Refund) -> Happening:
        return Happening("refunds/create", refund.refund_id, lambda: self.payloads.refund(order, refund))
