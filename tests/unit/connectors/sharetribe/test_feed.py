from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.contract import (
    Author,
    Feed,
    ListingChange,
    ListingState,
    RemoteAdjustment,
    Reservation,
    StockChange,
    Trail,
    TrailEvent,
)
from connectors.errors import CursorTooOld, Rejected, Unreadable
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sharetribe import SharetribeMarketplace
from tests.unit.connectors.sharetribe.vendor import (
    CLIENT_ID,
    Vendor,
    adjustment,
    error,
    event,
    link,
    listing,
    page,
    settings,
)

QUERY = ("GET", "events/query")
AT = datetime(2026, 1, 1, 10, tzinfo=UTC)


def cursor(sequence: int | None, at: str = "2026-01-01T00:00:00.000Z") -> str:
    return json.dumps({"sequence": sequence, "at": at})


def sold(sequence: Any, **options: Any) -> dict[str, Any]:
    """An event of our own selling."""
    return event(sequence, resource=adjustment(f"adjustment-{sequence}"), clientId=CLIENT_ID, **options)


def test_it_is_a_feed_with_trails(marketplace: SharetribeMarketplace) -> None:
    assert isinstance(marketplace, Feed)
    assert isinstance(marketplace, Trail)


def test_the_first_look_starts_a_minute_ago(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    query = vendor.answers(*QUERY, page([]))
    found = marketplace.changes(None)
    assert dict(query.calls[0].request.url.params) == {
        "eventTypes": "listing,stockAdjustment",
        "createdAtStart": "2025-12-31T23:59:00.000Z",
    }
    assert (found.changes, found.more, found.unknown_types) == ([], False, [])
    assert json.loads(found.cursor) == {"sequence": None, "at": "2025-12-31T23:59:00.000Z"}


def test_it_goes_on_after_the_last_sequence_id(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    query = vendor.answers(*QUERY, page([sold(11), sold(15)]), page([]))
    found = marketplace.changes(cursor(10))
    assert [change.sequence for change in found.changes] == [11, 15]
    assert marketplace.changes(found.cursor).changes == []
    assert [call.request.url.params["startAfterSequenceId"] for call in query.calls] == ["10", "15"]
    assert "createdAtStart" not in query.calls[0].request.url.params


def test_our_own_adjustment(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.answers(*QUERY, page([sold(11)]))
    assert marketplace.changes(cursor(10)).changes == [
        StockChange(11, RemoteAdjustment("adjustment-11", "listing-1", AT, -1, Author.OURS))
    ]


@pytest.mark.parametrize(
    ("options", "author"),
    [
        ({"clientId": CLIENT_ID}, Author.OURS),
        ({"clientId": {"uuid": CLIENT_ID}}, Author.OURS),
        ({"clientId": "somebody-else"}, Author.OTHER),
        ({}, None),
        ({"userId": "user-1"}, Author.OTHER),
        ({"adminId": "admin-1"}, Author.OTHER),
        ({"source": "source/console"}, Author.OTHER),
        ({"source": "source/admin"}, Author.OTHER),
        ({"source": "source/marketplace-api"}, Author.OTHER),
        ({"source": "source/transaction"}, Author.OTHER),
        ({"source": "source/something-new"}, None),
    ],
)
def test_authors_of_an_adjustment(
    vendor: Vendor, marketplace: SharetribeMarketplace, options: dict[str, Any], author: Author | None
) -> None:
    vendor.answers(*QUERY, page([event(11, resource=adjustment(), **options)]))
    (change,) = marketplace.changes(cursor(10)).changes
    assert isinstance(change, StockChange)
    assert change.adjustment.author is author


def test_no_audit_data_leaves_the_author_open(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    anonymous = event(11, resource=adjustment())
    del anonymous["attributes"]["auditData"]
    vendor.answers(*QUERY, page([anonymous]))
    (change,) = marketplace.changes(cursor(10)).changes
    assert isinstance(change, StockChange)
    assert change.adjustment.author is None


@pytest.mark.parametrize("audit", [{}, {"clientId": CLIENT_ID}])
def test_an_adjustment_with_a_reservation_is_never_ours(
    vendor: Vendor, marketplace: SharetribeMarketplace, audit: dict[str, Any]
) -> None:
    vendor.answers(*QUERY, page([event(11, resource=adjustment(reservation="r"), **audit)]))
    (change,) = marketplace.changes(cursor(10)).changes
    assert isinstance(change, StockChange)
    assert change.adjustment.author is Author.OTHER
    assert change.adjustment.reservation == Reservation("r")


@pytest.mark.parametrize(
    ("kind", "resource", "previous", "state", "changed"),
    [
        ("listing/created", listing(stock_id=None), {}, ListingState.PUBLISHED, True),
        ("listing/updated", listing(), {"attributes": {"title": "A cup"}}, ListingState.PUBLISHED, False),
        ("listing/updated", listing(), {}, ListingState.PUBLISHED, False),
        ("listing/updated", listing(), None, ListingState.PUBLISHED, False),
        ("listing/updated", listing(state="closed"), {"attributes": {"state": "published"}}, ListingState.CLOSED, True),
        ("listing/updated", listing(deleted=True), {"attributes": {"deleted": False}}, ListingState.DELETED, True),
    ],
)
def test_listing_events(
    vendor: Vendor,
    marketplace: SharetribeMarketplace,
    kind: str,
    resource: dict[str, Any],
    previous: Any,
    state: ListingState,
    changed: bool,
) -> None:
    vendor.answers(*QUERY, page([event(11, kind, resource, previous=previous, clientId="other")]))
    assert marketplace.changes(cursor(10)).changes == [
        ListingChange(11, "listing-1", AT, state, changed, Author.OTHER, "seller-1", "A mug")
    ]


def test_our_own_closing(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    closing = event(
        11,
        "listing/updated",
        listing(state="closed"),
        previous={"attributes": {"state": "published"}},
        clientId=CLIENT_ID,
    )
    vendor.answers(*QUERY, page([closing]))
    (change,) = marketplace.changes(cursor(10)).changes
    assert change == ListingChange(11, "listing-1", AT, ListingState.CLOSED, True, Author.OURS, "seller-1", "A mug")


def test_a_deleted_listing_has_only_its_id(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.answers(*QUERY, page([event(11, "listing/deleted", None, previous=listing(), source="source/console")]))
    assert marketplace.changes(cursor(10)).changes == [
        ListingChange(11, "gone-1", AT, ListingState.DELETED, True, Author.OTHER)
    ]


@pytest.mark.parametrize("kind", ["listing/created", "listing/updated"])
def test_a_listing_that_is_not_shown_any_more_is_deleted(
    vendor: Vendor, marketplace: SharetribeMarketplace, kind: str
) -> None:
    """A checkout that expires after its listing was deleted may leave such an event: the feed must not end there."""
    vendor.answers(*QUERY, page([event(11, kind, None, previous=listing(), source="source/transaction"), sold(12)]))
    found = marketplace.changes(cursor(10))
    assert found.changes[0] == ListingChange(11, "gone-1", AT, ListingState.DELETED, True, Author.OTHER)
    assert json.loads(found.cursor)["sequence"] == 12


def test_types_that_mean_nothing_to_us_are_counted_and_passed_over(
    vendor: Vendor, marketplace: SharetribeMarketplace
) -> None:
    vendor.answers(
        *QUERY,
        page([event(11, "listing/archived", listing()), sold(12), event(13, "stockAdjustment/updated", adjustment())]),
    )
    found = marketplace.changes(cursor(10))
    assert [change.sequence for change in found.changes] == [12]
    assert found.unknown_types == ["listing/archived", "stockAdjustment/updated"]
    assert json.loads(found.cursor)["sequence"] == 13


@pytest.mark.parametrize(("size", "more"), [(99, False), (100, True)])
def test_a_full_page_means_more(vendor: Vendor, marketplace: SharetribeMarketplace, size: int, more: bool) -> None:
    vendor.answers(*QUERY, page(sold(sequence) for sequence in range(11, 11 + size)))
    assert marketplace.changes(cursor(10)).more is more


def test_a_feed_that_does_not_advance_is_not_read_for_ever(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.answers(*QUERY, page(sold(10) for _ in range(100)), page([sold(10)]))
    with pytest.raises(Unreadable, match=r"does not lead on: its sequence id 10 does not follow 10"):
        marketplace.changes(cursor(10))
    found = marketplace.changes(cursor(10))
    assert [entry.name for entry in found.unreadable] == ["event-10"]
    assert not found.more


@pytest.mark.parametrize(
    "broken",
    [
        event(None, resource=adjustment()),
        event("12", resource=adjustment()),
        event(1.5, resource=adjustment()),
        event(12, "", adjustment()),
        event(12, resource=None),
        event(12, resource=adjustment(quantity="1")),
        event(12, resource=adjustment(quantity=2**70)),
        event(12, resource={**adjustment(), "relationships": {}}),
        event(12, "listing/updated", listing(state="vacant")),
        event(12, resource=adjustment(), clientId=["x"]),
        {"id": "event-12", "type": "event"},
    ],
)
def test_a_malformed_event_is_named_and_those_around_it_are_handed_over(
    vendor: Vendor, marketplace: SharetribeMarketplace, broken: dict[str, Any]
) -> None:
    vendor.answers(*QUERY, page([sold(11), broken, sold(13)]))
    found = marketplace.changes(cursor(10))
    assert [change.sequence for change in found.changes] == [11, 13]
    assert [entry.name for entry in found.unreadable] == [broken["id"]]
    assert json.loads(found.cursor)["sequence"] == 13
    assert not found.more


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (event(12, resource=adjustment(quantity="1")), "listing-1"),
        (event(12, resource={**adjustment(), "relationships": {}}), None),
        (event(12, "listing/updated", listing("listing-7", state="vacant")), "listing-7"),
        (event(12, resource=None), None),
        (None, None),
        ("event", None),
    ],
)
def test_a_malformed_event_says_which_listing_it_is_about_where_that_can_be_read(
    vendor: Vendor, marketplace: SharetribeMarketplace, broken: Any, named: str | None
) -> None:
    vendor.answers(*QUERY, page([broken, sold(13)]))
    [entry] = marketplace.changes(cursor(10)).unreadable
    assert entry.listing_id == named


@pytest.mark.parametrize("created_at", ["now", None])
def test_an_event_that_does_not_say_when_it_happened_is_taken_all_the_same(
    vendor: Vendor, marketplace: SharetribeMarketplace, created_at: str | None
) -> None:
    vendor.answers(*QUERY, page([sold(11), event(12, resource=adjustment(), created_at=created_at)]))
    found = marketplace.changes(cursor(10))
    assert [change.sequence for change in found.changes] == [11, 12]
    assert json.loads(found.cursor)["sequence"] == 12


def test_an_answer_that_is_no_page_is_unreadable(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.answers(*QUERY, {"data": None})
    with pytest.raises(Unreadable, match="the change feed: data is not a list"):
        marketplace.changes(None)


# The age of a cursor


@pytest.mark.parametrize(("environment", "days"), [("live", 90), ("dev", 7)])
def test_a_cursor_older_than_the_retention_is_too_old(
    vendor: Vendor, toolbox: Toolbox, clock: VirtualClock, environment: str, days: int
) -> None:
    marketplace = SharetribeMarketplace(settings(environment=environment), toolbox)
    query = vendor.on(*QUERY).respond(json=page([]))
    young = clock.now() - timedelta(days=days - 1)
    marketplace.changes(cursor(10, young.isoformat()))
    assert query.called
    for old in (cursor(10, (clock.now() - timedelta(days=days)).isoformat()), cursor(None, "2020-01-01T00:00:00Z")):
        with pytest.raises(CursorTooOld, match="no longer kept"):
            marketplace.changes(old)
    assert query.call_count == 1


@pytest.mark.parametrize("text", ["", "12", "[]", "null", "{}", '{"sequence":"1","at":"2026-01-01T00:00:00Z"}'])
def test_a_cursor_that_cannot_be_read_means_reconciling_everything(
    marketplace: SharetribeMarketplace, text: str
) -> None:
    with pytest.raises(CursorTooOld, match="cannot be read"):
        marketplace.changes(text)


@pytest.mark.parametrize("sequence", [10, None])
def test_a_quiet_feed_does_not_make_its_cursor_old(
    vendor: Vendor, marketplace: SharetribeMarketplace, clock: VirtualClock, sequence: int | None
) -> None:
    vendor.on(*QUERY).respond(json=page([]))
    kept = cursor(sequence)
    for _ in range(200):
        clock.advance(86_400)
        kept = marketplace.changes(kept).cursor
    assert json.loads(kept)["sequence"] == sequence


def test_a_quiet_feed_keeps_its_cursor_for_a_while(
    vendor: Vendor, marketplace: SharetribeMarketplace, clock: VirtualClock
) -> None:
    vendor.on(*QUERY).respond(json=page([]))
    kept = marketplace.changes(None).cursor
    clock.advance(3600)
    assert marketplace.changes(kept).cursor == kept


def test_the_vendors_own_refusal_of_a_start_is_passed_on(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.on(*QUERY).mock(return_value=error("validation-invalid-params", 400))
    with pytest.raises(Rejected):
        marketplace.changes(cursor(10))


# Trails


def test_a_trail_tells_stock_actions_and_transitions_in_order(
    vendor: Vendor, marketplace: SharetribeMarketplace
) -> None:
    reservation = {
        "id": "r",
        "type": "stockReservation",
        "attributes": {},
        "relationships": {"transaction": link("t", "t")},
    }
    transaction = {"id": "t", "type": "transaction", "attributes": {"lastTransition": "transition/decline"}}
    query = vendor.answers(
        *QUERY,
        page(
            [
                event(1, "stockReservation/created", reservation),
                event(2, "transaction/initiated", {**transaction, "attributes": {}}),
                event(3, "transaction/updated", transaction),
                event(4, "stockReservation/updated", reservation),
                event(5, "transaction/transitioned", transaction),
                event(6, "message/created", None),
            ]
        ),
    )
    assert marketplace.trail("transaction-1") == [
        TrailEvent(AT, "stock", "stockReservation/created"),
        TrailEvent(AT, "transaction", "transaction/initiated"),
        TrailEvent(AT, "stock", "stockReservation/updated"),
        TrailEvent(AT, "transaction", "transition/decline"),
    ]
    assert dict(query.calls[0].request.url.params) == {
        "relatedResourceId": "transaction-1",
        "eventTypes": "stockAdjustment,stockReservation,transaction",
    }


def test_a_long_trail_is_followed(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    steps = [event(number, "stockReservation/updated", adjustment()) for number in range(150)]
    query = vendor.answers(*QUERY, page(steps[:100]), page(steps[100:]))
    assert len(marketplace.trail("transaction-1")) == 150
    assert query.calls[1].request.url.params["startAfterSequenceId"] == "99"


def test_a_trail_that_does_not_advance_is_not_read_for_ever(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.on(*QUERY).respond(
        json=page([event(number, "stockReservation/updated", adjustment()) for number in range(100)])
    )
    with pytest.raises(Unreadable, match=r"event event-0 while reading the trail of transaction transaction-1"):
        marketplace.trail("transaction-1")
