"""Compare-and-set, direct adjustments and the ledger."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.sharetribe_sandbox.api import Api, code

UNLIMITED = 10**15


def ledger_page(api: Api, listing_id: str, start: datetime, end: datetime, **query: Any) -> httpx.Response:
    return api.get(
        "stock_adjustments/query", listingId=listing_id, start=start.isoformat(), end=end.isoformat(), **query
    )


def test_compare_and_set_applies_to_exactly_the_old_total(api: Api) -> None:
    listing_id = api.listing(10)
    answer = api.post(
        "stock/compare_and_set", {"listingId": listing_id, "oldTotal": 10, "newTotal": 7}, expand="true"
    ).json()["data"]
    assert (answer["type"], answer["attributes"]) == ("stock", {"quantity": 7})
    assert api.total(listing_id) == 7
    adjustment = api.look(f"listings/{listing_id}")["adjustments"][-1]
    assert (adjustment["quantity"], adjustment["total"], adjustment["own"]) == (-3, 7, True)


def test_a_command_answers_no_attributes_unless_expanded(api: Api) -> None:
    answer = api.compare_and_set(api.listing(10), 10, 7).json()
    assert set(answer) == {"data"}
    assert set(answer["data"]) == {"id", "type"}


def test_a_mismatch_changes_nothing(api: Api) -> None:
    listing_id = api.listing(10)
    refused = api.compare_and_set(listing_id, 9, 7)
    assert (refused.status_code, code(refused)) == (409, "old-total-mismatch")
    assert api.ledger(listing_id) == [10]


def test_the_status_of_a_mismatch_is_a_switch(api: Api) -> None:
    api.switch(mismatch_status=400)
    refused = api.compare_and_set(api.listing(10), 9, 7)
    assert (refused.status_code, code(refused)) == (400, "old-total-mismatch")


def test_an_equal_total_is_confirmed_without_a_trace(api: Api) -> None:
    listing_id = api.listing(10)
    before = api.look("state")["last_sequence"]
    assert api.compare_and_set(listing_id, 10, 10).status_code == 200
    assert code(api.compare_and_set(listing_id, 9, 9)) == "old-total-mismatch"
    assert api.ledger(listing_id) == [10]
    assert api.look("state")["last_sequence"] == before


def test_null_means_undefined_and_nothing_else(api: Api) -> None:
    listing_id = api.listing()
    assert api.total(listing_id) is None
    assert code(api.compare_and_set(listing_id, 0, 3)) == "old-total-mismatch"
    assert api.compare_and_set(listing_id, None, 3).status_code == 200
    assert code(api.compare_and_set(listing_id, None, 4)) == "old-total-mismatch"
    assert api.total(listing_id) == 3


def test_zero_may_match_undefined_by_switch(api: Api) -> None:
    api.switch(zero_matches_undefined=True)
    listing_id = api.listing()
    assert api.compare_and_set(listing_id, 0, 3).status_code == 200
    assert api.total(listing_id) == 3


def test_an_omitted_old_total_is_a_switch(api: Api) -> None:
    body = {"listingId": api.listing(), "newTotal": 3}
    assert code(api.post("stock/compare_and_set", body)) == "validation-missing-key"
    api.switch(omitted_old_total="null")
    assert api.post("stock/compare_and_set", body).status_code == 200


@pytest.mark.parametrize("wrong", [-1, 1.5, "7", None, True, 2**64])
def test_impossible_new_totals_are_refused(api: Api, wrong: Any) -> None:
    listing_id = api.listing(10)
    refused = api.post("stock/compare_and_set", {"listingId": listing_id, "oldTotal": 10, "newTotal": wrong})
    assert (refused.status_code, code(refused)) == (400, "validation-invalid-value")
    assert api.ledger(listing_id) == [10]


def test_zero_and_unlimited_are_totals_like_any_other(api: Api) -> None:
    listing_id = api.listing(10)
    assert api.compare_and_set(listing_id, 10, 0).status_code == 200
    assert api.compare_and_set(listing_id, 0, UNLIMITED).status_code == 200
    assert api.total(listing_id) == UNLIMITED


def test_the_largest_total_is_a_switch(api: Api) -> None:
    api.switch(largest_total=100)
    assert code(api.compare_and_set(api.listing(10), 10, 101)) == "validation-invalid-value"


def test_a_negative_old_total_is_a_switch(api: Api) -> None:
    listing_id = api.listing(2)
    api.step(api.buy(listing_id, 2), "fail_release")
    assert api.total(listing_id) == -2
    api.switch(negative_old_total="refused")
    assert code(api.compare_and_set(listing_id, -2, 0)) == "validation-invalid-value"
    api.switch(negative_old_total="compared")
    assert api.compare_and_set(listing_id, -2, 0).status_code == 200


@pytest.mark.parametrize("missing", ["listing-not-found", "conflict"])
def test_a_missing_listing_is_a_conflict_for_commands(api: Api, missing: str) -> None:
    api.switch(missing_listing_code=missing)
    deleted = api.listing(5)
    api.control(f"listings/{deleted}/delete", {"by": "operator"})
    for listing_id in (str(uuid4()), deleted):
        refused = api.compare_and_set(listing_id, 5, 4)
        assert (refused.status_code, code(refused)) == (409, missing)


@pytest.mark.parametrize("state", ["draft", "pendingApproval", "closed"])
def test_stock_can_be_set_in_every_state(api: Api, state: str) -> None:
    assert api.compare_and_set(api.listing(5, state=state), 5, 4).status_code == 200


def test_a_direct_adjustment_moves_the_total(api: Api) -> None:
    listing_id = api.listing(5)
    answer = api.post("stock_adjustments/create", {"listingId": listing_id, "quantity": -2}, expand="true").json()
    assert (answer["data"]["type"], answer["data"]["attributes"]["quantity"]) == ("stockAdjustment", -2)
    assert api.total(listing_id) == 3
    refused = api.post("stock_adjustments/create", {"listingId": listing_id, "quantity": 0})
    assert code(refused) == "validation-invalid-value"


def test_a_negative_result_is_a_switch(api: Api) -> None:
    body = {"listingId": api.listing(1), "quantity": -2}
    assert code(api.post("stock_adjustments/create", body)) == "conflict"
    api.switch(negative_result="allowed")
    assert api.post("stock_adjustments/create", body).status_code == 200
    assert api.total(body["listingId"]) == -1  # type: ignore[arg-type]


def test_a_first_adjustment_is_a_switch(api: Api) -> None:
    body = {"listingId": api.listing(), "quantity": 2}
    api.switch(first_adjustment="refused")
    assert code(api.post("stock_adjustments/create", body)) == "conflict"
    api.switch(first_adjustment="allowed")
    assert api.post("stock_adjustments/create", body).status_code == 200


def test_the_ledger_is_bounded_inclusively_below_and_exclusively_above(api: Api, clock: VirtualClock) -> None:
    listing_id = api.listing(10)
    start = clock.now()
    for total in (9, 8, 7):
        clock.advance(60)
        api.compare_and_set(listing_id, total + 1, total)
    minute = timedelta(minutes=1)
    found = ledger_page(api, listing_id, start + minute, start + 3 * minute).json()
    assert [each["attributes"]["at"] for each in found["data"]] == [
        "2026-01-01T00:02:00.000Z",
        "2026-01-01T00:01:00.000Z",
    ]
    assert found["meta"]["totalItems"] == 2


@pytest.mark.parametrize(
    ("start_days", "end_days"),
    [
        (-367, -2),
        (1.1, 1.2),
        (-1, 1.1),
        (-2, -2),
        (-2, -3),
        (-366, 1),
    ],
)
def test_ledger_bounds_are_enforced(api: Api, clock: VirtualClock, start_days: float, end_days: float) -> None:
    day = timedelta(days=1)
    refused = ledger_page(api, api.listing(1), clock.now() + start_days * day, clock.now() + end_days * day)
    assert (refused.status_code, code(refused)) == (400, "validation-invalid-value")


def test_the_widest_ledger_range_is_a_year(api: Api, clock: VirtualClock) -> None:
    year = timedelta(days=366)
    assert ledger_page(api, api.listing(1), clock.now() - year, clock.now()).status_code == 200


def test_ledger_queries_need_listing_start_and_end(api: Api) -> None:
    assert code(api.get("stock_adjustments/query", listingId=str(uuid4()))) == "validation-missing-key"


def test_a_ledger_query_of_a_missing_listing_is_not_found(api: Api, clock: VirtualClock) -> None:
    refused = ledger_page(api, str(uuid4()), clock.now(), clock.now() + timedelta(hours=1))
    assert (refused.status_code, code(refused)) == (404, "not-found")


def test_ledger_entries_show_their_reservation_and_transaction_when_asked(api: Api, clock: VirtualClock) -> None:
    listing_id = api.listing(10)
    purchase = api.buy(listing_id, 2)
    hour = timedelta(hours=1)
    plain = ledger_page(api, listing_id, clock.now() - hour, clock.now() + hour).json()
    assert all("relationships" not in each for each in plain["data"])
    answer = ledger_page(
        api,
        listing_id,
        clock.now() - hour,
        clock.now() + hour,
        include="stockReservation,stockReservation.transaction",
    ).json()
    by_quantity = {each["attributes"]["quantity"]: each["relationships"] for each in answer["data"]}
    assert by_quantity[10]["stockReservation"] == {"data": None}
    reservation_id = by_quantity[-2]["stockReservation"]["data"]["id"]
    included = {each["type"]: each for each in answer["included"]}
    assert included["stockReservation"]["id"] == reservation_id == purchase["reservation_id"]
    assert included["stockReservation"]["attributes"] == {"quantity": 2, "state": "pending"}
    assert included["transaction"]["id"] == purchase["id"]


@pytest.mark.parametrize("order", ["newest_first", "oldest_first", "shuffled"])
def test_every_order_of_the_ledger_pages_through_everything_once(api: Api, clock: VirtualClock, order: str) -> None:
    api.switch(adjustment_order=order)
    listing_id = api.listing(100)
    for total in range(99, 74, -1):
        api.compare_and_set(listing_id, total + 1, total)
        clock.advance(1)
    hour = timedelta(hours=1)
    ids, times = [], []
    for page in (1, 2, 3):
        answer = ledger_page(api, listing_id, clock.now() - hour, clock.now() + hour, page=page, perPage=10).json()
        assert answer["meta"] == {"totalItems": 26, "totalPages": 3, "page": page, "perPage": 10}
        ids += [each["id"] for each in answer["data"]]
        times += [each["attributes"]["at"] for each in answer["data"]]
    assert len(set(ids)) == 26
    assert (times == sorted(times)) == (order == "oldest_first")
    assert (times == sorted(times, reverse=True)) == (order == "newest_first")


@pytest.mark.parametrize("per_page", ["0", "101", "x"])
def test_page_sizes_are_bounded(api: Api, per_page: str) -> None:
    assert code(api.get("listings/query", perPage=per_page)) == "validation-invalid-value"


def test_a_provider_edits_stock_in_every_way(api: Api) -> None:
    listing_id = api.listing(5)
    for edit, total in (
        ({"set": 9}, 9),
        ({"change": -2}, 7),
        ({"unlimited": True}, UNLIMITED),
        ({"undefined": True}, None),
    ):
        api.control(f"listings/{listing_id}/stock", edit)
        assert api.total(listing_id) == total
    adjustment = api.look(f"listings/{listing_id}")["adjustments"][1]
    assert (adjustment["source"], adjustment["own"]) == ("source/marketplace-api", False)
    assert api.http.post(f"/_control/listings/{listing_id}/stock", json={"set": 1, "change": 1}).status_code == 422
