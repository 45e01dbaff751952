from __future__ import annotations

import base64
import json
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.budget import LocalBudgets, Priority, Scope
from connectors.contract import (
    Askable,
    Channel,
    Clocked,
    Gone,
    Hooks,
    Order,
    OrderPage,
    OrderRef,
    Polled,
    UnreadableOrder,
)
from connectors.errors import ConnectorError, NotFound, RateLimited, Rejected, Unauthorized, Unavailable, Unreadable
from connectors.woocommerce import WooCommerceChannel
from connectors.woocommerce.client import NO_SUCH_ORDER
from tests.unit.connectors.woocommerce.vendor import (
    KEY,
    NOW,
    SECRET,
    Vendor,
    channel,
    error,
    line,
    order,
    refund,
    settings,
    toolbox,
)

SINCE = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
FIELDS = "id,status,date_created_gmt,date_modified_gmt,line_items,refunds"
UNTIL = "2026-11-21T11:59:57"
NO_ORDERBY = error(400, "rest_invalid_param", params={"orderby": "orderby is not one of date, id, ..."})


def ids(page: OrderPage) -> list[str]:
    return [found.order_id for found in page.orders]


def at(minute: int, second: int = 0) -> str:
    return f"2026-11-21T10:{minute:02}:{second:02}"


def windows(vendor: Vendor) -> list[tuple[str, str]]:
    """What was asked for, without the questions for the time alone."""
    asked = vendor.params("orders")
    return [(params["modified_after"], params["page"]) for params in asked if "modified_after" in params]


@pytest.fixture(autouse=True)
def a_shop_without_orders(vendor: Vendor) -> None:
    vendor.will("GET orders", [])


def test_it_is_a_channel_that_takes_webhooks(shop: WooCommerceChannel) -> None:
    assert all(isinstance(shop, ability) for ability in (Channel, Polled, Askable))
    assert isinstance(shop, Hooks)
    assert isinstance(shop, Clocked)


# Windows ----------------------------------------------------------------------------------------------------------


def test_a_window_goes_from_a_second_before_the_cursor_to_three_before_the_vendors_now(
    vendor: Vendor, shop: WooCommerceChannel
) -> None:
    vendor.will("GET orders", [], [order(1), order(2)])
    page = shop.orders(shop.cursor_at(SINCE))
    assert vendor.params("orders") == [
        {"per_page": "1", "_fields": "id"},
        {
            "modified_after": "2026-11-21T09:59:59",
            "modified_before": UNTIL,
            "dates_are_gmt": "true",
            "orderby": "modified",
            "order": "asc",
            "per_page": "50",
            "page": "1",
            "_fields": FIELDS,
        },
    ]
    assert ids(page) == ["1", "2"]
    assert not page.more
    assert page.unreadable == ()
    assert page.orders[0].fetched_at == NOW


def test_the_key_goes_into_a_header_and_nowhere_else(vendor: Vendor, shop: WooCommerceChannel) -> None:
    shop.orders(shop.cursor_at(SINCE))
    for request in vendor.asked:
        assert request.headers["authorization"] == f"Basic {base64.b64encode(f'{KEY}:{SECRET}'.encode()).decode()}"
        assert KEY not in str(request.url)
        assert SECRET not in str(request.url)


def test_the_next_window_begins_where_the_last_one_ended(vendor: Vendor, shop: WooCommerceChannel) -> None:
    page = shop.orders(shop.cursor_at(SINCE))
    vendor.clock.advance(60)
    shop.orders(page.cursor)
    assert windows(vendor) == [("2026-11-21T09:59:59", "1"), ("2026-11-21T11:59:56", "1")]


def test_nothing_is_asked_before_a_second_is_over(vendor: Vendor, shop: WooCommerceChannel) -> None:
    cursor = shop.orders(shop.cursor_at(SINCE)).cursor
    asked = len(vendor.asked)
    vendor.clock.advance(0.9)
    page = shop.orders(cursor)
    assert (page.orders, page.cursor, page.more) == ((), cursor, False)
    assert len(vendor.asked) == asked


def test_after_a_full_page_the_next_one_starts_at_its_last_second(vendor: Vendor) -> None:
    shop = channel(vendor, page_size=2)
    vendor.will(
        "GET orders",
        [],
        [order(1, modified=at(1)), order(2, modified=at(2))],
        [order(2, modified=at(2)), order(3, modified=at(3))],
        [order(3, modified=at(3))],
    )
    pages = [shop.orders(shop.cursor_at(SINCE))]
    while pages[-1].more:
        vendor.clock.advance(60)
        pages.append(shop.orders(pages[-1].cursor))
    assert [ids(page) for page in pages] == [["1", "2"], ["2", "3"], ["3"]]
    assert windows(vendor) == [("2026-11-21T09:59:59", "1"), (f"{at(1, 59)}", "1"), (f"{at(2, 59)}", "1")]
    # The window keeps its end while it is read.
    assert {params["modified_before"] for params in vendor.params("orders")[1:]} == {UNTIL}
    assert json.loads(pages[-1].cursor) == {"since": f"{UNTIL}Z"}


def test_a_page_full_of_one_second_is_read_by_numbers_twice(vendor: Vendor) -> None:
    shop = channel(vendor, page_size=2)
    second = [order(place, modified=at(1)) for place in range(1, 6)]
    answers = {"1": second[:2], "2": second[2:4], "3": second[4:]}

    def answer(request: httpx.Request) -> Any:
        params = request.url.params
        if params.get("modified_before") == at(1, 1):
            return answers[params["page"]]
        return second[:2] if "modified_before" in params else []

    vendor.will("GET orders", answer)
    page = shop.orders(shop.cursor_at(datetime(2026, 11, 21, 10, 1, tzinfo=UTC)))
    assert ids(page) == ["1", "2", "3", "4", "5"]
    assert page.more
    assert json.loads(page.cursor)["since"] == f"{at(1, 1)}Z"
    assert [number for _, number in windows(vendor)] == ["1", "1", "2", "3", "1", "2", "3"]


def test_what_lies_outside_the_window_is_left_out(vendor: Vendor, shop: WooCommerceChannel) -> None:
    before, after = order(1, modified="2026-11-21T09:59:59"), order(4, modified=UNTIL)
    vendor.will("GET orders", [], [before, order(2, modified="2026-11-21T10:00:00"), order(3), after])
    assert ids(shop.orders(shop.cursor_at(SINCE))) == ["2", "3"]


def test_the_vendors_clock_counts_not_ours(vendor: Vendor, shop: WooCommerceChannel) -> None:
    # Ours runs an hour ahead. A window up to our now would leave out what changes in the vendor's next hour.
    vendor.skew_seconds = -3600.0
    shop.orders(shop.cursor_at(SINCE))
    assert vendor.params("orders")[1]["modified_before"] == "2026-11-21T10:59:57"
    assert shop.clock_skew_seconds == -3600.0
    assert "_fields" in vendor.params("orders")[0]
    shop.orders(shop.cursor_at(SINCE))
    assert len(vendor.asked) == 3


def test_an_order_that_cannot_be_read_holds_up_no_other(vendor: Vendor, shop: WooCommerceChannel) -> None:
    odd = order(2, line(11, 1.5), status="x" * 100)
    vendor.will("GET orders", [], [order(1), odd, "what?", order(3, modified=None), {"id": "4"}])
    page = shop.orders(shop.cursor_at(SINCE))
    assert ids(page) == ["1"]
    assert [found.order_id for found in page.unreadable] == ["2", None, "3", None]
    raw = json.loads(page.unreadable[0].raw)
    assert raw["line_items"] == [{"id": 11, "product_id": 93, "variation_id": 0, "quantity": 1.5, "sku": "SKU-11"}]
    assert raw["status"] is None
    for found in page.unreadable:
        assert not any(personal in found.raw for personal in (b"Ada", b"Bob", b"example.com"))


def test_a_page_whose_orders_have_no_dates_still_leads_on(vendor: Vendor) -> None:
    shop = channel(vendor, page_size=2)
    undated = [order(1, modified=None), order(2, modified=None)]
    vendor.will("GET orders", lambda request: undated if request.url.params.get("page", "2") == "1" else [])
    page = shop.orders(shop.cursor_at(SINCE))
    assert [found.order_id for found in page.unreadable] == ["1", "2"]
    assert json.loads(page.cursor)["since"] == "2026-11-21T10:00:01Z"


def test_a_site_that_always_has_one_more_page_is_not_followed_for_ever(vendor: Vendor) -> None:
    shop = channel(vendor, page_size=2)
    vendor.will("GET orders", [order(1, modified=at(1)), order(2, modified=at(1))])
    with pytest.raises(Unreadable, match="more than 500 pages"):
        shop.orders(shop.cursor_at(datetime(2026, 11, 21, 10, 1, tzinfo=UTC)))


def test_an_older_site_is_read_by_id_in_pieces_of_an_hour(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders", [], NO_ORDERBY, [order(2, modified=at(5)), order(3, modified=at(1))])
    page = shop.orders(shop.cursor_at(SINCE))
    assert ids(page) == ["2", "3"]
    assert page.more
    vendor.will("GET orders", [order(4, modified="2026-11-21T11:30:00")])
    page = shop.orders(page.cursor)
    assert (ids(page), page.more) == (["4"], False)
    asked = [(params["orderby"], params["modified_before"]) for params in vendor.params("orders")[1:]]
    assert asked == [("modified", UNTIL), ("id", "2026-11-21T11:00:00"), ("id", UNTIL)]


def test_a_site_whose_order_is_not_what_was_asked_for_is_read_by_id(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders", [], [order(1, modified=at(5)), order(2, modified=at(1))])
    assert ids(shop.orders(shop.cursor_at(SINCE))) == ["1", "2"]
    assert [params["orderby"] for params in vendor.params("orders")[1:]] == ["modified", "id"]


def test_an_order_touched_while_it_is_listed_changes_nothing_for_later(
    vendor: Vendor, shop: WooCommerceChannel
) -> None:
    odd = [{"id": 1, "date_modified_gmt": "2026-11-21T11:50:00"}, {"id": 2, "date_modified_gmt": "2026-11-21T11:40:00"}]
    vendor.will("GET orders", [], odd, odd, [])
    page, _ = shop.recent(datetime(2026, 11, 21, 11, 30, tzinfo=UTC))
    assert [ref.order_id for ref in page] == ["1", "2"]
    vendor.will("GET orders", [])
    shop.orders(shop.cursor_at(SINCE))
    assert [params["orderby"] for params in vendor.params("orders")[1:]] == ["modified", "id", "modified", "modified"]


def test_another_parameter_that_is_not_taken_is_told(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders", [], error(400, "rest_invalid_param", params={"per_page": "no"}))
    with pytest.raises(Rejected, match="400") as caught:
        shop.orders(shop.cursor_at(SINCE))
    assert caught.value.code == "rest_invalid_param"


def test_a_site_that_ignores_the_filter_is_told(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders", [], [order(1, modified="2026-11-21T09:59:58")])
    with pytest.raises(Rejected, match="modified_after") as caught:
        shop.orders(shop.cursor_at(SINCE))
    assert caught.value.account == "toys"


@pytest.mark.parametrize(
    "cursor",
    ["", "{}", "x", '{"since":"yesterday"}', '{"since":"2026-11-21T10:00:00"}', '{"since":5}', "[" * 100_000],
    ids=lambda cursor: cursor[:20],
)
def test_a_cursor_of_something_else_is_refused(shop: WooCommerceChannel, cursor: str) -> None:
    with pytest.raises(Rejected, match="cursor") as caught:
        shop.orders(cursor)
    assert caught.value.code == "cursor"


def test_a_cursor_begins_at_the_start_of_its_second(shop: WooCommerceChannel) -> None:
    moment = datetime(2026, 11, 21, 13, 0, 0, 999_999, tzinfo=UTC)
    assert shop.cursor_at(moment) == '{"since":"2026-11-21T13:00:00Z"}'
    with pytest.raises(ValueError, match="time zone"):
        shop.cursor_at(moment.replace(tzinfo=None))


# Whole orders -----------------------------------------------------------------------------------------------------


def test_one_order_is_one_call(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders/727", order(727))
    found = shop.order("727")
    assert isinstance(found, Order)
    assert (found.order_id, found.fetched_at) == ("727", NOW)
    assert vendor.names == ["GET orders/727"]
    assert vendor.params("orders/727") == [{"_fields": FIELDS}]


def test_what_rules_need_is_asked_for(vendor: Vendor) -> None:
    shop = channel(vendor, exclude_created_via=["rest-api"], exclude_meta_keys=["_x"])
    vendor.will("GET orders/1", order(1))
    shop.order("1")
    assert vendor.params("orders/1") == [{"_fields": f"{FIELDS},created_via,meta_data"}]


def test_refunds_are_asked_for_where_they_decide(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders", [], [order(1, refunds=[7]), order(2, line(11, 3, "2"), refunds=[8])])
    vendor.will("GET orders/1/refunds", [refund(7, ("11", -1))])
    page = shop.orders(shop.cursor_at(SINCE))
    assert [found.lines[0].committed for found in page.orders] == [2, 2]
    assert vendor.params("orders/1/refunds") == [{"per_page": "100", "page": "1", "_fields": "id,line_items"}]


def test_refunds_that_are_others_than_the_order_names_make_it_be_read_again(
    vendor: Vendor, shop: WooCommerceChannel
) -> None:
    vendor.will("GET orders/1", order(1, refunds=[7]), order(1, refunds=[7, 8]))
    vendor.will("GET orders/1/refunds", [refund(8, ("11", -1)), refund(7, ("11", -1))])
    found = shop.order("1")
    assert isinstance(found, Order)
    assert found.lines[0].committed == 1
    assert vendor.names.count("GET orders/1") == 2


def test_an_order_refunded_while_its_page_is_read_is_read_again(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders", [], [order(1, refunds=[7]), order(2)])
    vendor.will("GET orders/1", order(1, refunds=[7, 8]))
    vendor.will("GET orders/1/refunds", [refund(8, ("11", -1)), refund(7, ("11", -1))])
    page = shop.orders(shop.cursor_at(SINCE))
    assert [(found.order_id, found.lines[0].committed) for found in page.orders] == [("1", 1), ("2", 3)]


def test_an_order_deleted_while_its_page_is_read_is_left_out(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders", [], [order(1, refunds=[7]), order(2)])
    vendor.will("GET orders/1/refunds", error(404, "woocommerce_rest_invalid_order_id"))
    vendor.will("GET orders/1", error(404, NO_SUCH_ORDER))
    assert ids(shop.orders(shop.cursor_at(SINCE))) == ["2"]


def test_too_many_refunds_are_not_followed_for_ever(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders/1", order(1, refunds=[7]))
    vendor.will("GET orders/1/refunds", [refund(place) for place in range(1, 101)])
    with pytest.raises(Unreadable, match="more than 2000 refunds"):
        shop.order("1")


def test_only_the_shops_own_word_makes_an_order_gone(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders/1", error(404, NO_SUCH_ORDER))
    assert shop.order("1") == Gone("1", NOW)
    for other in (error(404, "rest_no_route"), httpx.Response(404, html="<p>Not found</p>"), httpx.Response(404)):
        vendor.will("GET orders/1", other)
        with pytest.raises(NotFound):
            shop.order("1")


def test_another_order_than_asked_for_is_unreadable(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders/1", order(2))
    with pytest.raises(Unreadable, match="another"):
        shop.order("1")


@pytest.mark.parametrize("order_id", ["", "0", "-1", "1/refunds", "../products/1", "x", "1?a=b", "9" * 20, "\u0661"])
def test_what_is_no_order_id_is_not_asked_for(vendor: Vendor, shop: WooCommerceChannel, order_id: str) -> None:
    with pytest.raises(Rejected, match="no order id"):
        shop.order(order_id)
    assert vendor.asked == []


# Recent -----------------------------------------------------------------------------------------------------------


def test_recent_reads_ids_and_revisions_alone(vendor: Vendor, shop: WooCommerceChannel) -> None:
    rows = [{"id": 1, "date_modified_gmt": at(1)}, {"id": 2, "date_modified_gmt": None}, {"name": "x"}]
    vendor.will("GET orders", [], rows, [])
    page, last = shop.recent(SINCE)
    assert last == ()
    assert page[0] == OrderRef("1", int(datetime(2026, 11, 21, 10, 1, tzinfo=UTC).timestamp()))
    assert [(ref.order_id, type(ref)) for ref in page[1:]] == [("2", UnreadableOrder), (None, UnreadableOrder)]
    first, second = vendor.params("orders")[1:]
    assert (first["_fields"], first["per_page"]) == ("id,date_modified_gmt", "100")
    # Up to the present second and past it: what is being changed right now is not left out.
    assert (first["modified_before"], second["modified_after"]) == (UNTIL, "2026-11-21T11:59:56")
    assert second["modified_before"] > "2026-11-21T12:00:00"


def test_recent_goes_on_from_the_last_second_of_a_full_page(vendor: Vendor, shop: WooCommerceChannel) -> None:
    rows = [{"id": place + 1, "date_modified_gmt": at(place // 10)} for place in range(100)]
    vendor.will("GET orders", [], rows, rows[90:], [])
    assert [len(page) for page in shop.recent(SINCE)] == [100, 10, 0]
    assert windows(vendor)[1][0] == at(8, 59)


def test_recent_does_not_take_an_order_that_was_just_touched_for_the_place_reached(
    vendor: Vendor, shop: WooCommerceChannel
) -> None:
    rows = [{"id": place + 1, "date_modified_gmt": at(place // 10)} for place in range(100)]
    rows[-1]["date_modified_gmt"] = "2026-11-21T12:00:00"
    vendor.will("GET orders", [], rows, rows[90:], [])
    assert [len(page) for page in shop.recent(SINCE)] == [99, 9, 0]
    assert windows(vendor)[1][0] == at(8, 59)


# Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(401, "woocommerce_rest_authentication_error"), Unauthorized),
        (error(401, "woocommerce_rest_cannot_view"), Unauthorized),
        (error(403, "rest_forbidden"), Unauthorized),
        (httpx.Response(401, html="<p>Who are you?</p>"), Unauthorized),
        (httpx.Response(403, html="<p>Blocked</p>"), Unavailable),
        (httpx.Response(200, html="<p>Soon back</p>"), Unavailable),
        (httpx.Response(200), Unavailable),
        (httpx.Response(200, content=b'{"id": 1, "billing": {"email": "ada@examp'), Unavailable),
        (httpx.Response(503, html="<p>Maintenance</p>"), Unavailable),
        (httpx.Response(500, json={"code": "internal_server_error"}), Unavailable),
        (httpx.Response(429, headers={"Retry-After": "7"}), RateLimited),
        (httpx.ConnectError("no"), Unavailable),
        (httpx.ReadTimeout("no"), Unavailable),
        (error(400, "rest_invalid_param", params=["orderby"]), Rejected),
        (httpx.Response(400, json=[]), Rejected),
        (httpx.Response(301), Rejected),
        (httpx.Response(404, html="<p>Nothing</p>"), NotFound),
        ([], Unreadable),
        ({"id": 1}, Unreadable),
        (httpx.Response(200, content=b"null"), Unreadable),
    ],
)
def test_every_answer_is_a_value_or_an_error_of_the_contract(
    vendor: Vendor, shop: WooCommerceChannel, answer: Any, kind: type[ConnectorError]
) -> None:
    vendor.will("GET orders/1", answer)
    with pytest.raises(kind) as caught:
        shop.order("1")
    text = repr(caught.value) + str(caught.value)
    assert caught.value.account == "toys"
    for secret in (KEY, SECRET, "ada@", "Ada"):
        assert secret not in text


def test_few_calls_run_at_once(vendor: Vendor) -> None:
    spent: list[Scope] = []

    class Recording(LocalBudgets):
        def spend(self, scope: Scope, *, priority: Priority, cost: float = 1.0) -> AbstractContextManager[None]:
            spent.append(scope)
            return super().spend(scope, priority=priority, cost=cost)

    tools = replace(toolbox(vendor), budgets=Recording(vendor.clock))
    shop = WooCommerceChannel("toys", settings(calls_at_once=3), tools)
    shop.orders(shop.cursor_at(SINCE))
    # Named by the site: two channels with keys of one site share its patience.
    assert set(spent) == {Scope("woocommerce:shop.test/store", None, in_flight=3)}


def test_a_vendor_that_asks_for_patience_gets_it(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET orders/1", httpx.Response(503, headers={"Retry-After": "5"}), order(1))
    began = vendor.clock.now()
    assert isinstance(shop.order("1"), Order)
    assert vendor.clock.now() - began >= timedelta(seconds=5)
