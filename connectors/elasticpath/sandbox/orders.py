"""Orders: what shoppers and merchants do with them, what that does to stock, and how the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from connectors.sandbox.log import Origin
from connectors.sandbox.stock import Reservation, ReservationState

from .entities import Order, OrderItem
from .errors import ApiError, not_found, unprocessable
from .inventory import Inventory
from .store import CHECKOUT, Store

PAID = frozenset({"authorized", "paid", "partially_authorized", "partially_paid"})

_ADDRESS = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "company_name": "",
    "line_1": "12 Analytical Street",
    "line_2": "",
    "city": "London",
    "postcode": "W1",
    "county": "Greater London",
    "country": "GB",
    "region": "",
}


class Orders:
    """All orders of one store. Callers hold the store's lock."""

    def __init__(self, store: Store, inventory: Inventory) -> None:
        self._store = store
        self._inventory = inventory
        self._held: dict[str, list[Reservation]] = {}

    def check_out(self, items: tuple[OrderItem, ...], *, placed_at: datetime | None = None, **details: Any) -> Order:
        """A cart becomes an order: a last look at the stock, nothing is held."""
        for item in items:
            if item.unit_amount >= 0 and not self._inventory.has(item.product_id, item.quantity, item.location):
                raise ApiError(400, "Insufficient stock", meta={"id": item.product_id})
        now = self._store.log.moment()
        order = Order(self._store.new_id(), placed_at or now, now, items, **details)
        self._store.orders[order.order_id] = [order]
        self._announce("order.created", order)
        return order

    def step(self, order_id: str, name: str, *, amount: int | None = None) -> Order:
        """One of `authorize`, `pay`, `part_pay`, `cancel`, `fulfil`, `refund`, `touch`. Raises `ApiError`."""
        order = self._store.order(order_id)
        if order is None:
            raise not_found("Order not found")
        return {
            "authorize": lambda: self._paid(order, "authorized", "order.authorized"),
            "pay": lambda: self._paid(order, "paid", "order.paid"),
            "part_pay": lambda: self._paid(order, "partially_paid", None),
            "cancel": lambda: self._cancel(order),
            "fulfil": lambda: self._fulfil(order),
            "refund": lambda: self._refund(order, amount),
            "touch": lambda: self._put(order, None),
        }[name]()

    def update(self, order_id: str, data: Mapping[str, Any]) -> Order:
        """`PUT /v2/orders/{id}`"""
        if data.get("status") == "cancelled":
            return self.step(order_id, "cancel")
        if data.get("shipping") == "fulfilled":
            return self.step(order_id, "fulfil")
        order = self._store.order(order_id)
        if order is None:
            raise not_found("Order not found")
        details = {name: data[name] for name in ("external_ref", "order_number") if name in data}
        return self._put(order, None, **details)

    def committed(self, order: Order) -> dict[str, int]:
        """The truth for proofs: units by item that are gone for the seller; promotions and custom items are none."""
        holds = order.status != "cancelled" and order.payment in {*PAID, "refunded"}
        return {
            item.item_id: item.quantity if holds else 0
            for item in order.items
            if item.product_id and item.unit_amount >= 0
        }

    # ------------------------------------------------------------------------------------------------------------

    def _paid(self, order: Order, payment: str, event: str | None) -> Order:
        if order.status == "cancelled" or order.payment in {"paid", "refunded"}:
            raise unprocessable(f"the order is {order.status} and {order.payment}")
        if order.payment == "unpaid":
            self._allocate(order)
        status = "complete" if payment == "paid" else "processing"
        return self._put(order, event, payment=payment, status=status)

    def _allocate(self, order: Order) -> None:
        held: list[Reservation] = []
        origin = Origin(CHECKOUT)
        try:
            for item in order.items:
                if item.product_id and item.unit_amount >= 0:
                    found = self._inventory.allocate(
                        order.order_id, item.product_id, item.quantity, item.location, origin
                    )
                    held += [found] if found else []
        except ApiError:
            for reservation in held:
                self._inventory.give_back(reservation, origin)
            raise
        self._held[order.order_id] = held

    def _give_back(self, order: Order) -> None:
        for reservation in self._held.pop(order.order_id, []):
            if reservation.state is ReservationState.ACCEPTED:
                self._inventory.give_back(reservation, Origin(CHECKOUT))

    def _cancel(self, order: Order) -> Order:
        if order.shipping == "fulfilled" or order.status == "cancelled":
            raise unprocessable("only an unfulfilled order can be cancelled")
        self._give_back(order)
        return self._put(order, "order.cancelled", status="cancelled")

    def _fulfil(self, order: Order) -> Order:
        if order.payment != "paid" or order.shipping == "fulfilled" or order.status == "cancelled":
            raise unprocessable("only a paid order can be fulfilled")
        for reservation in self._held.get(order.order_id, []):
            self._inventory.ship(reservation)
        return self._put(order, "order.fulfilled", shipping="fulfilled")

    def _refund(self, order: Order, amount: int | None) -> Order:
        if order.payment != "paid":
            raise unprocessable("only a paid order can be refunded")
        refunded = order.amount if amount is None else order.refunded_amount + amount
        if refunded > order.amount:
            raise unprocessable("more than was paid")
        if refunded < order.amount:
            return self._put(order, None, refunded_amount=refunded)
        if self._store.switches.refund_effect == "deallocate" and order.shipping == "unfulfilled":
            self._give_back(order)
        return self._put(order, "order.refunded", payment="refunded", refunded_amount=refunded)

    def _put(self, order: Order, event: str | None, **changes: Any) -> Order:
        changed = replace(order, updated_at=self._store.log.moment(), **changes)
        self._store.orders[order.order_id].append(changed)
        if event:
            self._announce(event, changed)
        self._announce("order.updated", changed)
        return changed

    def _announce(self, event: str, order: Order) -> None:
        left_out = self._store.switches.missing_refs == "left_out"
        items = [render_item(each, order) for each in order.items]
        self._store.announce(event, {"data": render(order, left_out=left_out), "included": {"items": items}})


def render(order: Order, *, left_out: bool) -> dict[str, Any]:
    """An order without its items. `left_out`: references it does not have are not even null."""
    refs = {"order_number": order.order_number, "external_ref": order.external_ref}
    owing = order.amount if order.payment == "unpaid" else 0
    return {
        "type": "order",
        "id": order.order_id,
        "status": order.status,
        "payment": order.payment,
        "shipping": order.shipping,
        **{name: ref for name, ref in refs.items() if ref is not None or not left_out},
        "customer": {"name": "Ada Lovelace", "email": order.email},
        "shipping_address": {**_ADDRESS, "phone_number": "", "instructions": ""},
        "billing_address": _ADDRESS,
        "meta": {
            "timestamps": {"created_at": _stamp(order.created_at), "updated_at": _stamp(order.updated_at)},
            "display_price": {"with_tax": _money(order.amount), "balance_owing": _money(owing)},
        },
        "relationships": {"items": {"data": [{"type": "item", "id": each.item_id} for each in order.items]}},
    }


def render_item(item: OrderItem, order: Order) -> dict[str, Any]:
    """One item of an order."""
    price = {"amount": item.unit_amount, "currency": "USD", "includes_tax": False}
    return {
        "type": "order_item",
        "id": item.item_id,
        "quantity": item.quantity,
        "product_id": item.product_id,
        "sku": item.sku,
        "name": item.name,
        "unit_price": price,
        "value": {**price, "amount": item.unit_amount * item.quantity},
        "meta": {"timestamps": {"created_at": f"{order.created_at:%Y-%m-%dT%H:%M:%SZ}"}},
        "relationships": {"cart_item": {"data": {"type": "cart_item", "id": item.item_id}}},
        "catalog_source": "pim",
    }


def _money(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD", "formatted": f"${amount / 100:.2f}"}


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
