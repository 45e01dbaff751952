from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.contract import Author, Ledger, RemoteAdjustment, Reservation, ReservationState
from connectors.errors import CursorTooOld, NotFound, Unavailable, Unreadable
from connectors.sandbox.clock import VirtualClock
from connectors.sharetribe import SharetribeMarketplace
from tests.unit.connectors.sharetribe.vendor import Vendor, adjustment, error, link, page

QUERY = ("GET", "stock_adjustments/query")
SINCE = datetime(2025, 12, 31, tzinfo=UTC)


def at(second: int) -> str:
    return f"2026-01-01T10:00:{second:02}.000Z"


def reservation(
    reservation_id: str, state: Any = "accepted", transaction: str | None = "transaction-1"
) -> dict[str, Any]:
    return {
        "id": reservation_id,
        "type": "stockReservation",
        "attributes": {"quantity": 2, "state": state},
        "relationships": {"transaction": link("transaction", transaction)},
    }


def test_it_is_a_ledger(marketplace: SharetribeMarketplace) -> None:
    assert isinstance(marketplace, Ledger)


def test_adjustments_come_oldest_first_then_by_id(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    query = vendor.answers(
        *QUERY,
        page(
            [
                adjustment("c", at=at(2), quantity=-1),
                adjustment("b", at=at(1), quantity=4),
                adjustment("a", at=at(2), quantity=-2),
            ]
        ),
    )
    found = marketplace.adjustments("listing-1", since=SINCE)
    assert [(each.adjustment_id, each.quantity) for each in found] == [("b", 4), ("a", -2), ("c", -1)]
    assert found[0] == RemoteAdjustment("b", "listing-1", datetime(2026, 1, 1, 10, 0, 1, tzinfo=UTC), 4)
    params = query.calls[0].request.url.params
    assert params["listingId"] == "listing-1"
    assert params["start"] == "2025-12-31T00:00:00.000Z"
    assert params["include"] == "stockReservation,stockReservation.transaction"
    assert (params["page"], params["perPage"]) == ("1", "100")
    # Of a transaction nothing is wanted but its id.
    assert params["fields.transaction"] == "lastTransition"


def test_an_adjustment_with_a_reservation_is_never_ours(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.answers(*QUERY, page([adjustment(reservation="r")], [reservation("r")]))
    (found,) = marketplace.adjustments("listing-1", since=SINCE)
    assert found.author is Author.OTHER
    assert found.reservation == Reservation("r", "transaction-1", ReservationState.ACCEPTED, 2)


@pytest.mark.parametrize("state", list(ReservationState))
def test_reservation_states(vendor: Vendor, marketplace: SharetribeMarketplace, state: ReservationState) -> None:
    vendor.answers(*QUERY, page([adjustment(reservation="r")], [reservation("r", state.value, None)]))
    (found,) = marketplace.adjustments("listing-1", since=SINCE)
    assert found.reservation == Reservation("r", None, state, 2)


def test_an_unknown_reservation_state_is_left_out(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.answers(*QUERY, page([adjustment(reservation="r")], [reservation("r", "frozen")]))
    (found,) = marketplace.adjustments("listing-1", since=SINCE)
    assert found.reservation == Reservation("r", "transaction-1", None, 2)


def test_a_reservation_that_did_not_come_along_keeps_its_id(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.answers(*QUERY, page([adjustment(reservation="r")]))
    (found,) = marketplace.adjustments("listing-1", since=SINCE)
    assert found.reservation == Reservation("r")


def test_pages_are_followed_and_repeats_dropped(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    entries = [adjustment(f"{number:03}", at=at(number % 60)) for number in range(150)]
    query = vendor.answers(*QUERY, page(entries[:100], totalItems=150), page(entries[98:], totalItems=150))
    assert len(marketplace.adjustments("listing-1", since=SINCE)) == 150
    assert [call.request.url.params["page"] for call in query.calls] == ["1", "2"]


def test_a_page_that_only_repeats_ends_the_reading(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    entries = [adjustment(f"{number:03}") for number in range(100)]
    query = vendor.on(*QUERY).respond(json=page(entries))
    assert len(marketplace.adjustments("listing-1", since=SINCE)) == 100
    assert query.call_count == 2


def test_a_ledger_that_is_not_whole_is_not_handed_over(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.answers(*QUERY, page([adjustment("a")], totalItems=2))
    with pytest.raises(Unavailable, match="showed 1 of 2"):
        marketplace.adjustments("listing-1", since=SINCE)


def test_the_window_ends_after_the_vendors_now(
    vendor: Vendor, marketplace: SharetribeMarketplace, clock: VirtualClock
) -> None:
    vendor_now = clock.now() + timedelta(hours=5)
    date = vendor_now.strftime("%a, %d %b %Y %H:%M:%S GMT")
    query = vendor.on(*QUERY).mock(return_value=httpx.Response(200, json=page([]), headers={"date": date}))
    marketplace.adjustments("listing-1", since=SINCE)
    marketplace.adjustments("listing-1", since=SINCE)
    end = datetime.fromisoformat(query.calls[1].request.url.params["end"])
    assert vendor_now < end <= vendor_now + timedelta(days=1)


def test_a_span_beyond_the_vendors_longest_is_asked_for_in_parts(
    vendor: Vendor, marketplace: SharetribeMarketplace, clock: VirtualClock
) -> None:
    query = vendor.on(*QUERY).respond(json=page([]))
    marketplace.adjustments("listing-1", since=clock.now() - timedelta(days=366) + timedelta(minutes=5))
    windows = [
        tuple(datetime.fromisoformat(call.request.url.params[name]) for name in ("start", "end"))
        for call in query.calls
    ]
    assert len(windows) == 2
    assert windows[0][1] == windows[1][0]
    assert all(end - start <= timedelta(days=366) for start, end in windows)


def test_what_the_ledger_no_longer_keeps_is_said(
    vendor: Vendor, marketplace: SharetribeMarketplace, clock: VirtualClock
) -> None:
    query = vendor.on(*QUERY).respond(json=page([]))
    with pytest.raises(CursorTooOld, match="366 days"):
        marketplace.adjustments("listing-1", since=clock.now() - timedelta(days=366))
    assert not query.called


def test_a_missing_listing(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.on(*QUERY).mock(return_value=error("not-found", 404))
    with pytest.raises(NotFound):
        marketplace.adjustments("listing-1", since=SINCE)


@pytest.mark.parametrize(
    "entry",
    [
        adjustment(quantity=0),
        adjustment(quantity="1"),
        adjustment(quantity=1.0),
        adjustment(quantity=None),
        adjustment(quantity=2**63),
        adjustment(at="yesterday"),
        adjustment(at="2026-01-01T10:00:00"),
        {**adjustment(), "attributes": None},
    ],
)
def test_a_malformed_adjustment_is_named(vendor: Vendor, marketplace: SharetribeMarketplace, entry: Any) -> None:
    vendor.answers(*QUERY, page([adjustment("fine"), entry]))
    with pytest.raises(Unreadable, match="listing listing-1: stock adjustment adjustment-1: "):
        marketplace.adjustments("listing-1", since=SINCE)


def test_a_malformed_reservation_is_unreadable(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    broken = {**reservation("r"), "attributes": {"quantity": "2", "state": "pending"}}
    vendor.answers(*QUERY, page([adjustment(reservation="r")], [broken]))
    with pytest.raises(Unreadable, match="the reserved quantity is not an integer"):
        marketplace.adjustments("listing-1", since=SINCE)


def test_an_adjustment_without_an_id_is_unreadable(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.answers(*QUERY, page([{**adjustment(), "id": None}]))
    with pytest.raises(Unreadable, match="stock adjustment without an id: an id is missing"):
        marketplace.adjustments("listing-1", since=SINCE)
