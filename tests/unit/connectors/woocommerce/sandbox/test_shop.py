"""When the sandbox's shop takes units off its stock, and when it gives them back."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.woocommerce.sandbox.commands import EditSpec, OrderSpec, ProductSpec, RefundSpec
from connectors.woocommerce.sandbox.model import ImpossibleError, Order
from connectors.woocommerce.sandbox.options import Options, Switches
from connectors.woocommerce.sandbox.shop import Shop

FULL = 100


class Store:
    """One shop with one product, and what it told."""

    def __init__(self, **switches: Any) -> None:
        self.clock = VirtualClock()
        self.told: list[tuple[str, int]] = []
        options = Options(stock=FULL, switches=Switches.model_validate(switches))
        self.shop = Shop(options, self.clock, lambda topic, order_id: self.told.append((topic, order_id)))
        self.product = self.shop.add_product(ProductSpec(sku="A"))

    def place(self, status: str = "processing", quantity: int = 5, sku: str = "A", *, managed: bool = True) -> Order:
        line = {"sku": sku, "quantity": quantity, "managed": managed}
        return self.shop.place(OrderSpec.model_validate({"lines": [line], "status": status}))

    def become(self, order: Order, *statuses: str) -> None:
        for status in statuses:
            self.shop.set_status(order.order_id, status)

    def refund(self, order: Order, units: int, *, restock: bool) -> None:
        body = {"lines": [{"line_id": order.lines[0].line_id, "quantity": units}], "restock": restock}
        self.shop.refund(order.order_id, RefundSpec.model_validate(body))

    def set_quantity(self, order: Order, quantity: int) -> None:
        body = {"set": [{"line_id": order.lines[0].line_id, "quantity": quantity}]}
        self.shop.edit(order.order_id, EditSpec.model_validate(body))

    @property
    def taken(self) -> int:
        return FULL - self.product.stock


@pytest.mark.parametrize(
    ("statuses", "taken", "reduced"),
    [
        (["pending"], 0, None),
        (["checkout-draft"], 0, None),
        (["processing"], 5, 5),
        (["on-hold"], 5, 5),
        (["pending", "processing", "completed"], 5, 5),
        (["processing", "cancelled"], 0, None),
        (["processing", "pending"], 0, None),
        (["processing", "cancelled", "processing"], 5, 5),
        (["on-hold", "failed"], 5, 5),
        (["on-hold", "failed", "cancelled"], 0, None),
        (["processing", "refunded"], 5, 5),
        (["pending", "failed"], 0, None),
        (["processing", "wc-shipped"], 5, 5),
    ],
    ids=str,
)
def test_stock_is_booked_by_the_status(statuses: list[str], taken: int, reduced: int | None) -> None:
    store = Store()
    order = store.place(statuses[0])
    store.become(order, *statuses[1:])
    assert (store.taken, order.lines[0].reduced) == (taken, reduced)


def test_of_an_unmanaged_product_nothing_is_booked() -> None:
    store = Store()
    order = store.place(sku="U", managed=False)
    store.refund(order, 2, restock=True)
    assert (order.lines[0].reduced, order.lines[0].product.stock, order.lines[0].refunded) == (None, FULL, 2)


def test_a_refund_gives_back_only_with_restock_and_only_what_was_booked() -> None:
    store = Store()
    order = store.place()
    store.refund(order, 1, restock=False)
    assert (store.taken, order.lines[0].reduced) == (5, 5)
    store.refund(order, 2, restock=True)
    assert (store.taken, order.lines[0].reduced) == (3, 3)
    unpaid = store.place("pending")
    store.refund(unpaid, 2, restock=True)
    assert (store.taken, unpaid.lines[0].reduced) == (3, None)


def test_a_refund_by_hand_has_no_lines() -> None:
    store = Store()
    order = store.place()
    store.become(order, "refunded")
    assert [refund.lines for refund in order.refunds] == [[]]


def test_a_refund_taken_back_leaves_its_restock() -> None:
    store = Store()
    order = store.place()
    store.refund(order, 2, restock=True)
    store.shop.delete_refund(order.order_id, order.refunds[0].refund_id)
    assert (store.taken, order.lines[0].refunded, order.refunds) == (3, 0, [])


@pytest.mark.parametrize(
    ("when", "pending", "processing"), [("always", 7, 7), ("reducing_statuses", 0, 7), ("never", 0, 5)]
)
def test_a_changed_quantity_is_booked_or_not(when: str, pending: int, processing: int) -> None:
    for status, taken in (("pending", pending), ("processing", processing)):
        store = Store(line_edit_adjusts=when)
        store.set_quantity(store.place(status), 7)
        assert store.taken == taken


def test_what_was_given_back_is_not_taken_again_by_an_edit() -> None:
    store = Store()
    order = store.place()
    store.refund(order, 2, restock=True)
    store.set_quantity(order, 6)
    assert (store.taken, order.lines[0].reduced) == (4, 4)


def test_a_line_taken_off_or_added_is_not_booked() -> None:
    store = Store()
    order = store.place()
    store.shop.edit(order.order_id, EditSpec.model_validate({"add": [{"sku": "A", "quantity": 3}]}))
    assert (store.taken, order.lines[1].reduced) == (5, None)
    store.set_quantity(order, 0)
    assert (store.taken, len(order.lines)) == (5, 1)


def test_trash_and_deletion_give_nothing_back() -> None:
    store = Store()
    order = store.place()
    store.shop.delete(order.order_id, force=False)
    assert (store.taken, order.status) == (5, "trash")
    store.shop.restore(order.order_id)
    assert order.status == "processing"
    store.shop.delete(order.order_id, force=True)
    assert store.taken == 5


@pytest.mark.parametrize("moves", [True, False])
def test_the_booking_may_come_late_and_move_the_order_or_not(*, moves: bool) -> None:
    store = Store(reduction_lag_seconds=10, reduction_moves_modified=moves)
    order = store.place()
    placed_at = order.modified_at
    store.shop.settle()
    assert store.taken == 0
    store.clock.advance(10)
    store.shop.settle()
    assert (store.taken, order.modified_at - placed_at) == (5, 10 if moves else 0)


def test_everything_is_told_once() -> None:
    store = Store()
    order = store.place()
    store.become(order, "processing", "completed")
    store.refund(order, 1, restock=True)
    store.set_quantity(order, 4)
    store.shop.delete(order.order_id, force=False)
    store.shop.restore(order.order_id)
    store.place("checkout-draft")
    topics = ["created", "updated", "updated", "updated", "deleted", "restored"]
    assert store.told == [(f"order.{topic}", order.order_id) for topic in topics]


def test_what_cannot_be_is_refused() -> None:
    store = Store()
    order = store.place()
    for impossible in (
        lambda: store.shop.order(1),
        lambda: store.refund(order, 6, restock=True),
        lambda: store.shop.restore(order.order_id),
        lambda: store.shop.delete_refund(order.order_id, 1),
        lambda: store.shop.delete_product(1),
        lambda: store.shop.add_product(ProductSpec(sku="A")),
    ):
        with pytest.raises(ImpossibleError):
            impossible()
    store.shop.delete(order.order_id, force=False)
    with pytest.raises(ImpossibleError, match="trash"):
        store.become(order, "processing")
    with pytest.raises(ImpossibleError, match="trash"):
        store.shop.delete(order.order_id, force=False)
