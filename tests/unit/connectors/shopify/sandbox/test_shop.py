"""What becomes of units, and what each change announces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.shopify.sandbox import Options, Switches
from connectors.shopify.sandbox.commands import CancelSpec, EditSpec, FulfilSpec, OrderSpec, RefundSpec, VariantSpec
from connectors.shopify.sandbox.orders import ImpossibleError, Line, Order
from connectors.shopify.sandbox.shop import Happening, Shop


class Ears:
    """Remembers what was announced, with the bodies as they were then."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, happenings: Sequence[Happening]) -> None:
        self.heard += [(happening.topic, happening.body()) for happening in happenings]

    def topics(self) -> list[str]:
        heard = [topic for topic, _ in self.heard]
        self.heard.clear()
        return heard

    def body(self, topic: str) -> dict[str, Any]:
        return next(body for heard, body in reversed(self.heard) if heard == topic)


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 1, 1, 0, 0, 0, 900_000, tzinfo=UTC))


@pytest.fixture
def shop(clock: VirtualClock, ears: Ears) -> Shop:
    return Shop(Options(), clock, ears)


def place(shop: Shop, *lines: dict[str, Any], **order: Any) -> Order:
    return shop.place(OrderSpec.model_validate({"lines": lines or [{"sku": "A", "quantity": 3}], **order}))


def refund(shop: Shop, order: Order, *parts: tuple[Line, int, str]) -> None:
    lines = [{"line_id": line.line_id, "quantity": units, "restock_type": kind} for line, units, kind in parts]
    shop.refund(order.order_id, RefundSpec.model_validate({"lines": lines}))


def edit(shop: Shop, order: Order, quantity: int, *, restock: bool = True) -> None:
    change = {"line_id": order.lines[0].line_id, "quantity": quantity, "restock": restock}
    shop.edit(order.order_id, EditSpec.model_validate({"set": [change]}))


def quantities(line: Line) -> dict[str, int]:
    return {
        "ordered": line.ordered,
        "current": line.current,
        "unfulfilled": line.unfulfilled,
        "committed": line.committed,
    }


def test_a_sale_commits_its_units_and_is_announced(shop: Shop, ears: Ears) -> None:
    order = place(shop)
    assert quantities(order.lines[0]) == {"ordered": 3, "current": 3, "unfulfilled": 3, "committed": 3}
    assert ears.topics() == ["orders/create", "orders/paid"]
    place(shop, financial_status="PENDING")
    assert ears.topics() == ["orders/create"]


def test_ids_need_more_than_32_bits(shop: Shop) -> None:
    order = place(shop)
    refund(shop, order, (order.lines[0], 1, "CANCEL"))
    assert min(order.order_id, order.lines[0].line_id, order.refunds[0].refund_id) > 2**32


def test_times_are_whole_seconds_and_move_with_each_change(shop: Shop, clock: VirtualClock) -> None:
    order = place(shop)
    assert order.updated_at == int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    clock.advance(0.05)
    shop.touch(order.order_id)
    assert order.updated_at == order.created_at
    clock.advance(0.05)
    shop.touch(order.order_id)
    assert order.updated_at == order.created_at + 1


def test_one_sku_is_one_variant_unless_named_otherwise(shop: Shop) -> None:
    twin = shop.add_variant(VariantSpec(sku="A"))
    other = shop.add_variant(VariantSpec(sku="A"))
    order = place(
        shop,
        {"sku": "A", "quantity": 1},
        {"sku": "A", "quantity": 1, "variant_id": other.variant_id},
        {"sku": "a", "quantity": 1},
        {"sku": "A", "quantity": 1, "custom": True},
        {"quantity": 1, "gift_card": True},
    )
    variants = [line.variant for line in order.lines]
    assert variants[:2] == [twin, other]
    assert variants[2] not in (twin, other, None)
    assert variants[3] is None
    assert order.lines[4].sku is None
    assert not order.lines[4].requires_shipping


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("CANCEL", {"ordered": 3, "current": 1, "unfulfilled": 1, "committed": 1}),
        ("RETURN", {"ordered": 3, "current": 1, "unfulfilled": 1, "committed": 1}),
        ("NO_RESTOCK", {"ordered": 3, "current": 1, "unfulfilled": 1, "committed": 3}),
    ],
)
def test_a_refund_takes_units_and_commits_those_it_does_not_restock(
    shop: Shop, ears: Ears, kind: str, expected: dict[str, int]
) -> None:
    order = place(shop)
    ears.topics()
    refund(shop, order, (order.lines[0], 2, kind))
    assert quantities(order.lines[0]) == expected
    assert order.financial_status == "PARTIALLY_REFUNDED"
    assert ears.body("refunds/create")["refund_line_items"][0]["restock_type"] == kind.lower()
    assert ears.topics() == ["refunds/create", "orders/updated"]


def test_one_line_may_be_refunded_in_several_ways_at_once(shop: Shop) -> None:
    order = place(shop, {"sku": "A", "quantity": 5, "fulfilled": 2})
    line = order.lines[0]
    refund(shop, order, (line, 1, "CANCEL"), (line, 1, "NO_RESTOCK"), (line, 2, "RETURN"))
    assert quantities(line) == {"ordered": 5, "current": 1, "unfulfilled": 1, "committed": 2}
    assert line.fulfilled == 0


def test_a_return_takes_fulfilled_units_first_and_others_last(shop: Shop) -> None:
    order = place(shop, {"sku": "A", "quantity": 4, "fulfilled": 2})
    line = order.lines[0]
    refund(shop, order, (line, 1, "RETURN"))
    assert (line.fulfilled, line.unfulfilled) == (1, 2)
    refund(shop, order, (line, 3, "NO_RESTOCK"))
    assert (line.fulfilled, line.unfulfilled) == (0, 0)


def test_legacy_restock_exists_only_as_old_data(shop: Shop) -> None:
    order = place(shop, {"sku": "A", "quantity": 3, "legacy_restocked": 1})
    assert order.refunds[0].lines[0].restock_type == "LEGACY_RESTOCK"
    assert order.lines[0].committed == 2
    with pytest.raises(ValueError, match="restock_type"):
        refund(shop, order, (order.lines[0], 1, "LEGACY_RESTOCK"))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(4, "RETURN")], "3 refundable units, not 4"),
        ([(2, "RETURN"), (2, "NO_RESTOCK")], "3 refundable units, not 4"),
        ([(1, "CANCEL"), (2, "CANCEL")], "2 unfulfilled units to cancel, not 3"),
    ],
)
def test_more_than_there_is_cannot_be_refunded(shop: Shop, parts: list[tuple[int, str]], message: str) -> None:
    order = place(shop, {"sku": "A", "quantity": 3, "fulfilled": 1})
    line = order.lines[0]
    with pytest.raises(ImpossibleError, match=message):
        refund(shop, order, *((line, units, kind) for units, kind in parts))
    assert line.current == 3
    assert not order.refunds


def test_an_edit_removes_units_without_forgetting_them(shop: Shop, ears: Ears) -> None:
    order = place(shop)
    ears.topics()
    edit(shop, order, 1)
    assert quantities(order.lines[0]) == {"ordered": 3, "current": 1, "unfulfilled": 1, "committed": 1}
    assert order.edited
    assert not order.refunds
    removals = ears.body("orders/edited")["order_edit"]["line_items"]["removals"]
    assert removals == [{"id": order.lines[0].line_id, "delta": 2}]
    assert ears.topics() == ["orders/edited", "orders/updated"]
    edit(shop, order, 0, restock=False)
    assert (order.lines[0].removed_restocked, order.lines[0].removed_kept) == (2, 1)


def test_an_edit_adds_units_and_lines(shop: Shop, ears: Ears) -> None:
    order = place(shop)
    line_id = order.lines[0].line_id
    spec = {"set": [{"line_id": line_id, "quantity": 5}], "add": [{"sku": "B", "quantity": 2}]}
    shop.edit(order.order_id, EditSpec.model_validate(spec))
    assert [line.committed for line in order.lines] == [5, 2]
    additions = ears.body("orders/edited")["order_edit"]["line_items"]["additions"]
    assert additions == [{"id": line_id, "delta": 2}, {"id": order.lines[1].line_id, "delta": 2}]


def test_fulfilled_units_cannot_be_edited_away(shop: Shop) -> None:
    order = place(shop, {"sku": "A", "quantity": 3, "fulfilled": 2})
    with pytest.raises(ImpossibleError, match="2 fulfilled units"):
        edit(shop, order, 1)


def test_removals_may_show_up_as_refunds(shop: Shop, ears: Ears) -> None:
    shop.turn(Switches(edit_removal_refunds=True))
    order = place(shop)
    ears.topics()
    edit(shop, order, 1, restock=False)
    assert order.lines[0].current == 1
    assert [(line.quantity, line.restock_type) for line in order.refunds[0].lines] == [(2, "NO_RESTOCK")]
    assert ears.topics() == ["orders/edited", "orders/updated", "refunds/create"]


@pytest.mark.parametrize(("restock", "committed"), [(True, 0), (False, 3)])
def test_a_cancellation_refunds_what_is_left(shop: Shop, ears: Ears, restock: bool, committed: int) -> None:
    order = place(shop, {"sku": "A", "quantity": 4})
    refund(shop, order, (order.lines[0], 1, "CANCEL"))
    ears.topics()
    shop.cancel(order.order_id, CancelSpec(restock=restock))
    assert (order.lines[0].ordered, order.lines[0].current, order.lines[0].committed) == (4, 0, committed)
    assert (order.financial_status, order.cancel_reason) == ("REFUNDED", "CUSTOMER")
    assert order.cancelled_at == order.closed_at == order.updated_at
    assert ears.topics() == ["orders/cancelled", "orders/updated", "refunds/create"]


def test_a_cancellation_without_refund_leaves_none(shop: Shop) -> None:
    order = place(shop, financial_status="PENDING")
    shop.cancel(order.order_id, CancelSpec(refund=False))
    assert (order.lines[0].current, order.lines[0].committed, order.refunds) == (0, 0, [])
    assert order.financial_status == "VOIDED"


def test_what_is_cancelled_or_handed_over_cannot_be_cancelled(shop: Shop) -> None:
    order = place(shop)
    shop.fulfil(order.order_id, FulfilSpec())
    with pytest.raises(ImpossibleError, match="fulfilled units"):
        shop.cancel(order.order_id, CancelSpec())
    other = place(shop)
    shop.cancel(other.order_id, CancelSpec())
    with pytest.raises(ImpossibleError, match="is cancelled"):
        shop.cancel(other.order_id, CancelSpec())


def test_fulfilment_shows(shop: Shop) -> None:
    order = place(shop)
    line_id = order.lines[0].line_id
    assert order.fulfilment == "UNFULFILLED"
    shop.fulfil(order.order_id, FulfilSpec.model_validate({"lines": [{"line_id": line_id, "quantity": 1}]}))
    assert (order.fulfilment, order.lines[0].unfulfilled) == ("PARTIALLY_FULFILLED", 2)
    shop.fulfil(order.order_id, FulfilSpec())
    assert order.fulfilment == "FULFILLED"
    with pytest.raises(ImpossibleError, match="0 unfulfilled"):
        shop.fulfil(order.order_id, FulfilSpec.model_validate({"lines": [{"line_id": line_id, "quantity": 1}]}))


def test_payment_is_taken_once(shop: Shop, ears: Ears) -> None:
    order = place(shop, financial_status="AUTHORIZED")
    ears.topics()
    shop.pay(order.order_id)
    assert ears.topics() == ["orders/paid", "orders/updated"]
    with pytest.raises(ImpossibleError, match="PAID"):
        shop.pay(order.order_id)


def test_a_deleted_order_is_gone_with_its_refunds(shop: Shop, ears: Ears) -> None:
    order = place(shop)
    refund(shop, order, (order.lines[0], 1, "CANCEL"))
    shop.delete(order.order_id)
    assert (shop.orders, shop.refunds) == ({}, {})
    assert ears.body("orders/delete") == {"id": order.order_id}
    with pytest.raises(ImpossibleError, match="no order"):
        shop.delete(order.order_id)


def test_a_refund_may_leave_updated_at_alone(shop: Shop, clock: VirtualClock, ears: Ears) -> None:
    shop.turn(Switches(refund_moves_updated_at=False))
    order = place(shop)
    ears.topics()
    clock.advance(10)
    refund(shop, order, (order.lines[0], 1, "RETURN"))
    assert order.updated_at == order.created_at
    assert ears.topics() == ["refunds/create"]


def test_an_order_spec_that_adds_up_to_too_much_is_refused(shop: Shop) -> None:
    with pytest.raises(ImpossibleError, match="fulfilled and restocked"):
        place(shop, {"sku": "A", "quantity": 2, "fulfilled": 1, "legacy_restocked": 2})
    assert not shop.orders
