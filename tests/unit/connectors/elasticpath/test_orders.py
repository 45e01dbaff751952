"""What an order commits."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product as combinations
from typing import Any

import pytest

from connectors.contract import Order, OrderLine
from connectors.elasticpath.orders import Item, OrderHead, committed_units, from_answer, reduced, revision_of, shaped
from connectors.errors import Unreadable
from tests.unit.connectors.elasticpath.vendor import channel_settings, item, order

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "payment", "shipping", "expected"),
    [
        ("incomplete", "unpaid", "unfulfilled", 0),
        ("processing", "authorized", "unfulfilled", 5),
        ("processing", "partially_authorized", "unfulfilled", 5),
        ("processing", "partially_paid", "unfulfilled", 5),
        ("complete", "paid", "unfulfilled", 5),
        ("complete", "paid", "fulfilled", 5),
        ("cancelled", "unpaid", "unfulfilled", 0),
        ("cancelled", "authorized", "unfulfilled", 0),
        ("cancelled", "paid", "unfulfilled", 0),
        ("cancelled", "refunded", "unfulfilled", 0),
    ],
)
@pytest.mark.parametrize("refunded", ["ask", "kept", "returned"])
def test_what_the_store_holds_is_committed(
    status: str, payment: str, shipping: str, expected: int, refunded: Any
) -> None:
    assert committed_units(5, status=status, payment=payment, shipping=shipping, refunded=refunded) == expected


@pytest.mark.parametrize(
    ("status", "payment", "shipping", "reason"),
    [
        ("complete", "refunded", "unfulfilled", "refunded in full"),
        ("complete", "refunded", "fulfilled", "refunded in full"),
        ("cancelled", "paid", "fulfilled", "cancelled after it was shipped"),
        ("incomplete", "unpaid", "fulfilled", "shipped without a payment"),
        ("complete", "disputed", "unfulfilled", "none this connector knows"),
        ("archived", "paid", "unfulfilled", "none this connector knows"),
        ("complete", "", "unfulfilled", "none this connector knows"),
    ],
)
def test_unsafe_states_are_named_and_never_guessed(status: str, payment: str, shipping: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        committed_units(5, status=status, payment=payment, shipping=shipping, refunded="ask")


@pytest.mark.parametrize(("refunded", "expected"), [("kept", 5), ("returned", 0)])
@pytest.mark.parametrize("shipping", ["unfulfilled", "fulfilled"])
def test_a_refund_means_what_the_operator_says(refunded: Any, expected: int, shipping: str) -> None:
    units = committed_units(5, status="complete", payment="refunded", shipping=shipping, refunded=refunded)
    assert units == expected


def test_no_combination_of_states_commits_more_than_was_ordered() -> None:
    statuses = ["incomplete", "processing", "complete", "cancelled", "new"]
    payments = ["unpaid", "authorized", "paid", "refunded", "partially_paid", "partially_authorized", "new"]
    for status, payment, shipping in combinations(statuses, payments, ["unfulfilled", "fulfilled"]):
        try:
            units = committed_units(5, status=status, payment=payment, shipping=shipping, refunded="returned")
        except ValueError:
            continue
        assert units in {0, 5}


def read(node: dict[str, Any], items: list[dict[str, Any]], **changes: Any) -> Order:
    head = shaped(node, OrderHead, "an order")
    return from_answer(
        head, [shaped(each, Item, "an item") for each in items], channel_settings(**changes), fetched_at=AT
    )


def test_a_whole_order() -> None:
    found = read(order(items=["item-1", "item-2"]), [item(), item("item-2", 1, product_id="product-2", sku="BOWL")])
    assert found == Order(
        order_id="order-1",
        revision=1_767_261_600_123,
        placed_at=datetime(2026, 1, 1, 9, tzinfo=UTC),
        lines=(OrderLine("item-1", "MUG", "product-1", 2), OrderLine("item-2", "BOWL", "product-2", 1)),
        excluded=None,
        fetched_at=AT,
    )
    assert revision_of(datetime(2026, 1, 1, 10, 0, 0, 123_000, tzinfo=UTC)) == found.revision


@pytest.mark.parametrize(
    "left_out",
    [
        item("x", 1, amount=-500),
        item("x", 1, value={"amount": -1}),
        item("x", 1, product_id=""),
        item("x", 1, product_id=None),
    ],
)
def test_promotions_and_custom_items_are_no_lines(left_out: dict[str, Any]) -> None:
    assert [line.line_id for line in read(order(), [left_out, item()]).lines] == ["item-1"]


def test_an_item_that_does_not_say_what_it_is_of_is_no_custom_item() -> None:
    unsaid = {name: part for name, part in item().items() if name != "product_id"}
    with pytest.raises(Unreadable, match="product_id"):
        read(order(), [unsaid])


def test_an_item_without_a_sku_is_known_by_its_product() -> None:
    for sku in ("", None):
        assert read(order(), [item(sku=sku)]).lines == (OrderLine("item-1", None, "product-1", 2),)


def test_mirrored_orders_are_excluded_whatever_their_state() -> None:
    node = order(external_ref="market-7", payment="refunded")
    assert read(node, [item()], exclude_external_refs=["other", "market-"]).excluded == "external_ref market-"
    assert read(order(external_ref="m-7"), [item()], exclude_external_refs=["market-"]).excluded is None


@pytest.mark.parametrize(
    ("node", "items"),
    [
        (order(payment="refunded"), [item()]),
        (order(), [item(), item()]),
        (order(), [item(sku="x" * 256)]),
        (order(), [item("nul\x00")]),
        (order(), [item(product_id="p" * 256)]),
        (order(created_at="0001-01-01T00:00:00+14:00"), [item()]),
    ],
)
def test_an_unsafe_order_names_itself(node: dict[str, Any], items: list[dict[str, Any]]) -> None:
    with pytest.raises(Unreadable) as caught:
        read(node, items)
    assert caught.value.order_id == "order-1"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 7},
        {"status": None},
        {"payment": 1},
        {"meta": {}},
        {"meta": {"timestamps": {"created_at": "2026-01-01", "updated_at": "2026-01-01"}}},
        {"relationships": {"items": {"data": [7]}}},
    ],
)
def test_an_order_without_its_documented_shape(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read(order(**changes), [item()])


@pytest.mark.parametrize("quantity", [-1, 1.0, True, "2", None, 2**63])
def test_a_quantity_that_is_none(quantity: Any) -> None:
    with pytest.raises(Unreadable):
        read(order(), [item(quantity=quantity)])


def test_what_is_kept_of_an_unreadable_order_names_nobody() -> None:
    kept = reduced(order(), [item(name="Mug for Ada")])
    assert b"Ada" not in kept
    assert b"Analytical" not in kept
    assert b'"sku": "MUG"' in kept
    assert reduced("nonsense") == b'{"meta": {}, "items": []}'
