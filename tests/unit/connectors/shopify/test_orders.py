from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import MAX_QUANTITY, Order, OrderLine
from connectors.errors import Unreadable
from connectors.shopify.orders import Rules, from_hook, from_node, order_gid, order_id_in, shaped
from connectors.shopify.shapes import HookBody, SingleOrder
from tests.unit.connectors.shopify.vendor import (
    NOW,
    hook_line,
    hook_order,
    hook_refund,
    line_node,
    order_node,
    refund_line_node,
    refund_node,
    settings,
)

RULES = Rules.of(settings())


def read_node(node: Any, rules: Rules = RULES) -> Order:
    single = shaped(node, SingleOrder, "an order", order_id=order_id_in(node))
    refund_lines = [line for refund in single.refunds for line in refund.refund_line_items.nodes]
    return from_node(single, single.line_items.nodes, refund_lines, rules, fetched_at=NOW)


def read_hook(body: Any, rules: Rules = RULES) -> Order:
    return from_hook(msgspec.json.decode(msgspec.json.encode(body), type=HookBody), rules)


def test_an_order_is_the_same_from_graphql_and_from_a_webhook() -> None:
    node = order_node(
        7001,
        [line_node(11, 3, 1), line_node(12, 2, 1, variant=None), line_node(13, 1, variant=None, sku=None)],
        refunds=[refund_node(71, [refund_line_node(11, 1, "NO_RESTOCK"), refund_line_node(12, 1, "RETURN")])],
    )
    body = hook_order(
        7001,
        [hook_line(11, 3, 1), hook_line(12, 2, 1, variant_id=None), hook_line(13, 1, variant_id=None, sku="")],
        [hook_refund((11, 1, "no_restock"), (12, 1, "return"))],
    )
    order = read_node(node)
    assert order == Order(
        order_id="7001",
        revision=int(datetime(2026, 11, 21, 11, 0, 0, tzinfo=UTC).timestamp()),
        placed_at=datetime(2026, 11, 20, 9, 30, 0, tzinfo=UTC),
        lines=(
            OrderLine("11", "SKU-11", "511", 2),
            OrderLine("12", "SKU-12", "SKU-12", 1),
            OrderLine("13", None, "", 1),
        ),
        excluded=None,
        fetched_at=NOW,
    )
    from_webhook = read_hook(body)
    assert from_webhook.fetched_at is None
    assert from_webhook.placed_at.tzinfo is UTC
    assert (from_webhook.order_id, from_webhook.revision, from_webhook.placed_at, from_webhook.lines) == (
        order.order_id,
        order.revision,
        order.placed_at,
        order.lines,
    )


def test_a_webhook_of_a_cancelled_order_commits_nothing() -> None:
    body = hook_order(
        1,
        [hook_line(11, 2, 0)],
        [hook_refund((11, 2, "cancel"))],
        cancelled_at="2026-11-21T12:00:00+01:00",
    )
    assert [line.committed for line in read_hook(body).lines] == [0]


def test_a_cancelled_order_commits_nothing_though_its_quantities_stand() -> None:
    node = order_node(1, [line_node(11, 2)], cancelledAt="2026-11-21T11:00:00Z")
    assert [line.committed for line in read_node(node).lines] == [0]


def test_a_cancelled_order_that_was_shipped_in_part_keeps_what_is_current() -> None:
    node = order_node(
        1, [line_node(11, 2, 1)], cancelledAt="2026-11-21T11:00:00Z", displayFulfillmentStatus="PARTIALLY_FULFILLED"
    )
    assert [line.committed for line in read_node(node).lines] == [1]
    body = hook_order(1, [hook_line(11, 2, 1)], cancelled_at="2026-11-21T11:00:00Z", fulfillment_status="partial")
    assert [line.committed for line in read_hook(body).lines] == [1]


def test_unknown_statuses_that_do_not_change_the_arithmetic_are_let_pass() -> None:
    node = order_node(1, displayFulfillmentStatus="BEAMED_UP", returnStatus="FROM_THE_FUTURE")
    assert [line.committed for line in read_node(node).lines] == [3]


def test_case_of_a_sku_matters() -> None:
    lines = read_node(order_node(1, [line_node(1, sku="85123A"), line_node(2, sku="85123a")])).lines
    assert [line.sku for line in lines] == ["85123A", "85123a"]


def test_the_largest_quantity_is_read() -> None:
    assert read_node(order_node(1, [line_node(1, MAX_QUANTITY)])).lines[0].committed == MAX_QUANTITY


# Exclusion rules --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "changes", "excluded"),
    [
        ({}, {"test": True}, "test order"),
        ({"exclude_tests": False}, {"test": True}, None),
        ({"exclude_sources": ["Marketplace"]}, {"source": "marketplace"}, "source marketplace"),
        ({"exclude_sources": ["marketplace"]}, {"source": "web"}, None),
        ({"exclude_sources": ["marketplace"]}, {"source": None}, None),
        ({"exclude_apps": ["580111"]}, {"app": 580111}, "app 580111"),
        ({"exclude_apps": ["580111"]}, {"app": 5801112}, None),
        ({"exclude_apps": ["580111"]}, {"app": None}, None),
        ({"exclude_tags": ["Mirrored"]}, {"tags": ["gift", "mirrored"]}, "tag mirrored"),
        ({"exclude_tags": ["mirror"]}, {"tags": ["mirrored"]}, None),
        ({"exclude_tags": ["mirrored"]}, {"tags": []}, None),
    ],
)
def test_exclusion_rules_hold_on_both_roads(
    rules: dict[str, Any], changes: dict[str, Any], excluded: str | None
) -> None:
    as_node: dict[str, Any] = {}
    as_hook: dict[str, Any] = {}
    for name, value in changes.items():
        match name:
            case "test":
                as_node["test"] = as_hook["test"] = value
            case "source":
                as_node["sourceName"] = as_hook["source_name"] = value
            case "app":
                as_node["app"] = value and {"id": f"gid://shopify/App/{value}"}
                as_hook["app_id"] = value
            case "tags":
                as_node["tags"] = value
                as_hook["tags"] = ", ".join(value)
    compiled = Rules.of(settings(**rules))
    assert read_node(order_node(1, **as_node), compiled).excluded == excluded
    assert read_hook(hook_order(1, **as_hook), compiled).excluded == excluded


# Bad input --------------------------------------------------------------------------------------------------------

BAD_QUANTITIES = [-1, 2**63, 1.5, 1.0, "3", None, True, [3], 10**40]


@pytest.mark.parametrize("quantity", BAD_QUANTITIES)
def test_an_absurd_quantity_is_unreadable_and_names_the_order(quantity: Any) -> None:
    for node in (
        order_node(42, [line_node(11, 3, quantity)] if quantity is not None else [line_node(11, None)]),
        order_node(42, [line_node(11, quantity, 0)]),
        order_node(42, refunds=[refund_node(71, [refund_line_node(11, quantity)])]),
    ):
        with pytest.raises(Unreadable) as caught:
            read_node(node)
        assert caught.value.order_id == "42"


@pytest.mark.parametrize("quantity", BAD_QUANTITIES[:-1])
def test_an_absurd_quantity_of_a_webhook_is_unreadable(quantity: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_hook(hook_order(42, [hook_line(11, quantity, 0)]))


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (order_node(42, [line_node(11, 2, 3)]), "line 11: current quantity 3 is above the ordered 2"),
        (order_node(42, [line_node(11), line_node(11)]), "lists a line twice"),
        (order_node(42, [line_node(11, id="gid://shopify/Product/11")]), "gid://shopify/LineItem"),
        (order_node(42, [line_node(11, variant={"id": "511"})]), "gid://shopify/ProductVariant"),
        (order_node(42, [line_node(11, sku="A\x00B")]), "SKU"),
        (order_node(42, [line_node(11, sku="\ud800")]), "SKU"),
        (order_node(42, app={"id": "Etsy"}), "gid://shopify"),
        (order_node(42, refunds=[refund_node(71, [refund_line_node(99)])]), "refund of line 99"),
        (order_node(42, refunds=[refund_node(71, [refund_line_node(11, 1, "TELEPORT")])]), "restock type"),
        (order_node(42, createdAt="0001-01-01T00:00:00+14:00"), "outside of all time"),
        (order_node(42, createdAt="2026-11-20T09:30:00"), "createdAt"),
        (order_node(42, updated_at="yesterday"), "updatedAt"),
        (order_node(42, tags="a, b"), "tags"),
        (order_node(42, test="no"), "test"),
        (order_node(42, lineItems=None), "lineItems"),
        (order_node(42, refunds=[{}]), "refunds"),
        ({"id": "gid://shopify/Order/42"}, "missing"),
    ],
)
def test_a_contradictory_or_misshapen_order_is_unreadable(node: Any, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason) as caught:
        read_node(node)
    assert caught.value.order_id == "42"


@pytest.mark.parametrize("gid", ["42", "gid://shopify/Order/", "gid://shopify/Order/x", "gid://shopify/DraftOrder/42"])
def test_an_order_without_a_usable_id_is_unreadable(gid: str) -> None:
    with pytest.raises(Unreadable):
        read_node(order_node(1, id=gid))


@pytest.mark.parametrize("order_id", ["", "0", "-1", "1.5", "1\n", "\uff14\uff12", "42'", "9" * 40])
def test_only_a_number_makes_an_order_gid(order_id: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        order_gid(order_id)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)


def spoilt(value: Any) -> st.SearchStrategy[Any]:
    """A true value with any one part of it replaced by anything or left out."""
    paths = list(_paths(value))
    return st.builds(_replaced, st.just(value), st.sampled_from(paths), JSON, st.booleans())


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from _paths(child, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], by: Any, drop: bool) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and drop:
        copy.pop(path[0])
    else:
        copy[path[0]] = _replaced(value[path[0]], path[1:], by, drop)
    return copy


TRUE_NODE = order_node(42, [line_node(11, 3, 1)], refunds=[refund_node(71, [refund_line_node(11, 1, "NO_RESTOCK")])])


@given(JSON | spoilt(TRUE_NODE))
def test_any_json_is_an_order_or_unreadable(node: Any) -> None:
    try:
        order = read_node(node)
    except Unreadable:
        return
    assert all(0 <= line.committed <= MAX_QUANTITY for line in order.lines)
    assert order.order_id.isdecimal()
    assert order.placed_at.tzinfo is UTC
