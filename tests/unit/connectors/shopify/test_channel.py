from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.contract import Askable, Channel, Gone, Hooks, Order, OrderPage, OrderRef, Polled, UnreadableOrder
from connectors.errors import ConnectorError, NotFound, Rejected, Unauthorized, Unavailable, Unreadable
from connectors.shopify import ShopifyChannel
from connectors.shopify.documents import PageShape
from tests.unit.connectors.shopify.vendor import (
    NOW,
    Vendor,
    channel,
    cost,
    line_node,
    order_gid,
    order_node,
    orders_page,
    page_info,
    refund_line_node,
    refund_node,
)

SINCE = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
CLOCK = {"shop": {"id": "gid://shopify/Shop/1"}}
UNTIL_TEXT = "2026-11-21T11:59:57Z"
OLD = "2026-11-21T11:00:00Z"


def scopes(*handles: str) -> dict[str, Any]:
    return {
        "currentAppInstallation": {"accessScopes": [{"handle": handle} for handle in handles]},
        "shop": {"myshopifyDomain": "toys.myshopify.com"},
    }


ALL_SCOPES = scopes("read_orders", "read_all_orders")


@pytest.fixture(autouse=True)
def a_shop_with_time(vendor: Vendor) -> None:
    vendor.unhurried = True
    vendor.will("Clock", CLOCK)
    vendor.will("Access", ALL_SCOPES)


def ids(page: OrderPage) -> list[str]:
    return [order.order_id for order in page.orders]


def committed(order: Order | Gone) -> dict[str, int]:
    assert isinstance(order, Order)
    return {line.line_id: line.committed for line in order.lines}


def test_it_is_a_channel_that_takes_webhooks(shop: ShopifyChannel) -> None:
    assert all(isinstance(shop, ability) for ability in (Channel, Polled, Askable))
    assert isinstance(shop, Hooks)


# Windows ----------------------------------------------------------------------------------------------------------


def test_a_window_goes_from_the_cursor_to_three_seconds_before_the_vendors_now(
    vendor: Vendor, shop: ShopifyChannel
) -> None:
    vendor.will("Orders", orders_page(order_node(1), order_node(2)))
    page = shop.orders(shop.cursor_at(SINCE))
    assert vendor.variables("Orders") == [
        {
            "query": f"updated_at:>='2026-11-21T10:00:00Z' updated_at:<'{UNTIL_TEXT}'",
            "orders": 25,
            "lines": 14,
            "after": None,
        }
    ]
    assert ids(page) == ["1", "2"]
    assert not page.more
    assert page.unreadable == ()
    assert page.orders[0].fetched_at == NOW


def test_the_next_window_begins_where_the_last_one_ended(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Orders", orders_page(order_node(1)), orders_page())
    page = shop.orders(shop.cursor_at(SINCE))
    vendor.clock.advance(60)
    shop.orders(page.cursor)
    assert vendor.variables("Orders")[1]["query"] == (f"updated_at:>='{UNTIL_TEXT}' updated_at:<'2026-11-21T12:00:57Z'")


def test_a_window_keeps_its_end_while_its_pages_are_read(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Orders", orders_page(order_node(1), after="A"), orders_page(order_node(2), after="B"), orders_page())
    pages = [shop.orders(shop.cursor_at(SINCE))]
    while pages[-1].more:
        vendor.clock.advance(60)
        pages.append(shop.orders(pages[-1].cursor))
    assert [ids(page) for page in pages] == [["1"], ["2"], []]
    asked = vendor.variables("Orders")
    assert [variables["after"] for variables in asked] == [None, "A", "B"]
    assert len({variables["query"] for variables in asked}) == 1


def test_the_vendors_clock_counts_not_ours(vendor: Vendor) -> None:
    # Ours runs an hour ahead. A window up to our now would leave out what changes in the vendor's next hour.
    vendor.skew_seconds = -3600.0
    vendor.will("Orders", orders_page())
    shop = channel(vendor)
    shop.orders(shop.cursor_at(SINCE))
    assert vendor.names == ["Clock", "Orders"]
    assert "updated_at:<'2026-11-21T10:59:57Z'" in vendor.variables("Orders")[0]["query"]


def test_the_vendors_clock_is_asked_for_once(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Orders", orders_page())
    cursor = shop.orders(shop.cursor_at(SINCE)).cursor
    vendor.clock.advance(10)
    shop.orders(cursor)
    assert vendor.names == ["Clock", "Orders", "Orders"]


def test_a_window_that_is_not_over_is_not_asked(vendor: Vendor, shop: ShopifyChannel) -> None:
    for since in (NOW - timedelta(seconds=3), NOW, NOW + timedelta(days=1)):
        page = shop.orders(shop.cursor_at(since))
        assert page == OrderPage((), shop.cursor_at(since), more=False)
    assert vendor.names == ["Clock"]


def test_a_cursor_is_whole_seconds_in_utc(shop: ShopifyChannel) -> None:
    local = datetime.fromisoformat("2026-11-21T11:00:00.999+01:00")
    assert json.loads(shop.cursor_at(local)) == {"since": "2026-11-21T10:00:00Z"}
    with pytest.raises(ValueError, match="time zone"):
        shop.cursor_at(datetime(2026, 11, 21))  # noqa: DTZ001


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "null", "[]", "{}", '{"since": 5}', '{"since": "2026-11-21"}', '{"since": "2026-11-21T10:00:00"}',
     '{"since": "2026-11-21T10:00:00Z", "after": 7}', "[" * 100_000],
)  # fmt: skip
def test_a_cursor_of_somebody_else_is_refused(shop: ShopifyChannel, cursor: str) -> None:
    with pytest.raises(Rejected, match="cursor") as caught:
        shop.orders(cursor)
    assert caught.value.account == "toys"


@pytest.mark.parametrize("end", [{"hasNextPage": True, "endCursor": None}, {"hasNextPage": True, "endCursor": "A"}])
def test_a_page_that_does_not_lead_on_is_not_read_for_ever(
    vendor: Vendor, shop: ShopifyChannel, end: Mapping[str, Any]
) -> None:
    vendor.will("Orders", orders_page(order_node(1), after="A"), {"orders": {"nodes": [], "pageInfo": end}})
    first = shop.orders(shop.cursor_at(SINCE))
    with pytest.raises(Unreadable):
        shop.orders(first.cursor)


@pytest.mark.parametrize(
    "answer",
    [{"orders": None}, {}, {"orders": {"nodes": None}}, {"orders": {"nodes": []}},
     {"orders": {"nodes": {}, "pageInfo": {}}}, {"orders": {"nodes": [], "pageInfo": {"hasNextPage": "no"}}}],
)  # fmt: skip
def test_a_page_without_its_shape_is_unreadable(vendor: Vendor, shop: ShopifyChannel, answer: Any) -> None:
    vendor.will("Orders", answer)
    with pytest.raises(Unreadable) as caught:
        shop.orders(shop.cursor_at(SINCE))
    assert caught.value.account == "toys"


def test_one_malformed_order_does_not_spoil_its_neighbours(vendor: Vendor, shop: ShopifyChannel) -> None:
    bad = [order_node(2, [line_node(11, -1)]), order_node(3, [line_node(11, 1, 2)]), None, {"id": 7}]
    vendor.will("Orders", orders_page(order_node(1), *bad, order_node(4)))  # type: ignore[arg-type]
    page = shop.orders(shop.cursor_at(SINCE))
    assert ids(page) == ["1", "4"]
    assert [order.order_id for order in page.unreadable] == ["2", "3", None, None]
    assert json.loads(page.unreadable[0].raw)["id"] == order_gid(2)
    assert "quantity" in page.unreadable[0].reason


def test_an_error_fails_the_page(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Orders", orders_page(order_node(1), order_node(2, refunds=[{"id": "gid://shopify/Refund/71"}])))
    vendor.will("Order", httpx.Response(503))
    with pytest.raises(Unavailable):
        shop.orders(shop.cursor_at(SINCE))


# How much a page holds --------------------------------------------------------------------------------------------


def test_long_orders_are_read_again_whole_and_the_next_page_has_fewer_of_them(
    vendor: Vendor, shop: ShopifyChannel
) -> None:
    cut = [order_node(n, lines_after="L") for n in (1, 2, 3)]
    vendor.will("Orders", orders_page(*cut, after="A"), orders_page())
    lines = [line_node(1), line_node(2)]
    vendor.will("Order", lambda asked: {"order": order_node(int(asked["id"].rsplit("/", 1)[1]), lines)})
    page = shop.orders(shop.cursor_at(SINCE))
    assert [committed(order) for order in page.orders] == [{"1": 3, "2": 3}] * 3
    assert vendor.names.count("Order") == 3
    shop.orders(page.cursor)
    second = vendor.variables("Orders")[1]
    assert (second["orders"], second["lines"]) == (12, PageShape.of(12).lines)


def test_where_room_is_cheap_the_next_page_has_more_of_it(vendor: Vendor, shop: ShopifyChannel) -> None:
    crowded = {"data": orders_page(order_node(1, lines_after="L"), after="A"), "extensions": cost(116, 1900, actual=90)}
    vendor.will("Orders", crowded, orders_page())
    vendor.will("Order", {"order": order_node(1)})
    shop.orders(shop.orders(shop.cursor_at(SINCE)).cursor)
    second = vendor.variables("Orders")[1]
    assert (second["orders"], second["lines"]) == (25, 28)


def test_a_page_the_vendor_finds_too_dear_is_halved_until_it_is_not(vendor: Vendor, shop: ShopifyChannel) -> None:
    def answer(asked: Mapping[str, Any]) -> Any:
        if asked["orders"] > 5:
            return {"errors": [{"message": "Query cost is 1001", "extensions": {"code": "MAX_COST_EXCEEDED"}}]}
        return orders_page(order_node(1))

    vendor.will("Orders", answer)
    page = shop.orders(shop.cursor_at(SINCE))
    assert ids(page) == ["1"]
    vendor.clock.advance(60)
    shop.orders(page.cursor)
    assert [asked["orders"] for asked in vendor.variables("Orders")] == [25, 12, 6, 3, 3]


def test_one_order_that_is_too_dear_is_told(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Orders", {"errors": [{"message": "no", "extensions": {"code": "MAX_COST_EXCEEDED"}}]})
    with pytest.raises(Rejected):
        shop.orders(shop.cursor_at(SINCE))


def test_an_order_with_refunds_is_read_whole(vendor: Vendor, shop: ShopifyChannel) -> None:
    refund = refund_node(71, [refund_line_node(11, 1, "NO_RESTOCK")])
    vendor.will(
        "Orders", orders_page(order_node(1, [line_node(11, 3, 2)], refunds=[{"id": "gid://shopify/Refund/71"}]))
    )
    vendor.will("Order", {"order": order_node(1, [line_node(11, 3, 2)], refunds=[refund])})
    (order,) = shop.orders(shop.cursor_at(SINCE)).orders
    assert committed(order) == {"11": 3}


def test_an_order_deleted_between_page_and_look_is_left_out(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Orders", orders_page(order_node(1, lines_after="L"), order_node(2)))
    vendor.will("Order", {"order": None})
    page = shop.orders(shop.cursor_at(SINCE))
    assert ids(page) == ["2"]
    assert page.unreadable == ()


# One order --------------------------------------------------------------------------------------------------------


def test_an_order_is_one_call(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Order", {"order": order_node(42)})
    order = shop.order("42")
    assert committed(order) == {"11": 3}
    assert vendor.variables("Order") == [{"id": "gid://shopify/Order/42"}]
    assert shop.calls == 1


def more_lines(*lines: Any, updated_at: str = OLD, after: str | None = None) -> dict[str, Any]:
    return {"order": {"updatedAt": updated_at, "lineItems": {"nodes": lines, "pageInfo": page_info(after)}}}


def more_refund_lines(*lines: Any, updated_at: str = OLD, after: str | None = None) -> dict[str, Any]:
    page = {"nodes": lines, "pageInfo": page_info(after)}
    return {"refund": {"order": {"updatedAt": updated_at}, "refundLineItems": page}}


def test_every_line_of_a_long_order_is_read(vendor: Vendor, shop: ShopifyChannel) -> None:
    lines = [line_node(n, 1) for n in range(1, 688)]
    vendor.will("Order", {"order": order_node(42, lines[:100], lines_after="100")})

    def answer(asked: Mapping[str, Any]) -> Any:
        start = int(asked["after"])
        end = start + asked["first"]
        return more_lines(*lines[start:end], after=str(end) if end < len(lines) else None)

    vendor.will("OrderLines", answer)
    assert committed(shop.order("42")) == {str(n): 1 for n in range(1, 688)}
    assert vendor.names == ["Order", "OrderLines", "OrderLines", "OrderLines"]


def test_every_refund_line_is_read(vendor: Vendor, shop: ShopifyChannel) -> None:
    # Seven refunds: five come with the order, the first of them cut after one line.
    lost = refund_line_node(11, 1, "NO_RESTOCK")
    refunds = [refund_node(n, [lost], after="R" if n == 1 else None) for n in range(1, 6)]
    vendor.will("Order", {"order": order_node(42, [line_node(11, 20, 10)], refunds=refunds)})
    vendor.will(
        "RefundIds",
        {"order": {"updatedAt": OLD, "refunds": [{"id": f"gid://shopify/Refund/{n}"} for n in range(1, 8)]}},
    )

    def answer(asked: Mapping[str, Any]) -> Any:
        match asked["id"].rsplit("/", 1)[1], asked["after"]:
            case "1", "R":
                return more_refund_lines(lost)
            case "6", None:
                return more_refund_lines(lost, after="S")
            case "6", "S":
                return more_refund_lines(lost)
            case "7", None:
                return more_refund_lines(lost)
        raise AssertionError(asked)

    vendor.will("RefundLines", answer)
    # Ten are current; 5 + 1 + 2 + 1 were refunded and not put back.
    assert committed(shop.order("42")) == {"11": 19}


def test_more_refunds_than_the_vendor_lists_are_not_guessed(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Order", {"order": order_node(42, refunds=[refund_node(n, []) for n in range(1, 6)])})
    listed = [{"id": f"gid://shopify/Refund/{n}"} for n in range(1, 251)]
    vendor.will("RefundIds", {"order": {"updatedAt": OLD, "refunds": listed}})
    with pytest.raises(Unreadable, match="more refunds") as caught:
        shop.order("42")
    assert caught.value.order_id == "42"


LATER = "2026-11-21T11:00:01Z"
CUT_REFUND = refund_node(71, [refund_line_node(11, 1)], after="R")


@pytest.mark.parametrize(
    ("first", "operation", "moved"),
    [
        (order_node(42, lines_after="L"), "OrderLines", more_lines(line_node(12), updated_at=LATER)),
        (order_node(42, refunds=[CUT_REFUND]), "RefundLines", more_refund_lines(updated_at=LATER)),
        (
            order_node(42, refunds=[refund_node(n, []) for n in range(1, 6)]),
            "RefundIds",
            {"order": {"updatedAt": LATER, "refunds": []}},
        ),
        (order_node(42, lines_after="L"), "OrderLines", {"order": None}),
        (order_node(42, refunds=[CUT_REFUND]), "RefundLines", {"refund": None}),
    ],
)
def test_an_order_that_changes_between_its_pages_is_read_again(
    vendor: Vendor, shop: ShopifyChannel, first: Any, operation: str, moved: Any
) -> None:
    vendor.will("Order", {"order": first}, {"order": order_node(42, [line_node(11, 7)], updated_at=LATER)})
    vendor.will(operation, moved)
    order = shop.order("42")
    assert committed(order) == {"11": 7}
    assert vendor.names == ["Order", operation, "Order"]


def test_an_order_that_never_stands_still_is_read_another_time(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Order", {"order": order_node(42, lines_after="L")})
    vendor.will("OrderLines", more_lines(line_node(12), updated_at=LATER))
    with pytest.raises(Unavailable, match="order 42 changed 3 times") as caught:
        shop.order("42")
    assert caught.value.account == "toys"
    assert len(vendor.asked) == 6


def test_a_long_order_is_not_read_within_the_second_it_changed_in(vendor: Vendor, shop: ShopifyChannel) -> None:
    # Another change in that second would leave the same `updatedAt` on pages of different states.
    now = "2026-11-21T12:00:00Z"
    vendor.will("Order", {"order": order_node(42, updated_at=now, lines_after="L")})
    vendor.will("OrderLines", more_lines(line_node(12), updated_at=now))
    order = shop.order("42")
    assert committed(order) == {"11": 3, "12": 3}
    assert vendor.names == ["Order", "Order", "OrderLines"]
    assert isinstance(order, Order)
    assert order.fetched_at == NOW + timedelta(seconds=1)


def test_an_order_changed_in_the_far_future_is_read_all_the_same(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Order", {"order": order_node(42, updated_at="2030-01-01T00:00:00Z", lines_after="L")})
    vendor.will("OrderLines", more_lines(line_node(12), updated_at="2030-01-01T00:00:00Z"))
    assert committed(shop.order("42")) == {"11": 3, "12": 3}


def test_a_long_order_that_does_not_lead_on_is_unreadable(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Order", {"order": order_node(42, lines_after="L")})
    vendor.will("OrderLines", more_lines(line_node(12), after="L"))
    with pytest.raises(Unreadable):
        shop.order("42")


@pytest.mark.parametrize("operation", ["OrderLines", "RefundLines"])
@pytest.mark.parametrize("page", [{"updatedAt": OLD}, [], {"updatedAt": OLD, "lineItems": {"nodes": [{}]}}])
def test_a_further_page_without_its_shape_names_the_order(
    vendor: Vendor, shop: ShopifyChannel, operation: str, page: Any
) -> None:
    lines_after = "L" if operation == "OrderLines" else None
    vendor.will("Order", {"order": order_node(42, lines_after=lines_after, refunds=[CUT_REFUND])})
    vendor.will(operation, {"order": page, "refund": page})
    with pytest.raises(Unreadable) as caught:
        shop.order("42")
    assert caught.value.order_id == "42"


def test_an_order_the_shop_does_not_have_is_gone(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Order", {"order": None})
    assert shop.order("42") == Gone("42", NOW)
    assert shop.order("43") == Gone("43", NOW)
    assert vendor.names == ["Order", "Access", "Order"]


def test_an_answer_that_says_nothing_of_the_order_is_not_a_deletion(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Order", {})
    with pytest.raises(Unreadable, match="neither what it is nor that it is none"):
        shop.order("42")


def test_an_order_that_may_only_be_too_old_to_be_seen_is_not_gone(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Order", {"order": None})
    vendor.will("Access", scopes("read_orders"), ALL_SCOPES)
    with pytest.raises(Rejected, match="60 days") as caught:
        shop.order("42")
    assert caught.value.code == "read_all_orders"
    assert caught.value.account == "toys"
    # Once the scope is granted, no restart is needed.
    assert shop.order("42") == Gone("42", NOW)


@pytest.mark.parametrize("order_id", ["", "x", "42' OR id:1", "gid://shopify/Order/42", "-1"])
def test_what_cannot_be_an_order_id_is_not_asked_for(vendor: Vendor, shop: ShopifyChannel, order_id: str) -> None:
    with pytest.raises(Rejected):
        shop.order(order_id)
    assert vendor.asked == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [(httpx.Response(401), Unauthorized), (httpx.Response(404), NotFound),
     (httpx.Response(200, text="<p>"), Unreadable), (httpx.Response(402), Unauthorized),
     (httpx.Response(503), Unavailable)],
)  # fmt: skip
def test_errors_of_every_method_name_the_channel(
    vendor: Vendor, shop: ShopifyChannel, answer: httpx.Response, error: type[ConnectorError]
) -> None:
    for operation in ("Clock", "Orders", "Recent", "Order", "Subscriptions"):
        vendor.will(operation, answer)
    for call in (
        lambda: shop.orders(shop.cursor_at(SINCE)),
        lambda: list(shop.recent(SINCE)),
        lambda: shop.order("42"),
        lambda: shop.subscriptions("https://hooks.test/x"),
        lambda: shop.subscribe("https://hooks.test/x"),
    ):
        with pytest.raises(error) as caught:
            call()
        assert caught.value.account == "toys"


# Revisions only ---------------------------------------------------------------------------------------------------


def test_recent_reads_ids_and_revisions_page_by_page(vendor: Vendor, shop: ShopifyChannel) -> None:
    def revision(order_id: int, updated_at: str = OLD) -> dict[str, Any]:
        return {"id": order_gid(order_id), "updatedAt": updated_at}

    vendor.will("Recent", orders_page(revision(1), revision(2), after="A"), orders_page(revision(3)))
    pages = list(shop.recent(SINCE))
    stamp = int(datetime.fromisoformat(OLD).timestamp())
    assert pages == [(OrderRef("1", stamp), OrderRef("2", stamp)), (OrderRef("3", stamp),)]
    query = "updated_at:>='2026-11-21T10:00:00Z'"
    assert vendor.variables("Recent") == [
        {"query": query, "first": 250, "after": None},
        {"query": query, "first": 250, "after": "A"},
    ]


@pytest.mark.parametrize("node", [None, {}, {"id": "7", "updatedAt": OLD}, {"id": order_gid(7), "updatedAt": "now"}])
def test_a_malformed_revision_is_named_and_its_neighbours_go_on(
    vendor: Vendor, shop: ShopifyChannel, node: Any
) -> None:
    good = [{"id": order_gid(number), "updatedAt": OLD} for number in (1, 2)]
    vendor.will("Recent", orders_page(good[0], node, good[1]))
    [found] = shop.recent(SINCE)
    assert [type(each) for each in found] == [OrderRef, UnreadableOrder, OrderRef]
