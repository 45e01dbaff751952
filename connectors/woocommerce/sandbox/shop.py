"""The shop: its orders and catalogue, what can be done to them, when it books stock, and what it announces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from connectors.clock import Clock

from .commands import EditSpec, LineSpec, OrderSpec, ProductSpec, RefundSpec
from .model import DRAFTS, REDUCING, RESTORING, TRASH, ImpossibleError, Line, Order, Product, Refund, RefundLine
from .options import Options, Switches

_FIRST_LINE_ID = 300

Announce = Callable[[str, int], None]
"""Told a topic and the order it is about; the body is built when it is sent."""


@dataclass(frozen=True, slots=True)
class _Booking:
    due: float
    order: Order
    back: bool


class Shop:
    """One shop. Used from the event loop only. Every command either happens whole or raises `ImpossibleError`."""

    def __init__(self, options: Options, clock: Clock, announce: Announce) -> None:
        self.options = options
        self.switches = options.switches
        self._clock = clock
        self._announce = announce
        self.orders: dict[int, Order] = {}
        self.products: dict[int, Product] = {}
        self._by_sku: dict[str, Product] = {}
        self._ids = count(options.first_id)
        self._line_ids = count(_FIRST_LINE_ID)
        self._bookings: list[_Booking] = []

    def turn(self, switches: Switches) -> None:
        """Change what is not established, from now on."""
        self.switches = switches

    def now(self) -> int:
        """Unix seconds; the fraction is cut off, as in everything the vendor stamps."""
        return int(self._clock.now().timestamp())

    def settle(self) -> None:
        """Book what is due by now; called before anybody looks."""
        now = self._clock.monotonic()
        due = [booking for booking in self._bookings if booking.due <= now]
        self._bookings = [booking for booking in self._bookings if booking.due > now]
        for booking in due:
            self._book(booking.order, back=booking.back)

    def order(self, order_id: int) -> Order:
        """Raises `ImpossibleError` when there is no such order."""
        order = self.orders.get(order_id)
        if order is None:
            message = f"there is no order {order_id}"
            raise ImpossibleError(message)
        return order

    def add_product(self, spec: ProductSpec) -> Product:
        """Put one more product into the catalogue. A new line of its SKU sells the first of that SKU."""
        if spec.sku and spec.sku in self._by_sku:
            message = f"the SKU {spec.sku} is taken"
            raise ImpossibleError(message)
        product_id = next(self._ids)
        product = Product(
            product_id,
            next(self._ids) if spec.variation else 0,
            spec.sku,
            spec.managed,
            self.options.stock if spec.stock is None else spec.stock,
        )
        self.products[product.variation_id or product_id] = product
        if spec.sku:
            self._by_sku[spec.sku] = product
        return product

    def delete_product(self, item_id: int) -> None:
        """Take a product (or variation) out of the catalogue; lines that sold it stay."""
        product = self.products.pop(item_id, None)
        if product is None:
            message = f"there is no product {item_id}"
            raise ImpossibleError(message)
        product.deleted = True
        self._by_sku.pop(product.sku, None)

    def place(self, spec: OrderSpec) -> Order:
        """Sell."""
        now = self.now()
        lines = [self._line(line) for line in spec.lines]
        order = Order(
            order_id=next(self._ids),
            created_at=now if spec.created_at is None else int(spec.created_at.timestamp()),
            modified_at=now,
            status=spec.status,
            created_via=spec.created_via,
            meta=dict(spec.meta),
            lines=lines,
        )
        self.orders[order.order_id] = order
        self._entered(order)
        self._tell("order.created", order)
        return order

    def set_status(self, order_id: int, status: str) -> Order:
        """Move an order to a status, with what the shop does on entering it."""
        order = self.order(order_id)
        if order.status == TRASH:
            message = f"order {order_id} is in the trash"
            raise ImpossibleError(message)
        if status == order.status:
            return order
        order.status = status
        if status == "refunded":
            # By hand: the rest of the money, no lines, no restock.
            order.refunds.append(Refund(next(self._ids), self.now(), []))
        self._touched(order)
        self._entered(order)
        self._tell("order.updated", order)
        return order

    def touch(self, order_id: int) -> Order:
        """A change that has nothing to do with stock, such as a note."""
        order = self.order(order_id)
        self._touched(order)
        self._tell("order.updated", order)
        return order

    def edit(self, order_id: int, spec: EditSpec) -> Order:
        """Change lines as a PUT through the REST API does."""
        order = self.order(order_id)
        wanted = [(order.line(change.line_id), change.quantity) for change in spec.set]
        added = [self._line(line) for line in spec.add]
        for line, quantity in wanted:
            if quantity == 0:
                # Dropped without adjusting stock.
                order.lines.remove(line)
                continue
            line.quantity = quantity
            self._adjust(order, line)
        # A line that is added is not booked at once.
        order.lines += added
        self._touched(order)
        self._tell("order.updated", order)
        return order

    def refund(self, order_id: int, spec: RefundSpec) -> Refund:
        """Give back units line by line, or money alone."""
        order = self.order(order_id)
        parts = [(order.line(part.line_id), part.quantity) for part in spec.lines]
        for line, units in parts:
            if units > line.quantity - line.refunded:
                message = f"line {line.line_id} has {line.quantity - line.refunded} refundable units, not {units}"
                raise ImpossibleError(message)
        lines = []
        for line, units in parts:
            line.refunded += units
            # Only of a managed product, and only what was booked for the line.
            restocked = min(units, line.reduced or 0) if spec.restock and line.product.managed else 0
            if restocked:
                line.reduced = (line.reduced or 0) - restocked
                line.restocked += restocked
                line.product.stock += restocked
            lines.append(RefundLine(next(self._line_ids), line, units, restocked))
        refund = Refund(next(self._ids), self.now(), lines)
        order.refunds.append(refund)
        self._touched(order)
        self._tell("order.updated", order)
        return refund

    def delete_refund(self, order_id: int, refund_id: int) -> Order:
        """Take a refund back. Its restock stays."""
        order = self.order(order_id)
        for refund in order.refunds:
            if refund.refund_id == refund_id:
                order.refunds.remove(refund)
                for line in refund.lines:
                    line.line.refunded -= line.quantity
                self._touched(order)
                self._tell("order.updated", order)
                return order
        message = f"order {order_id} has no refund {refund_id}"
        raise ImpossibleError(message)

    def delete(self, order_id: int, *, force: bool) -> None:
        """Into the trash, where it can still be read by its id, or for good. Neither gives stock back."""
        order = self.order(order_id)
        if force:
            del self.orders[order_id]
        elif order.status == TRASH:
            message = f"order {order_id} is in the trash already"
            raise ImpossibleError(message)
        else:
            order.status_before_trash, order.status = order.status, TRASH
            self._touched(order)
        self._announce("order.deleted", order_id)

    def restore(self, order_id: int) -> Order:
        """Out of the trash."""
        order = self.order(order_id)
        if order.status != TRASH:
            message = f"order {order_id} is not in the trash"
            raise ImpossibleError(message)
        order.status = order.status_before_trash
        self._touched(order)
        self._tell("order.restored", order)
        return order

    def listed(self) -> Sequence[Order]:
        """Every order that a listing of any status may show."""
        hidden = {TRASH} if self.switches.drafts_listed else {TRASH, *DRAFTS}
        return [order for order in self.orders.values() if order.status not in hidden]

    # Stock --------------------------------------------------------------------------------------------------------

    def _entered(self, order: Order) -> None:
        back = order.status in RESTORING
        if not back and order.status not in REDUCING:
            return
        lag = self.switches.reduction_lag_seconds
        if lag:
            self._bookings.append(_Booking(self._clock.monotonic() + lag, order, back))
        else:
            self._book(order, back=back)

    def _book(self, order: Order, *, back: bool) -> None:
        if back != order.booked:
            return
        order.booked = not back
        for line in order.lines:
            if back and line.reduced is not None:
                line.product.stock += line.reduced
                line.reduced = None
            elif not back and line.reduced is None and line.product.managed:
                line.reduced = line.quantity
                line.product.stock -= line.quantity
        if self.switches.reduction_moves_modified:
            self._touched(order)

    def _adjust(self, order: Order, line: Line) -> None:
        when = self.switches.line_edit_adjusts
        if not line.product.managed or when == "never":
            return
        if when == "reducing_statuses" and order.status not in REDUCING:
            return
        booked = line.quantity - line.restocked
        line.product.stock -= booked - (line.reduced or 0)
        line.reduced = booked

    def _line(self, spec: LineSpec) -> Line:
        if spec.product_id is not None:
            product = self.products.get(spec.product_id)
            if product is None:
                message = f"there is no product {spec.product_id}"
                raise ImpossibleError(message)
        else:
            product = self._by_sku.get(spec.sku) or self.add_product(ProductSpec(sku=spec.sku, managed=spec.managed))
        return Line(next(self._line_ids), product, spec.quantity, dict(spec.meta))

    def _touched(self, order: Order) -> None:
        order.modified_at = self.now()

    def _tell(self, topic: str, order: Order) -> None:
        if order.status not in DRAFTS or self.switches.draft_webhooks:
            self._announce(topic, order.order_id)
