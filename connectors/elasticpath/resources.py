"""Elastic Path's products and stock as our values. Pure: no I/O, no clock.

Every function raises `ShapeError` on anything but the documented shape; the caller knows what it was reading and turns
that into `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.contract import MAX_QUANTITY, UNDEFINED, Listing, ListingState, Stock
from connectors.text import is_storable, legible

Resource = Mapping[str, Any]

STATES = {"live": ListingState.PUBLISHED, "draft": ListingState.CLOSED}
"""A product's status says whether a catalogue may show it. The vendor knows no other way off sale, so a draft is what
closed means here; that a person never meant it to be on sale looks the same.
"""


class ShapeError(ValueError):
    """A resource does not have its documented shape."""


def single(answer: Any) -> Resource:
    """The resource of a single answer."""
    return mapping(mapping(answer, "the answer").get("data"), "data")


def elements(answer: Any) -> list[Any]:
    """What stands in a page, whatever shape each has."""
    found = mapping(answer, "the answer").get("data")
    if not isinstance(found, list):
        raise ShapeError("data is not a list")
    return found


def results(answer: Any) -> int | None:
    """How many resources a list has in all; None where the answer does not tell."""
    meta = answer.get("meta")
    found = meta.get("results") if isinstance(meta, Mapping) else None
    total = found.get("total") if isinstance(found, Mapping) else None
    return total if isinstance(total, int) and not isinstance(total, bool) else None


def identifier(value: Any) -> str:
    """An id that can be stored and asked for."""
    if not isinstance(value, str) or not value:
        raise ShapeError("an id is missing")
    if not is_storable(value):
        raise ShapeError("an id is longer than any, or holds characters of none")
    return value


def mapping(value: Any, name: str) -> Resource:
    """An object."""
    if not isinstance(value, Mapping):
        raise ShapeError(f"{name} is not an object")
    return value


def whole(value: Any, name: str) -> int:
    """An integer that the store can hold."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ShapeError(f"{name} is not an integer")
    if abs(value) > MAX_QUANTITY:
        raise ShapeError(f"{name} is beyond 64 bits")
    return value


def stock(resource: Resource, *, multi_location: bool, location: str | None) -> Stock:
    """What is available by a `stock` resource.

    A record that does not have our location has no number there: undefined. Raises `ShapeError` too where numbers
    contradict each other (total is not available plus allocated), and where stock is kept at locations and none is
    ours: what the figure beside them means is not documented.
    """
    if not multi_location:
        return _available(resource)
    attributes = mapping(resource.get("attributes"), "attributes")
    locations = attributes.get("locations") or {}
    mapping(locations, "locations")
    if location is None:
        if locations:
            raise ShapeError("its stock is kept at locations; set `location` to the one that counts")
        return _available(attributes)
    place = locations.get(location)
    return UNDEFINED if place is None else _available(mapping(place, "a location"))


def _available(numbers: Resource) -> Stock:
    available = whole(numbers.get("available"), "available")
    if numbers.get("total") is not None and numbers.get("allocated") is not None:
        total, allocated = whole(numbers["total"], "total"), whole(numbers["allocated"], "allocated")
        if total != available + allocated:
            raise ShapeError(f"its total of {total} is not the {available} available and the {allocated} allocated")
    return Stock.counted(available)


def state(product: Resource) -> ListingState:
    """Whether a product is on sale, by its status."""
    status = mapping(product.get("attributes"), "attributes").get("status")
    if not isinstance(status, str) or status not in STATES:
        raise ShapeError(f"{status!r:.40} is not a product's status")
    return STATES[status]


def listing(product: Resource, stock: Stock) -> Listing:
    """A `product` resource with its stock. The store has one seller: itself."""
    attributes = mapping(product.get("attributes"), "attributes")
    name, sku = attributes.get("name"), attributes.get("sku")
    return Listing(
        listing_id=identifier(product.get("id")),
        state=state(product),
        stock=stock,
        title=legible(name) if isinstance(name, str) else "",
        sku=sku if isinstance(sku, str) and sku and is_storable(sku) else None,
    )
