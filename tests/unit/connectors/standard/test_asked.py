"""A system that can be read over HTTP: pages, single orders, and every answer that is neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.contract import Askable, Channel, Clocked, Gone, Hooks, Order, OrderRef, Polled, UnreadableOrder
from connectors.errors import ConnectorError, NotFound, RateLimited, Rejected, Unauthorized, Unavailable, Unreadable
from connectors.standard import AskedChannel, asked
from tests.unit.connectors.standard.vendor import NOW, TOKEN, Vendor, committed, line, order, page

SINCE = datetime(2026, 11, 20, tzinfo=UTC)


def test_it_can_do_everything(shop: AskedChannel) -> None:
    for ability in (Channel, Polled, Askable, Hooks, Clocked):
        assert isinstance(shop, ability)


def test_a_reading_of_several_pages(shop: AskedChannel, vendor: Vendor) -> None:
    vendor.will(page(order("S-1"), order("S-2"), following="a b/c"), page(order("S-3")))
    first = shop.orders(shop.cursor_at(SINCE))
    vendor.clock.advance(100)
    second = shop.orders(first.cursor)
    assert [one.order_id for one in (*first.orders, *second.orders)] == ["S-1", "S-2", "S-3"]
    assert (first.more, second.more) == (True, False)
    assert [one.fetched_at for one in (*first.orders, *second.orders)] == [NOW, NOW, NOW + timedelta(seconds=100)]
    assert vendor.params == [
        {"updated_since": "2026-11-20T00:00:00Z", "limit": "2"},
        {"updated_since": "2026-11-20T00:00:00Z", "limit": "2", "cursor": "a b/c"},
    ]
    assert vendor.asked[0].url.path == "/api/orders"
    assert vendor.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    # The next reading begins where this one did, not where it ended.
    shop.orders(second.cursor)
    assert vendor.params[-1] == {"updated_since": "2026-11-21T11:59:57Z", "limit": "2"}


def test_the_same_cursor_reads_the_same(shop: AskedChannel, vendor: Vendor) -> None:
    vendor.will(page(order()))
    cursor = shop.cursor_at(SINCE)
    assert shop.orders(cursor) == shop.orders(cursor)


@pytest.mark.parametrize(("skew_seconds", "expected"), [(-60, "11:58:57"), (60, "12:00:57"), (0, "11:59:57")])
def test_their_clock_decides_where_the_next_reading_begins(
    shop: AskedChannel, vendor: Vendor, skew_seconds: float, expected: str
) -> None:
    vendor.skew_seconds = skew_seconds
    vendor.will(page())
    shop.orders(shop.orders(shop.cursor_at(SINCE)).cursor)
    assert vendor.params[-1]["updated_since"] == f"2026-11-21T{expected}Z"
    assert shop.clock_skew_seconds == skew_seconds


def test_reading_never_goes_back(shop: AskedChannel, vendor: Vendor) -> None:
    vendor.will(page())
    late = NOW + timedelta(hours=1)
    shop.orders(shop.orders(shop.cursor_at(late)).cursor)
    assert [params["updated_since"] for params in vendor.params] == ["2026-11-21T13:00:00Z"] * 2


def test_a_wrong_order_is_told_and_its_neighbours_are_taken(shop: AskedChannel, vendor: Vendor) -> None:
    wrong: list[Any] = [order("S-2", version="x"), order("S-3", line(cancelled=9)), {"name": "Ada"}, None, 7]
    vendor.will(page(order("S-1"), *wrong, order("S-4")))
    found = shop.orders(shop.cursor_at(SINCE))
    assert [one.order_id for one in found.orders] == ["S-1", "S-4"]
    assert [one.order_id for one in found.unreadable] == ["S-2", "S-3", None, None, None]
    assert all("Ada" not in one.reason and one.raw == b"" for one in found.unreadable)


def test_ids_and_revisions(shop: AskedChannel, vendor: Vendor) -> None:
    vendor.will(page(order("S-1"), following="2"), page(order("S-2", version=9), order("S-3", version=None)))
    pages = list(shop.recent(SINCE))
    assert pages[0] == (OrderRef("S-1", 7),)
    assert pages[1][0] == OrderRef("S-2", 9)
    assert isinstance(pages[1][1], UnreadableOrder)
    assert vendor.params[-1]["cursor"] == "2"


# Cursors ----------------------------------------------------------------------------------------------------------


def test_a_page_that_names_itself_is_not_read_for_ever(shop: AskedChannel, vendor: Vendor) -> None:
    vendor.will(page(order(), following="1"))
    first = shop.orders(shop.cursor_at(SINCE))
    for read in (lambda: shop.orders(first.cursor), lambda: list(shop.recent(SINCE))):
        with pytest.raises(Rejected, match="the same page") as caught:
            read()
        assert caught.value.account == "till"


def test_pages_without_end_are_not_read_for_ever(
    shop: AskedChannel, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "MAX_PAGES", 3)
    vendor.will(page(following="1"), page(following="2"), page(following="1"), page(following="2"))
    cursor = shop.cursor_at(SINCE)
    for _ in range(3):
        cursor = shop.orders(cursor).cursor
    with pytest.raises(Rejected, match="more than 3 pages"):
        shop.orders(cursor)
    vendor.will(page(following="1"), page(following="2"), page(following="1"), page(following="2"))
    with pytest.raises(Rejected, match="more than 3 pages"):
        list(shop.recent(SINCE))


def test_a_cursor_that_is_not_known_any_more_is_begun_anew_and_told_if_that_does_not_help(
    shop: AskedChannel, vendor: Vendor
) -> None:
    gone = httpx.Response(410, json={"error": "expired"})
    vendor.will(page(order("S-1"), following="1"), gone, page(order("S-1"), following="2"), gone)
    first = shop.orders(shop.cursor_at(SINCE))
    anew = shop.orders(first.cursor)
    assert (anew.orders, anew.more) == ((), True)
    second = shop.orders(anew.cursor)
    assert "cursor" not in vendor.params[-1]
    assert vendor.params[-1]["updated_since"] == "2026-11-20T00:00:00Z"
    with pytest.raises(Rejected, match="410"):
        shop.orders(second.cursor)
    vendor.clock.advance(601)
    assert shop.orders(second.cursor).more


@pytest.mark.parametrize("cursor", ["", "{", "{}", '{"since":7}', '{"since":"2026-11-21T12:00:00"}', "[" * 100_000])
def test_a_cursor_of_somebody_else_is_refused(shop: AskedChannel, cursor: str) -> None:
    with pytest.raises(Rejected, match="cursor"):
        shop.orders(cursor)


def test_a_moment_needs_its_zone(shop: AskedChannel) -> None:
    with pytest.raises(ValueError, match="time zone"):
        shop.cursor_at(datetime(2026, 1, 1))  # noqa: DTZ001


# One order --------------------------------------------------------------------------------------------------------


def test_one_order_is_asked_for_by_its_id(shop: AskedChannel, vendor: Vendor) -> None:
    vendor.will(page(order("S/1 ?")))
    found = shop.order("S/1 ?")
    assert isinstance(found, Order)
    assert (committed(found), found.fetched_at) == ({"1": 3}, NOW)
    assert vendor.params == [{"order_id": "S/1 ?"}]


def test_an_order_is_gone_when_there_is_none_at_all(shop: AskedChannel, vendor: Vendor) -> None:
    vendor.will(page())
    assert shop.order("S-1") == Gone("S-1", NOW)


@pytest.mark.parametrize(
    "answered", [page(order("S-2")), page(order("S-1"), order("S-2")), page(order("S-1"), order("S-1"))], ids=range(3)
)
def test_a_system_that_does_not_know_the_question_deletes_nothing(
    shop: AskedChannel, vendor: Vendor, answered: Any
) -> None:
    vendor.will(answered)
    with pytest.raises(Rejected, match="does it know order_id"):
        shop.order("S-1")


def test_an_order_that_makes_no_sense_is_named(shop: AskedChannel, vendor: Vendor) -> None:
    vendor.will(page(order("S-1", version="x")))
    with pytest.raises(Unreadable) as caught:
        shop.order("S-1")
    assert (caught.value.order_id, caught.value.account) == ("S-1", "till")


# Answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(401, json={"error": "no"}), Unauthorized),
        (httpx.Response(403, json={"error": "no"}), Unauthorized),
        (httpx.Response(404, text="<html>"), NotFound),
        (httpx.Response(400, json={"error": "limit"}), Rejected),
        (httpx.Response(410, json={}), Rejected),
        (httpx.Response(301, headers={"location": "https://elsewhere.test/"}), Rejected),
        (httpx.Response(429, headers={"retry-after": "60"}), RateLimited),
        (httpx.Response(500, text="<html>"), Unavailable),
        (httpx.ConnectError("no"), Unavailable),
        (httpx.Response(200, text="<html>"), Unreadable),
        (httpx.Response(200, json=[]), Unreadable),
        (httpx.Response(200, json={"orders": {}}), Unreadable),
        (httpx.Response(200, json={"next": None}), Unreadable),
        (httpx.Response(200, json={"orders": [], "next": 7}), Unreadable),
        (httpx.Response(200, content=b"[" * 100_000), Unreadable),
    ],
    ids=range(15),
)
def test_every_answer_means_something(shop: AskedChannel, vendor: Vendor, answer: Any, kind: type) -> None:
    vendor.will(answer)
    reads = (lambda: shop.orders(shop.cursor_at(SINCE)), lambda: shop.order("S-1"), lambda: next(shop.recent(SINCE)))
    for read in reads:
        with pytest.raises(ConnectorError) as caught:
            read()
        assert type(caught.value) is kind or kind is Rejected
        assert isinstance(caught.value, kind)
        assert caught.value.account == "till"
        assert TOKEN not in str(caught.value)
    assert {request.url.host for request in vendor.asked} == {"shop.test"}
    checks = shop.check()
    assert [(check.name, check.ok) for check in checks][:1] == [("access", False)]
    assert checks[0].remedy


def test_doctor_tries_a_page_an_order_and_the_clock(shop: AskedChannel, vendor: Vendor) -> None:
    vendor.will(page())
    assert [check.name for check in shop.check() if not check.ok] == []
    vendor.will(page(order("S-1")))
    assert [check.name for check in shop.check() if not check.ok] == ["single orders"]
    vendor.skew_seconds = 100
    vendor.will(page())
    assert [check.name for check in shop.check() if not check.ok] == ["clock"]


def test_a_system_without_a_clock_is_taken_to_have_ours(shop: AskedChannel, vendor: Vendor) -> None:
    vendor.dated = False
    vendor.will(page())
    assert all(check.ok for check in shop.check())
    shop.orders(shop.orders(shop.cursor_at(SINCE)).cursor)
    assert vendor.params[-1]["updated_since"] == "2026-11-21T11:59:57Z"
    assert shop.calls == len(vendor.asked)
