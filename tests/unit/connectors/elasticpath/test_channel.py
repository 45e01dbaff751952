"""Polling and single orders: every answer the vendor can give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import respx

from connectors.contract import Askable, Channel, Clocked, Gone, Hooks, Order, OrderRef, Polled, UnreadableOrder
from connectors.elasticpath import ElasticPathChannel
from connectors.errors import ConnectorError, RateLimited, Rejected, Unauthorized, Unavailable, Unreadable
from connectors.sandbox.clock import VirtualClock
from tests.unit.connectors.elasticpath.vendor import HTML, Vendor, error, item, order, page

ORDERS = ("GET", "v2/orders")
ONE = ("GET", "v2/orders/order-1")
ITEMS = ("GET", "v2/orders/order-1/items")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _later(clock: VirtualClock) -> None:
    clock.advance(3600)


def stamped(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def full(created: list[str], prefix: str = "o") -> dict[str, Any]:
    """A page of as many orders as were made then."""
    nodes = [order(f"{prefix}-{place}", [], created_at=moment) for place, moment in enumerate(created)]
    return page(nodes, items=[])


def query(route: respx.Route, call: int) -> dict[str, str]:
    return dict(route.calls[call].request.url.params)


def test_it_is_a_channel_with_hooks(channel: ElasticPathChannel) -> None:
    assert all(isinstance(channel, ability) for ability in (Channel, Polled, Askable))
    assert isinstance(channel, Hooks)
    assert isinstance(channel, Clocked)


# Polling


def test_a_window_ends_three_seconds_before_the_vendors_now(vendor: Vendor, channel: ElasticPathChannel) -> None:
    date = {"date": "Thu, 01 Jan 2026 02:00:10 GMT"}
    listed = vendor.on(*ORDERS).mock(
        side_effect=[
            httpx.Response(200, json=page([]), headers=date),
            httpx.Response(200, json=page([order()], items=[item()]), headers=date),
        ]
    )
    found = channel.orders(channel.cursor_at(START))
    assert query(listed, 1) == {
        "filter": 'ge(updated_at,"2026-01-01T00:00:00.000Z"):lt(updated_at,"2026-01-01T02:00:07.000Z")',
        "sort": "created_at",
        "include": "items",
        "page[limit]": "100",
        "page[offset]": "0",
    }
    assert [each.order_id for each in found.orders] == ["order-1"]
    assert (found.more, found.cursor) == (False, channel.cursor_at(START + timedelta(hours=2, seconds=7)))


def test_nothing_is_asked_before_a_second_is_over(
    vendor: Vendor, channel: ElasticPathChannel, clock: VirtualClock
) -> None:
    listed = vendor.on(*ORDERS).respond(json=page([]))
    cursor = channel.cursor_at(clock.now() - timedelta(seconds=2))
    found = channel.orders(cursor)
    assert (found.orders, found.cursor, found.more) == ((), cursor, False)
    assert [call.request.url.params.get("filter") for call in listed.calls] == [None]


def test_a_full_page_leads_on_from_when_its_last_order_was_made(vendor: Vendor, channel: ElasticPathChannel) -> None:
    made = [stamped(START + timedelta(seconds=place // 2)) for place in range(100)]
    listed = vendor.answers(*ORDERS, page([]), full(made), full([made[-1], made[-1]], "last"))
    first = channel.orders(channel.cursor_at(START))
    second = channel.orders(first.cursor)
    assert (first.more, second.more) == (True, False)
    assert query(listed, 2)["filter"].endswith(f':ge(created_at,"{made[-1]}")')
    assert query(listed, 2)["page[offset]"] == "0"
    # The window stays the same while it is read.
    assert query(listed, 1)["filter"] in query(listed, 2)["filter"]


def test_a_page_of_one_moment_leads_on_by_its_number_up_to_the_vendors_end(
    vendor: Vendor, channel: ElasticPathChannel
) -> None:
    listed = vendor.on(*ORDERS).mock(return_value=httpx.Response(200, json=full([stamped(START)] * 100)))
    cursor = channel.cursor_at(START)
    for _ in range(101):
        cursor = channel.orders(cursor).cursor
    # The first call only asks for the time.
    offsets = [query(listed, call)["page[offset]"] for call in range(1, 102)]
    assert offsets == ["0", *(str(offset) for offset in range(0, 10_000, 100))]
    with pytest.raises(Unreadable, match="more than 10000 orders were made at"):
        channel.orders(cursor)


@pytest.mark.parametrize(
    "body",
    [
        full([stamped(START + timedelta(seconds=100 - place)) for place in range(100)]),
        page(["nonsense"] * 100),
        {"data": {}},
        {},
        [],
    ],
)
def test_a_page_that_cannot_lead_on_is_handed_over_not_at_all(
    vendor: Vendor, channel: ElasticPathChannel, body: Any
) -> None:
    vendor.on(*ORDERS).respond(json=body)
    with pytest.raises(Unreadable) as caught:
        channel.orders(channel.cursor_at(START))
    assert caught.value.account == "shop"


def test_one_that_cannot_be_read_does_not_stop_its_neighbours(vendor: Vendor, channel: ElasticPathChannel) -> None:
    nodes = [order(), order("order-2", ["item-2"], payment="refunded"), {"id": "order-3"}, "nonsense"]
    nodes += [order("order-5", ["item-5"])]
    items = [item(), item("item-2"), item("item-5", quantity=-1)]
    vendor.answers(*ORDERS, page([]), page(nodes, items=items))
    found = channel.orders(channel.cursor_at(START))
    assert [each.order_id for each in found.orders] == ["order-1"]
    assert [each.order_id for each in found.unreadable] == ["order-2", "order-3", None, "order-5"]
    assert all(b"Ada" not in each.raw for each in found.unreadable)
    assert b'"item-2"' in found.unreadable[0].raw


@pytest.mark.parametrize("items", [None, ["item-1", "item-2"]])
def test_an_order_whose_items_did_not_all_come_along_is_read_by_itself(
    vendor: Vendor, channel: ElasticPathChannel, items: list[str] | None
) -> None:
    vendor.answers(*ORDERS, page([]), page([order(items=items)], items=[item()]))
    vendor.on(*ONE).respond(json={"data": order(items=items)})
    vendor.answers(*ITEMS, page([item(), item("item-2")]))
    (found,) = channel.orders(channel.cursor_at(START)).orders
    assert [line.line_id for line in found.lines] == ["item-1", "item-2"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(401), Unauthorized),
        (error(403), Unauthorized),
        (error(400, "Bad Request", "Could not parse the supplied filter"), Rejected),
        (error(429), RateLimited),
        (error(500), Unavailable),
        (httpx.Response(200, text=HTML), Unreadable),
        (httpx.Response(404, text=HTML), Unavailable),
        (httpx.Response(302), Rejected),
    ],
)
def test_a_page_that_is_refused(
    vendor: Vendor, channel: ElasticPathChannel, answer: httpx.Response, expected: type[ConnectorError]
) -> None:
    vendor.on(*ORDERS).mock(
        side_effect=lambda _: httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
    )
    with pytest.raises(expected) as caught:
        channel.orders(channel.cursor_at(START))
    assert caught.value.account == "shop"


# Ids and revisions


def test_recent_names_orders_by_pages_and_goes_on_past_what_it_cannot_read(
    vendor: Vendor, channel: ElasticPathChannel
) -> None:
    made = [stamped(START + timedelta(seconds=place)) for place in range(100)]
    listed = vendor.answers(*ORDERS, full(made), page([order("last"), {"id": "odd"}, order("x" * 300)]))
    first, second = channel.recent(START)
    assert [each.order_id for each in first] == [f"o-{place}" for place in range(100)]
    assert second[0] == OrderRef("last", 1_767_261_600_123)
    assert [each.order_id for each in second[1:] if isinstance(each, UnreadableOrder)] == ["odd", None]
    assert "include" not in query(listed, 0)
    assert query(listed, 0)["filter"] == 'ge(updated_at,"2026-01-01T00:00:00.000Z")'


# One order


def test_one_order_in_one_call(vendor: Vendor, channel: ElasticPathChannel, clock: VirtualClock) -> None:
    asked = vendor.answers(*ONE, {"data": order(), "included": {"items": [item()]}})
    found = channel.order("order-1")
    assert isinstance(found, Order)
    assert found.fetched_at == clock.now()
    assert query(asked, 0) == {"include": "items"}


def test_items_read_by_themselves_count_only_if_the_order_stood_still(
    vendor: Vendor, channel: ElasticPathChannel
) -> None:
    before, after = order(), order(updated_at="2026-01-01T10:00:00.124Z")
    asked = vendor.answers(*ONE, {"data": before}, {"data": after}, {"data": after}, {"data": after})
    vendor.answers(*ITEMS, page([item(quantity=1)]), page([item(quantity=2)]))
    found = channel.order("order-1")
    assert isinstance(found, Order)
    assert [line.committed for line in found.lines] == [2]
    assert asked.call_count == 4


@pytest.mark.parametrize("items", [[], [item("another")]])
def test_an_order_that_is_never_shown_whole_is_read_later(
    vendor: Vendor, channel: ElasticPathChannel, items: list[Any]
) -> None:
    vendor.on(*ONE).respond(json={"data": order()})
    vendor.on(*ITEMS).respond(json=page(items))
    with pytest.raises(Unavailable, match="not shown whole"):
        channel.order("order-1")


def test_an_order_that_is_not_there_is_gone_if_the_vendor_says_so(
    vendor: Vendor, channel: ElasticPathChannel, clock: VirtualClock
) -> None:
    asked = vendor.on(*ONE).mock(return_value=error(404, "Not Found", "Order not found", shown="404"))
    assert channel.order("order-1") == Gone("order-1", clock.now())
    asked.respond(404, text=HTML)
    with pytest.raises(Unavailable):
        channel.order("order-1")


def test_a_refunded_order_is_unreadable_by_its_id(vendor: Vendor, channel: ElasticPathChannel) -> None:
    vendor.answers(*ONE, {"data": order(payment="refunded"), "included": {"items": [item()]}})
    with pytest.raises(Unreadable, match="set `refunded`") as caught:
        channel.order("order-1")
    assert (caught.value.order_id, caught.value.account) == ("order-1", "shop")
