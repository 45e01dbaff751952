"""`listings/...`, and the small reads beside them: `marketplace/show`, `users/show`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .endpoint import Call, Endpoint, Reply, page_of
from .entities import IndexedListing, ListingState
from .errors import ApiError, conflict, not_found
from .fields import (
    PAGING,
    Field,
    geolocation,
    ids,
    mapping,
    money,
    names,
    names_of,
    number_text,
    one_of,
    text,
    timestamp,
    uuid,
)

_STATES = tuple(ListingState)
_MAX_SORTS = 3

_EXTENDED = {"publicData": "public_data", "privateData": "private_data", "metadata": "metadata"}
_PLAIN = {"title": "title", "description": "description", "price": "price", "geolocation": "geolocation"}

_DETAILS = {
    "description": Field(text(5000)),
    "price": Field(money),
    "geolocation": Field(geolocation),
    "publicData": Field(mapping),
    "privateData": Field(mapping),
    "metadata": Field(mapping),
}


def show_marketplace(call: Call) -> Reply:
    """`marketplace/show`: the cheapest way to try credentials."""
    return Reply(call.marketplace.card)


def show_user(call: Call) -> Reply:
    """`users/show`"""
    user = call.marketplace.users.get(call.query["id"])
    if user is None:
        raise not_found(f"User {call.query['id']}")
    return Reply(user)


def show(call: Call) -> Reply:
    """`listings/show`: never behind, unlike a query."""
    listing = call.marketplace.listing(call.query["id"])
    if listing is None:
        raise not_found(f"Listing {call.query['id']}")
    return Reply(listing)


def query(call: Call) -> Reply:
    """Newest first unless sorted; may lag behind by the sandbox's switch."""
    asked = call.query
    search = call.marketplace.search
    if "ids" in asked:
        found: Sequence[IndexedListing] = search.by_ids(asked["ids"])
    else:
        found = search.between(asked.get("createdAtStart"), asked.get("createdAtEnd"))
    tests = _tests(asked)
    for test in tests:
        found = list(filter(test, found[:]))
    if "sort" in asked:
        found = _sorted(found, asked["sort"])
    limited = bool(tests) or "sort" in asked or "ids" in asked
    return page_of(found, asked, reachable=call.marketplace.options.query_limit if limited else None)


def _tests(asked: Mapping[str, Any]) -> list[Callable[[IndexedListing], bool]]:
    tests: list[Callable[[IndexedListing], bool]] = []
    if "ids" in asked:
        if start := asked.get("createdAtStart"):
            tests.append(lambda entry: entry.listing.created_at >= start)
        if end := asked.get("createdAtEnd"):
            tests.append(lambda entry: entry.listing.created_at < end)
    if "states" in asked:
        states = frozenset(asked["states"])
        tests.append(lambda entry: entry.listing.state in states)
    if "authorId" in asked:
        author_id = asked["authorId"]
        tests.append(lambda entry: entry.listing.author_id == author_id)
    if "minStock" in asked:
        least = asked["minStock"]
        undefined = asked.get("stockMode") == "match-undefined"
        tests.append(lambda entry: undefined if entry.total is None else entry.total >= least)
    for key, value in asked.items():
        prefix, _, name = key.partition("_")
        if name and prefix in ("pub", "meta"):
            tests.append(_extended_test(prefix, name, frozenset(value.split(","))))
    return tests


def _extended_test(prefix: str, name: str, wanted: frozenset[str]) -> Callable[[IndexedListing], bool]:
    def test(entry: IndexedListing) -> bool:
        extended = entry.listing.public_data if prefix == "pub" else entry.listing.metadata
        return str(extended.get(name)) in wanted

    return test


def _sorted(found: Sequence[IndexedListing], keys: Sequence[str]) -> list[IndexedListing]:
    """Contrary to common usage, a plain key sorts from the highest down and a minus from the lowest up."""
    if len(keys) > _MAX_SORTS:
        message = f"At most {_MAX_SORTS} sort keys are taken."
        raise ApiError(400, "validation-invalid-value", message, path=("sort",), part="query")
    ordered = list(found)
    for key in reversed(keys):
        match key.removeprefix("-"):
            case "createdAt":
                ordered.sort(key=lambda entry: entry.listing.created_at, reverse=not key.startswith("-"))
            case "price":
                ordered.sort(key=_price, reverse=not key.startswith("-"))
            case _:
                title = f"Listings cannot be sorted by {key}."
                raise ApiError(400, "validation-invalid-value", title, path=("sort",), part="query")
    return ordered


def _price(entry: IndexedListing) -> int:
    return entry.listing.price.amount if entry.listing.price else 0


def create(call: Call) -> Reply:
    """`listings/create`"""
    marketplace, body = call.marketplace, call.body
    if body["authorId"] not in marketplace.users:
        raise conflict("user-not-found", f"User {body['authorId']} was not found.")
    details = {_PLAIN[key]: body[key] for key in _PLAIN if key in body and key != "title"}
    details |= {name: body[key] for key, name in _EXTENDED.items() if key in body}
    listing = marketplace.add_listing(
        call.origin,
        title=body["title"],
        author_id=body["authorId"],
        state=ListingState(body["state"]),
        details=details,
    )
    return Reply(listing)


def update(call: Call) -> Reply:
    """`listings/update`: everything but the state."""
    listing = call.listing_for_command(call.body["id"])
    changes = {_PLAIN[key]: call.body[key] for key in _PLAIN if key in call.body}
    for key, name in _EXTENDED.items():
        if key in call.body:
            changes[name] = _merged(getattr(listing, name), call.body[key])
    return Reply(call.marketplace.change_listing(listing, call.origin, **changes))


def _merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merged at the top level only; null removes a key."""
    return {key: value for key, value in {**before, **changes}.items() if value is not None}


def close(call: Call) -> Reply:
    """`listings/close`: from published."""
    return _turn(call, ListingState.PUBLISHED, ListingState.CLOSED)


def open_(call: Call) -> Reply:
    """`listings/open`: back to published."""
    return _turn(call, ListingState.CLOSED, ListingState.PUBLISHED)


def _turn(call: Call, source: ListingState, target: ListingState) -> Reply:
    listing = call.listing_for_command(call.body["id"])
    if listing.state is target and call.marketplace.switches.repeated_close == "accepted":
        return Reply(listing, outcome="unchanged")
    if listing.state is not source:
        raise conflict("listing-invalid-state", f"Listing {listing.listing_id} is {listing.state}.")
    return Reply(call.marketplace.change_listing(listing, call.origin, state=target))


_BY_ID = {"id": Field(uuid, required=True)}

ENDPOINTS = {
    "marketplace/show": Endpoint("GET", show_marketplace),
    "users/show": Endpoint("GET", show_user, query=_BY_ID),
    "listings/show": Endpoint("GET", show, query=_BY_ID),
    "listings/query": Endpoint(
        "GET",
        query,
        query={
            "ids": Field(ids),
            "states": Field(names_of(*_STATES)),
            "authorId": Field(uuid),
            "createdAtStart": Field(timestamp),
            "createdAtEnd": Field(timestamp),
            "stockMode": Field(one_of("strict", "match-undefined")),
            "minStock": Field(number_text),
            "sort": Field(names),
            **PAGING,
        },
        open_query=("pub_", "meta_"),
    ),
    "listings/create": Endpoint(
        "POST",
        create,
        body={
            "title": Field(text(1000), required=True),
            "authorId": Field(uuid, required=True),
            "state": Field(one_of(ListingState.PUBLISHED, ListingState.PENDING_APPROVAL), required=True),
            **_DETAILS,
        },
    ),
    "listings/update": Endpoint("POST", update, body={**_BY_ID, "title": Field(text(1000)), **_DETAILS}),
    "listings/close": Endpoint("POST", close, body=_BY_ID),
    "listings/open": Endpoint("POST", open_, body=_BY_ID),
}
