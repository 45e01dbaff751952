"""Sharetribe's resources as our values. Pure: no I/O, no clock.

Every function raises `ShapeError` on anything but the documented shape; the caller knows what it was reading and turns
that into `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from connectors.answers import FIRST_YEAR, LAST_YEAR
from connectors.contract import (
    MAX_QUANTITY,
    UNDEFINED,
    UNLIMITED,
    Author,
    Listing,
    ListingState,
    RemoteAdjustment,
    Reservation,
    ReservationState,
    Stock,
)
from connectors.text import is_storable, legible

Resource = Mapping[str, Any]
Included = Mapping[tuple[str, str], Resource]

STATES = {
    "draft": ListingState.DRAFT,
    "pendingApproval": ListingState.PENDING_APPROVAL,
    "published": ListingState.PUBLISHED,
    "closed": ListingState.CLOSED,
}


class ShapeError(ValueError):
    """A resource does not have its documented shape."""


def primary(answer: Any) -> Resource:
    """The resource of a single answer."""
    return _mapping(_mapping(answer, "the answer").get("data"), "data")


def primaries(answer: Any) -> list[Resource]:
    """The resources of a page."""
    return [as_resource(element) for element in elements(answer)]


def as_resource(element: Any) -> Resource:
    """One element of a page."""
    return _mapping(element, "data")


def elements(answer: Any) -> list[Any]:
    """What stands in a page, whatever shape each has."""
    found = _mapping(answer, "the answer").get("data")
    if not isinstance(found, list):
        raise ShapeError("data is not a list")
    return found


def meta(answer: Any, name: str) -> int | None:
    """A number of the page's `meta`; None where the vendor does not give it."""
    found = answer.get("meta")
    value = found.get(name) if isinstance(found, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def included(answer: Any) -> Included:
    """The related resources that came along, by type and id. One that is malformed did not come along."""
    found = _mapping(answer, "the answer").get("included") or []
    if not isinstance(found, list):
        raise ShapeError("included is not a list")
    came: dict[tuple[str, str], Resource] = {}
    for element in found:
        with suppress(ShapeError):
            resource = _mapping(element, "included")
            came[_kind(resource), resource_id(resource)] = resource
    return came


def resource_id(resource: Resource) -> str:
    """The id of a resource."""
    return identifier(resource.get("id"))


def identifier(value: Any) -> str:
    """An id as text; some clients of the vendor write it as `{"uuid": ...}`."""
    if isinstance(value, Mapping):
        value = value.get("uuid")
    if not isinstance(value, str) or not value:
        raise ShapeError("an id is missing")
    if not is_storable(value):
        raise ShapeError("an id is longer than any, or holds characters of none")
    return value


def attributes(resource: Resource) -> Mapping[str, Any]:
    """The attributes of a resource; it is malformed without them."""
    return _mapping(resource.get("attributes"), "attributes")


def related(resource: Resource, name: str) -> tuple[str, str] | None:
    """Type and id of a to-one relationship; None when it is absent, null or empty, which all mean the same."""
    relationships = resource.get("relationships")
    link = relationships.get(name) if isinstance(relationships, Mapping) else None
    target = link.get("data") if isinstance(link, Mapping) else None
    if target is None:
        return None
    target = _mapping(target, name)
    return _kind(target), resource_id(target)


def related_many(resource: Resource, name: str) -> list[tuple[str, str]]:
    """Types and ids of a to-many relationship; none when it is absent, null or empty, which all mean the same."""
    relationships = resource.get("relationships")
    link = relationships.get(name) if isinstance(relationships, Mapping) else None
    targets = link.get("data") if isinstance(link, Mapping) else None
    if targets is None:
        return []
    if not isinstance(targets, list):
        raise ShapeError(f"{name} is not a list")
    return [(_kind(target), resource_id(target)) for target in map(as_resource, targets)]


def moment(value: Any) -> datetime:
    """A timestamp, in UTC."""
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ShapeError(f"{value!r:.40} is not a timestamp") from None
    if parsed.tzinfo is None:
        raise ShapeError(f"{value!r:.40} has no time zone")
    if not FIRST_YEAR <= parsed.year <= LAST_YEAR:
        raise ShapeError(f"{value!r:.40} is outside of all time")
    return parsed.astimezone(UTC)


def timestamp(value: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as the vendor writes it."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole(value: Any, name: str) -> int:
    """An integer that the store can hold."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ShapeError(f"{name} is not an integer")
    if abs(value) > MAX_QUANTITY:
        raise ShapeError(f"{name} is beyond 64 bits")
    return value


def stock(resource: Resource | None, *, unlimited_from: int) -> Stock:
    """The stock of a `stock` resource; None is a listing without one."""
    if resource is None:
        return UNDEFINED
    total = attributes(resource).get("quantity")
    # Before its size is judged: a provider may type in a number beyond 64 bits, and means the same by it.
    if isinstance(total, int) and total >= unlimited_from:
        return UNLIMITED
    return Stock.counted(whole(total, "the stock quantity"))


def state(attributes: Mapping[str, Any]) -> ListingState:
    """The state of a listing by its attributes; `deleted` outweighs `state`."""
    if attributes.get("deleted") is True:
        return ListingState.DELETED
    try:
        return STATES[attributes.get("state", "")]
    except (KeyError, TypeError):
        raise ShapeError(f"{attributes.get('state')!r:.40} is not a listing state") from None


def title(attributes: Mapping[str, Any]) -> str:
    """The title of a listing by its attributes; empty without one. A provider may have typed in anything."""
    found = attributes.get("title")
    return legible(found) if isinstance(found, str) else ""


def author_id(resource: Resource) -> str:
    """The id of a listing's author; empty where it is not shown."""
    target = related(resource, "author")
    return target[1] if target else ""


def listing(resource: Resource, included: Included, *, unlimited_from: int, sku_key: str | None) -> Listing:
    """A `listing` resource with its `currentStock` included."""
    shown = attributes(resource)
    stock_link = related(resource, "currentStock")
    stock_resource = None
    if stock_link is not None:
        stock_resource = included.get(stock_link)
        if stock_resource is None:
            raise ShapeError("its currentStock did not come along")
    return Listing(
        listing_id=resource_id(resource),
        state=state(shown),
        stock=stock(stock_resource, unlimited_from=unlimited_from),
        seller_id=author_id(resource),
        title=title(shown),
        sku=sku(shown, sku_key),
    )


def adjustment(
    resource: Resource, included: Included, *, listing_id: str | None = None, author: Author | None = None
) -> RemoteAdjustment:
    """A `stockAdjustment` resource. One with a reservation is never ours, whatever `author` says."""
    shown = attributes(resource)
    listing_link = related(resource, "listing")
    owner = listing_link[1] if listing_link else listing_id
    if owner is None:
        raise ShapeError("its listing is missing")
    quantity = whole(shown.get("quantity"), "the quantity")
    if quantity == 0:
        raise ShapeError("the quantity is 0")
    reservation = _reservation(related(resource, "stockReservation"), included)
    return RemoteAdjustment(
        adjustment_id=resource_id(resource),
        listing_id=owner,
        at=moment(shown.get("at")),
        quantity=quantity,
        author=author if reservation is None else Author.OTHER,
        reservation=reservation,
    )


def _reservation(link: tuple[str, str] | None, included: Included) -> Reservation | None:
    if link is None:
        return None
    resource = included.get(link)
    if resource is None:
        return Reservation(link[1])
    shown = attributes(resource)
    transaction = related(resource, "transaction")
    return Reservation(
        reservation_id=link[1],
        transaction_id=transaction[1] if transaction else None,
        # A state we do not know is left out: the reservation still says that a transaction caused the adjustment.
        state=_RESERVATION_STATES.get(str(shown.get("state"))),
        quantity=whole(shown.get("quantity"), "the reserved quantity"),
    )


_RESERVATION_STATES = {str(state): state for state in ReservationState}


def sku(attributes: Any, sku_key: str | None) -> str | None:
    """The SKU a listing keeps under that key, e.g. `metadata.externalSku`; None where it keeps none there."""
    section, _, key = (sku_key or "").partition(".")
    extended = attributes.get(section) if isinstance(attributes, Mapping) else None
    found = extended.get(key) if isinstance(extended, Mapping) else None
    if not isinstance(found, (str, int)) or isinstance(found, bool) or found == "":
        return None
    text = str(found)
    return text if is_storable(text) else None


def _kind(resource: Resource) -> str:
    found = resource.get("type")
    if not isinstance(found, str):
        raise ShapeError("a resource type is missing")
    return found


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ShapeError(f"{name} is not an object")
    return value
