"""The change feed: shape, order, paging, filters, retention, visibility and attribution."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.sharetribe_sandbox.api import Api, Serve, code


def mark(api: Api) -> int:
    return int(api.look("state")["last_sequence"])


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["eventType"] for event in events]


def test_an_adjustment_of_ours_is_told_with_its_author(api: Api) -> None:
    listing_id = api.listing(10)
    start = mark(api)
    api.compare_and_set(listing_id, 10, 9)
    response = api.get("events/query", startAfterSequenceId=start).json()
    assert response["meta"] == {
        "totalItems": None,
        "totalPages": None,
        "page": 1,
        "perPage": 100,
        "paginationUnsupported": True,
    }
    (event,) = response["data"]
    assert event["type"] == "event"
    attributes = event["attributes"]
    assert attributes["sequenceId"] > start
    assert attributes["createdAt"] == "2026-01-01T00:00:00.000Z"
    assert (attributes["eventType"], attributes["source"]) == ("stockAdjustment/created", "source/integration-api")
    assert attributes["auditData"] == {
        "userId": None,
        "adminId": None,
        "clientId": api.options.client_id,
        "requestId": None,
    }
    assert attributes["resourceType"] == attributes["resource"]["type"] == "stockAdjustment"
    assert attributes["resourceId"] == attributes["resource"]["id"]
    assert attributes["resource"]["attributes"] == {"at": "2026-01-01T00:00:00.000Z", "quantity": -1}
    assert attributes["resource"]["relationships"] == {
        "listing": {"data": {"id": listing_id, "type": "listing"}},
        "stockReservation": {"data": None},
    }
    assert attributes["previousValues"] == {}


@pytest.mark.parametrize(("shown", "client_ids"), [("anonymous", [None]), ("missing", [])])
def test_own_events_can_be_anonymous_or_missing(api: Api, shown: str, client_ids: list[None]) -> None:
    api.switch(own_events=shown)
    listing_id = api.listing(10)
    start = mark(api)
    api.compare_and_set(listing_id, 10, 9)
    assert [event["auditData"]["clientId"] for event in api.events(startAfterSequenceId=start)] == client_ids
    assert api.look(f"listings/{listing_id}")["adjustments"][-1]["own"] is True


def test_others_stay_attributed_when_own_events_are_missing(api: Api) -> None:
    api.switch(own_events="missing")
    listing_id = api.listing(10)
    start = mark(api)
    api.control(f"listings/{listing_id}/stock", {"change": 1})
    api.control(f"listings/{listing_id}/stock", {"change": 1, "by": "operator"})
    seller, operator = api.events(startAfterSequenceId=start)
    assert (seller["source"], operator["source"]) == ("source/marketplace-api", "source/console")
    assert seller["auditData"]["userId"]
    assert seller["auditData"]["clientId"] not in (None, api.options.client_id)
    assert operator["auditData"]["adminId"]
    assert operator["auditData"]["clientId"] is None


def test_a_listing_change_tells_what_was_before(api: Api) -> None:
    listing_id = api.listing(10, public_data={"sku": "A", "size": "L"})
    start = mark(api)
    api.post("listings/update", {"id": listing_id, "title": "Cup", "publicData": {"sku": None, "colour": "red"}})
    api.post("listings/close", {"id": listing_id})
    api.control(f"listings/{listing_id}/delete", {"by": "operator"})
    updated, closed, deleted = api.events(startAfterSequenceId=start)
    assert updated["resource"]["attributes"]["publicData"] == {"size": "L", "colour": "red"}
    assert updated["previousValues"]["attributes"] == {"title": "Mug", "publicData": {"sku": "A", "colour": None}}
    assert set(updated["resource"]["relationships"]) == {"marketplace", "author", "images", "currentStock"}
    assert closed["previousValues"]["attributes"] == {"state": "published"}
    assert closed["resource"]["attributes"]["state"] == "closed"
    assert (deleted["eventType"], deleted["resource"]) == ("listing/deleted", None)


def test_pages_hold_a_hundred_events_and_resuming_misses_nothing(api: Api) -> None:
    start = mark(api)
    api.control("listings", {"listings": [{"title": f"Mug {number}", "stock": number} for number in range(1, 130)]})
    seen: list[int] = []
    cursor = start
    sizes = []
    while page := api.events(startAfterSequenceId=cursor):
        sizes.append(len(page))
        seen += [event["sequenceId"] for event in page]
        cursor = seen[-1]
    assert sizes == [100, 100, 58]
    assert seen == sorted(set(seen))
    assert seen[-1] - seen[0] > len(seen)


def test_events_of_one_moment_tie_in_time_but_not_in_sequence(api: Api) -> None:
    api.listing(1)
    events = api.events()
    assert len({event["createdAt"] for event in events}) == 1
    assert len({event["sequenceId"] for event in events}) == len(events) == 2


def test_events_can_be_read_from_a_time_on(api: Api, clock: VirtualClock) -> None:
    api.listing(1)
    clock.advance(60)
    later = clock.now()
    api.listing()
    assert kinds(api.events(createdAtStart=later.isoformat())) == ["listing/created"]


def test_a_bare_resource_type_stands_for_all_its_events(api: Api) -> None:
    api.step(api.buy(api.listing(5)), "expire")
    assert kinds(api.events(eventTypes="stockReservation,transaction/initiated")) == [
        "stockReservation/created",
        "transaction/initiated",
        "stockReservation/updated",
    ]


def test_events_about_one_resource_with_and_without_its_relatives(api: Api) -> None:
    mug = api.listing(5)
    api.buy(api.listing(5))
    purchase = api.buy(mug)
    assert kinds(api.events(resourceId=mug)) == ["listing/created"]
    assert kinds(api.events(relatedResourceId=mug)) == [
        "listing/created",
        "stockAdjustment/created",
        "stockReservation/created",
        "stockAdjustment/created",
        "transaction/initiated",
    ]
    assert kinds(api.events(relatedResourceId=purchase["id"])) == ["stockReservation/created", "transaction/initiated"]
    assert kinds(api.events(relatedResourceId=mug, eventTypes="stockAdjustment/created")) == [
        "stockAdjustment/created",
        "stockAdjustment/created",
    ]


@pytest.mark.parametrize(
    "both",
    [
        {"startAfterSequenceId": 1, "createdAtStart": "2026-01-01T00:00:00.000Z"},
        {"resourceId": str(uuid4()), "relatedResourceId": str(uuid4())},
    ],
)
def test_exclusive_parameters_are_refused_together(api: Api, both: dict[str, Any]) -> None:
    refused = api.get("events/query", **both)
    assert (refused.status_code, code(refused)) == (400, "validation-invalid-params")


@pytest.mark.parametrize(("profile", "days"), [("live", 90), ("dev", 7)])
def test_events_are_kept_for_the_profiles_time(serve_with: Serve, clock: VirtualClock, profile: str, days: int) -> None:
    with serve_with(profile=profile) as api:
        start = mark(api)
        old = api.listing()
        clock.advance(days * 86_400)
        api.forget_token()
        assert [event["resourceId"] for event in api.events(startAfterSequenceId=start)] == [old]
        clock.advance(1)
        new = api.listing()
        assert [event["resourceId"] for event in api.events(startAfterSequenceId=start)] == [new]
        assert [event["resourceId"] for event in api.events()] == [new]
        refused = api.get("events/query", createdAtStart="2026-01-01T00:00:00.000Z")
        assert (refused.status_code, code(refused)) == (400, "validation-invalid-params")


def test_events_can_become_visible_late_and_none_is_skipped(api: Api, clock: VirtualClock) -> None:
    api.switch(event_delay_seconds=5)
    start = mark(api)
    first = api.listing()
    clock.advance(3)
    second = api.listing()
    assert api.events(startAfterSequenceId=start) == []
    clock.advance(2)
    (event,) = api.events(startAfterSequenceId=start)
    assert event["resourceId"] == first
    clock.advance(3)
    assert [later["resourceId"] for later in api.events(startAfterSequenceId=event["sequenceId"])] == [second]


def test_a_page_size_for_events_is_a_switch(api: Api) -> None:
    api.control("listings", {"listings": [{"title": "Mug"}, {"title": "Hat"}]})
    assert code(api.get("events/query", perPage=1)) == "validation-disallowed-key"
    api.switch(events_per_page="ignored")
    assert len(api.events(perPage=1)) == 2
    api.switch(events_per_page="honoured")
    assert len(api.events(perPage=1)) == 1


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ("never", ["stockAdjustment/created", "stockAdjustment/created"]),
        ("first", ["stockAdjustment/created", "listing/updated", "stockAdjustment/created"]),
        ("always", ["stockAdjustment/created", "listing/updated"] * 2),
    ],
)
def test_a_listing_event_beside_a_stock_change_is_a_switch(api: Api, switch: str, expected: list[str]) -> None:
    api.switch(listing_updated_on_stock=switch)
    listing_id = api.listing()
    start = mark(api)
    api.compare_and_set(listing_id, None, 5)
    api.compare_and_set(listing_id, 5, 4)
    assert kinds(api.events(startAfterSequenceId=start)) == expected


def test_events_of_unknown_type_can_be_added(api: Api) -> None:
    start = mark(api)
    api.control("events", {"event_type": "stockTransfer/created"})
    (event,) = api.events(startAfterSequenceId=start)
    assert (event["eventType"], event["resourceType"]) == ("stockTransfer/created", "stockTransfer")


def test_attributes_of_events_can_be_chosen(api: Api) -> None:
    api.listing()
    (event,) = api.events(**{"fields.event": "sequenceId,eventType"})
    assert set(event) == {"sequenceId", "eventType"}


def test_listings_made_without_events_leave_none(api: Api) -> None:
    api.control("listings", {"listings": [{"title": "Mug", "stock": 3}], "events": False})
    assert api.events() == []
    assert len(api.look("state")["adjustments"]) == 1
