"""Polling, single invoices, and what else the channel does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import respx

from connectors.contract import Channel, Clocked, Gone, Hooks, Order, OrderRef, UnreadableOrder
from connectors.errors import Rejected, Unauthorized, Unavailable, Unreadable
from connectors.marketplacer import MarketplacerChannel
from connectors.marketplacer.client import MAX_PASSES
from connectors.sandbox.clock import VirtualClock
from tests.unit.connectors.marketplacer.vendor import HTML, Vendor, invoice, line_item, page

START = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = START - timedelta(hours=1)
INVOICES = ("GET", "invoices")


def windows(route: respx.Route) -> list[tuple[str | None, str | None, str]]:
    params = [call.request.url.params for call in route.calls]
    return [(each.get("updated_since"), each.get("updated_before"), each["page[number]"]) for each in params]


def read(channel: MarketplacerChannel, cursor: str, pages: int) -> tuple[list[str], bool, str]:
    found, more = [], True
    for _ in range(pages):
        assert more
        answer = channel.orders(cursor)
        found += [order.order_id for order in answer.orders]
        cursor, more = answer.cursor, answer.more
    return found, more, cursor


def test_it_is_a_channel_with_hooks(channel: MarketplacerChannel) -> None:
    assert isinstance(channel, Channel)
    assert isinstance(channel, Hooks)
    assert isinstance(channel, Clocked)


def test_a_window_reaches_back_and_ends_before_the_present_second(
    vendor: Vendor, channel: MarketplacerChannel, clock: VirtualClock
) -> None:
    clock.advance(0.7)
    # Before each window comes a question for the time, as long as no answer tells it.
    asked = vendor.answers(*INVOICES, page([]), page([invoice(21, [line_item()])]), page([]), page([]))
    answer = channel.orders(channel.cursor_at(BEFORE))
    assert [order.order_id for order in answer.orders] == ["21"]
    assert not answer.more
    clock.advance(60)
    channel.orders(answer.cursor)
    assert windows(asked)[1::2] == [
        ("2025-12-31T22:59:00.000Z", "2025-12-31T23:59:57.000Z", "1"),
        ("2025-12-31T23:58:57.000Z", "2026-01-01T00:00:57.000Z", "1"),
    ]
    assert asked.calls[1].request.url.params["include"] == "line_items"


def test_the_vendors_clock_counts(vendor: Vendor, channel: MarketplacerChannel) -> None:
    late = {"date": "Wed, 31 Dec 2025 23:50:00 GMT"}
    asked = vendor.on(*INVOICES).mock(return_value=httpx.Response(200, json=page([]), headers=late))
    channel.orders(channel.cursor_at(BEFORE))
    assert windows(asked)[-1][1] == "2025-12-31T23:49:57.000Z"
    assert channel.clock_skew_seconds == -600


def test_nothing_is_read_before_a_second_is_over(vendor: Vendor, channel: MarketplacerChannel) -> None:
    vendor.answers(*INVOICES, page([]))
    cursor = channel.cursor_at(START)
    answer = channel.orders(cursor)
    assert (answer.orders, answer.cursor, answer.more) == ((), cursor, False)


def test_several_pages_are_read_again_until_two_readings_agree(vendor: Vendor, channel: MarketplacerChannel) -> None:
    def listed(*ids: int, following: int | None = None) -> Any:
        return page([invoice(each, [line_item(each)]) for each in ids], following=following)

    bodies = [
        page([]),
        *(listed(1, 2, following=2), listed(4)),
        *(listed(2, 3, following=2), listed(4, 1)),
        *(listed(4, 3, following=2), listed(2, 1)),
    ]
    asked = vendor.answers(*INVOICES, *bodies)
    found, more, cursor = read(channel, channel.cursor_at(BEFORE), 6)
    assert set(found) == {"1", "2", "3", "4"}
    assert not more
    assert [number for _, _, number in windows(asked)[1:]] == ["1", "2"] * 3
    assert len({window[:2] for window in windows(asked)[1:]}) == 1, "one window, from both its ends"
    assert json.loads(cursor) == {"since": "2025-12-31T23:59:57Z"}


def test_readings_that_never_agree_end(vendor: Vendor, channel: MarketplacerChannel) -> None:
    bodies = [
        body
        for number in range(MAX_PASSES)
        for body in (page([invoice(number, [line_item()])], following=2), page([invoice(99, [line_item()])]))
    ]
    vendor.answers(*INVOICES, page([]), *bodies)
    assert not read(channel, channel.cursor_at(BEFORE), 2 * MAX_PASSES)[1]


def test_a_page_that_repeats_the_one_before_is_refused(vendor: Vendor, channel: MarketplacerChannel) -> None:
    same = [page([invoice(1, [line_item()])], following=number) for number in (2, 3)]
    vendor.answers(*INVOICES, page([]), *same)
    _, _, cursor = read(channel, channel.cursor_at(BEFORE), 1)
    with pytest.raises(Unreadable, match="same as the one before") as caught:
        channel.orders(cursor)
    assert caught.value.account == "shop"


def test_what_cannot_be_read_stands_beside_its_neighbours(vendor: Vendor, channel: MarketplacerChannel) -> None:
    elements = [invoice(21, [line_item()]), invoice(22, [line_item(quantity="two")]), "nonsense", invoice(23)]
    vendor.answers(*INVOICES, page([]), page(elements))
    vendor.on("GET", "invoices/23").mock(return_value=httpx.Response(404))
    answer = channel.orders(channel.cursor_at(BEFORE))
    assert [order.order_id for order in answer.orders] == ["21"]
    assert [each.order_id for each in answer.unreadable] == ["22", None]
    assert b"two" in answer.unreadable[0].raw


def test_line_items_that_did_not_come_along_are_asked_for(
    vendor: Vendor, channel: MarketplacerChannel, clock: VirtualClock
) -> None:
    vendor.answers(*INVOICES, page([]), page([invoice(21)]))
    vendor.answers("GET", "invoices/21", {"data": [invoice(21)], "included": [line_item()]})
    (order,) = channel.orders(channel.cursor_at(BEFORE)).orders
    assert order.lines[0].committed == 2
    assert order.fetched_at == clock.now()


def test_any_trouble_is_a_failure_of_the_page(vendor: Vendor, channel: MarketplacerChannel) -> None:
    vendor.answers(*INVOICES, page([]), page([invoice(21, [line_item()]), invoice(22)]))
    vendor.on("GET", "invoices/22").mock(return_value=httpx.Response(503))
    with pytest.raises(Unavailable):
        channel.orders(channel.cursor_at(BEFORE))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "{}",
        "null",
        '{"since":"2026-01-01"}',
        '{"since":"2026-01-01T00:00:00"}',
        '{"since":"2026-01-01T00:00:00Z","until":"2026-01-01T00:00:00"}',
        '{"since":"2026-01-01T00:00:00Z","number":0}',
        '{"since":"2026-01-01T00:00:00Z","reading":0}',
        '{"since":"0001-01-01T00:00:00+23:00"}',
        "[" * 100_000,
    ],
)
def test_a_cursor_of_somebody_else(channel: MarketplacerChannel, cursor: str) -> None:
    with pytest.raises(Rejected, match="cursor"):
        channel.orders(cursor)


def test_a_moment_without_a_zone_is_none(channel: MarketplacerChannel) -> None:
    with pytest.raises(ValueError, match="time zone"):
        channel.cursor_at(datetime(2026, 1, 1))  # noqa: DTZ001


def test_recent_shows_what_changed_and_what_was_paid(vendor: Vendor, channel: MarketplacerChannel) -> None:
    changed = page([invoice(21, None), invoice(22, None, status=7), "nonsense"])
    asked = vendor.answers(*INVOICES, page([]), changed, page([invoice(23, None)]))
    first, second = channel.recent(BEFORE)
    assert first[0] == OrderRef("21", 1767261600250)
    assert [each.order_id for each in first[1:] if isinstance(each, UnreadableOrder)] == ["22", None]
    assert second == (OrderRef("23", 1767261600250),)
    params = [dict(call.request.url.params) for call in asked.calls[1:]]
    assert [sorted(set(each) - {"page[number]", "page[size]"}) for each in params] == [
        ["updated_before", "updated_since"],
        ["since", "until"],
    ]


def test_recent_names_its_account(vendor: Vendor, channel: MarketplacerChannel) -> None:
    vendor.answers(*INVOICES, page([]))
    vendor.on(*INVOICES).mock(side_effect=[httpx.Response(200, json=page([])), httpx.Response(401)])
    with pytest.raises(Unauthorized) as caught:
        list(channel.recent(BEFORE))
    assert caught.value.account == "shop"


def test_a_single_invoice(vendor: Vendor, channel: MarketplacerChannel, clock: VirtualClock) -> None:
    vendor.answers("GET", "invoices/21", {"data": invoice(21), "included": [line_item()]}, {"data": invoice(22)})
    found = channel.order("21")
    assert isinstance(found, Order)
    assert (found.order_id, found.fetched_at) == ("21", clock.now())
    with pytest.raises(Unreadable, match="another one"):
        channel.order("21")


def test_an_invoice_is_gone_only_while_the_others_are_listed(vendor: Vendor, channel: MarketplacerChannel) -> None:
    vendor.on("GET", "invoices/21").mock(return_value=httpx.Response(404, text=HTML))
    vendor.on(*INVOICES).mock(
        side_effect=[
            httpx.Response(200, json=page([])),
            httpx.Response(404, text=HTML),
            httpx.Response(200, text=HTML),
        ]
    )
    assert isinstance(channel.order("21"), Gone)
    with pytest.raises(Unavailable):
        channel.order("21")
    with pytest.raises(Unreadable):
        channel.order("21")


def test_nothing_is_registered_behind_anybodys_back(channel: MarketplacerChannel) -> None:
    assert (channel.subscribe("https://here.example/hooks/shop"), channel.calls) == ((), 0)
    assert (channel.subscriptions("https://here.example/hooks/shop"), channel.calls) == ((), 0)


def test_doctor_says_what_a_person_has_to_do(vendor: Vendor, channel: MarketplacerChannel) -> None:
    vendor.answers(*INVOICES, page([]))
    checks = {check.name: check for check in channel.check()}
    assert list(checks) == ["access", "clock", "webhooks", "refunds"]
    assert "legacyId" in checks["webhooks"].detail
    assert "auth-key" in checks["webhooks"].detail
    assert "parked for a person" in checks["refunds"].detail
