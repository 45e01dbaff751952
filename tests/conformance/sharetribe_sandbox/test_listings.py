"""Listings: showing, finding, changing, and how far a query reaches."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.sharetribe_sandbox.api import Api, Serve, code

SELLER = "4f0c9f5e-58a5-4f6f-9f68-0d7a6a7d6b11"


def found(api: Api, **query: Any) -> list[str]:
    response = api.get("listings/query", **query)
    assert response.status_code == 200, response.text
    return [each["id"] for each in response.json()["data"]]


def test_a_listing_is_shown_with_what_was_asked_for(api: Api) -> None:
    listing_id = api.listing(7, title="Cup", author_id=SELLER, metadata={"externalSku": "A"})
    plain = api.get("listings/show", id=listing_id).json()
    assert set(plain) == {"data"}
    assert "relationships" not in plain["data"]
    answer = api.get("listings/show", id=listing_id, include="currentStock,author").json()
    assert answer["data"]["attributes"]["metadata"] == {"externalSku": "A"}
    assert answer["data"]["relationships"]["author"]["data"]["id"] == SELLER
    assert {each["type"]: each["attributes"].get("quantity") for each in answer["included"]} == {
        "stock": 7,
        "user": None,
    }
    thin = api.get("listings/show", id=listing_id, **{"fields.listing": "title,state"}).json()
    assert thin["data"]["attributes"] == {"title": "Cup", "state": "published"}
    assert api.get("users/show", id=SELLER).json()["data"]["id"] == SELLER


def test_undefined_stock_is_an_empty_relationship(api: Api) -> None:
    answer = api.get("listings/show", id=api.listing(), include="currentStock").json()
    assert answer["data"]["relationships"] == {"currentStock": {"data": None}}
    assert "included" not in answer


def test_an_unknown_relationship_is_refused(api: Api) -> None:
    assert code(api.get("listings/show", id=api.listing(), include="stock")) == "validation-invalid-value"


def test_a_missing_listing_is_not_found_by_reads(api: Api) -> None:
    deleted = api.listing(1)
    api.control(f"listings/{deleted}/delete", {"by": "operator"})
    for listing_id in (str(uuid4()), deleted):
        refused = api.get("listings/show", id=listing_id)
        assert (refused.status_code, code(refused)) == (404, "not-found")
    assert found(api, ids=deleted) == found(api) == []


def test_queries_filter(api: Api) -> None:
    plenty = api.listing(5, author_id=SELLER, public_data={"sku": "A"})
    empty = api.listing(0, state="closed", metadata={"sku": "B"})
    undefined = api.listing(state="draft")
    assert set(found(api)) == {plenty, empty, undefined}
    assert found(api, ids=f"{empty},{uuid4()}") == [empty]
    assert found(api, states="published,pendingApproval") == [plenty]
    assert found(api, authorId=SELLER) == [plenty]
    assert found(api, minStock=1) == [plenty]
    assert set(found(api, minStock=1, stockMode="match-undefined")) == {plenty, undefined}
    assert set(found(api, minStock=0)) == {plenty, empty}
    assert found(api, pub_sku="A,C") == [plenty]
    assert found(api, meta_sku="B") == [empty]
    assert found(api, ids=f"{plenty},{empty}", states="closed") == [empty]


def test_queries_are_bounded_by_creation_inclusively_below_and_exclusively_above(api: Api, clock: VirtualClock) -> None:
    made = []
    for _ in range(4):
        made.append((clock.now(), api.listing()))
        clock.advance(60)
    start, end = made[1][0].isoformat(), made[3][0].isoformat()
    assert found(api, createdAtStart=start, createdAtEnd=end) == [made[2][1], made[1][1]]
    assert found(api, createdAtStart=end, createdAtEnd=start) == []


def test_the_plain_sort_key_means_newest_first(api: Api) -> None:
    old = api.listing(created_at="2025-01-01T00:00:00Z")
    new = api.listing(created_at="2025-06-01T00:00:00Z")
    assert found(api) == found(api, sort="createdAt") == [new, old]
    assert found(api, sort="-createdAt") == [old, new]
    assert code(api.get("listings/query", sort="a,b,c,d")) == "validation-invalid-value"


def test_pages_hold_everything_once(api: Api) -> None:
    made = api.control("listings", {"listings": [{"title": f"Mug {number}"} for number in range(250)]})["listings"]
    pages = [api.get("listings/query", page=page).json() for page in (1, 2, 3)]
    assert [len(page["data"]) for page in pages] == [100, 100, 50]
    assert {each["id"] for page in pages for each in page["data"]} == {each["id"] for each in made}
    assert pages[2]["meta"] == {"totalItems": 250, "totalPages": 3, "page": 3, "perPage": 100}


def test_filtered_queries_stop_at_the_limit_and_windows_reach_beyond_it(serve_with: Serve) -> None:
    with serve_with(query_limit=200) as api:
        listings = [
            {"title": "Mug", "created_at": f"2025-{1 + number // 100:02}-01T00:{number % 60:02}:00Z"}
            for number in range(300)
        ]
        api.control("listings", {"listings": listings})
        limited = api.get("listings/query", states="published", page=2).json()
        assert limited["meta"] == {
            "totalItems": 300,
            "totalPages": 3,
            "page": 2,
            "perPage": 100,
            "paginationLimit": 2,
        }
        refused = api.get("listings/query", states="published", page=3)
        assert (refused.status_code, code(refused)) == (400, "validation-invalid-params")
        assert len(api.get("listings/query", page=3).json()["data"]) == 100
        window = api.get("listings/query", states="published", createdAtEnd="2025-02-01T00:00:00Z").json()
        assert window["meta"]["totalItems"] == 100


def test_ten_thousand_is_the_limit_by_default(api: Api) -> None:
    assert api.options.query_limit == 10_000
    assert api.get("listings/query", states="published").json()["meta"]["paginationLimit"] == 100


def test_a_query_can_lag_while_a_single_read_does_not(api: Api, clock: VirtualClock) -> None:
    api.switch(search_lag_seconds=30)
    listing_id = api.listing(5)
    assert found(api) == []
    clock.advance(30)
    api.compare_and_set(listing_id, 5, 0)
    api.post("listings/close", {"id": listing_id})
    assert api.total(listing_id) == 0
    stale = api.get("listings/query", include="currentStock", states="published").json()
    assert stale["data"][0]["attributes"]["state"] == "published"
    assert stale["included"][0]["attributes"] == {"quantity": 5}
    clock.advance(30)
    assert found(api, states="published") == []
    fresh = api.get("listings/query", include="currentStock").json()
    assert fresh["included"][0]["attributes"] == {"quantity": 0}


def test_listings_can_be_made_and_changed_through_the_api(api: Api) -> None:
    api.listing(author_id=SELLER)
    created = api.post(
        "listings/create",
        {
            "title": "Cup",
            "authorId": SELLER,
            "state": "published",
            "price": {"amount": 1590, "currency": "USD"},
            "publicData": {"sku": "A", "nested": {"a": 1}},
        },
        expand="true",
    ).json()["data"]
    assert created["attributes"]["price"] == {"amount": 1590, "currency": "USD"}
    changed = api.post(
        "listings/update",
        {"id": created["id"], "title": "Beaker", "publicData": {"sku": None, "nested": {"b": 2}}},
        expand="true",
    ).json()["data"]["attributes"]
    assert (changed["title"], changed["publicData"]) == ("Beaker", {"nested": {"b": 2}})
    assert code(api.post("listings/update", {"id": created["id"], "state": "closed"})) == "validation-disallowed-key"
    nobody = {"title": "Cup", "authorId": str(uuid4()), "state": "published"}
    assert code(api.post("listings/create", nobody)) == "user-not-found"


def test_closing_and_opening_turn_the_state(api: Api) -> None:
    listing_id = api.listing(1)
    for action, state in (("close", "closed"), ("open", "published")):
        assert api.post(f"listings/{action}", {"id": listing_id}).status_code == 200
        assert api.look(f"listings/{listing_id}")["state"] == state


@pytest.mark.parametrize("state", ["draft", "pendingApproval"])
def test_only_published_listings_close(api: Api, state: str) -> None:
    listing_id = api.listing(1, state=state)
    assert code(api.post("listings/close", {"id": listing_id})) == "listing-invalid-state"
    assert code(api.post("listings/open", {"id": listing_id})) == "listing-invalid-state"


def test_repeating_a_close_is_a_switch(api: Api) -> None:
    listing_id = api.listing(1, state="closed")
    before = api.look("state")["last_sequence"]
    assert api.post("listings/close", {"id": listing_id}).status_code == 200
    assert api.look("state")["last_sequence"] == before
    api.switch(repeated_close="refused")
    assert code(api.post("listings/close", {"id": listing_id})) == "listing-invalid-state"


def test_people_close_and_open_too(api: Api) -> None:
    listing_id = api.listing(1)
    start = api.look("state")["last_sequence"]
    assert api.control(f"listings/{listing_id}/close", {"by": "operator"})["state"] == "closed"
    assert api.control(f"listings/{listing_id}/open", {"by": "provider"})["state"] == "published"
    assert [event["source"] for event in api.events(startAfterSequenceId=start)] == [
        "source/console",
        "source/marketplace-api",
    ]
