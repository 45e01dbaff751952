"""Sharetribe's events as changes and trail events, and the cursor into them (docs, "Events").

Pure: no I/O, no clock. Functions raise `ShapeError` on anything but the documented shape.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.contract import Author, Change, ListingChange, ListingState, StockChange, TrailEvent
from connectors.sharetribe.resources import (
    Resource,
    ShapeError,
    adjustment,
    attributes,
    author_id,
    identifier,
    meta,
    moment,
    related,
    resource_id,
    state,
    timestamp,
    title,
    whole,
)
from connectors.text import is_storable, legible

PAGE = 100
RETENTION = {"live": timedelta(days=90), "dev": timedelta(days=7)}
"""How long events are kept."""

FEED_TYPES = "listing,stockAdjustment"
TRAIL_TYPES = "stockAdjustment,stockReservation,transaction"

_NOT_BY_AN_INTEGRATION = frozenset({"source/marketplace-api", "source/transaction", "source/console", "source/admin"})


@dataclass(frozen=True, slots=True)
class Position:
    """How far the feed has been read.

    Everything up to `at` has been seen; `sequence` is the last event seen, None before the first one.
    """

    at: datetime
    sequence: int | None = None

    def text(self) -> str:
        """For the worker to keep."""
        return json.dumps({"sequence": self.sequence, "at": timestamp(self.at)}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Position:
        """Raises `ShapeError`."""
        try:
            kept = json.loads(text)
        except (ValueError, RecursionError):
            raise ShapeError("not JSON") from None
        if not isinstance(kept, dict):
            raise ShapeError("not an object")
        sequence = kept.get("sequence")
        return cls(moment(kept.get("at")), None if sequence is None else whole(sequence, "sequence"))

    def query(self, types: str) -> dict[str, Any]:
        """What asks for the events of these types that follow."""
        if self.sequence is None:
            return {"eventTypes": types, "createdAtStart": timestamp(self.at)}
        return {"eventTypes": types, "startAfterSequenceId": self.sequence}


def following(position: Position | None, event: Resource) -> Position:
    """The position after `event`. Sequence ids only grow: an answer that goes back would be read for ever."""
    number = sequence(event)
    if position is not None and position.sequence is not None and number <= position.sequence:
        raise ShapeError(f"its sequence id {number} does not follow {position.sequence}")
    try:
        return Position(created_at(event), number)
    except ShapeError:
        if position is None:
            raise
        # Its place is what leads on; that it happened no earlier than the one before is enough to know its age.
        return Position(position.at, number)


def is_last(page: Sequence[Any], answer: Any) -> bool:
    """Whether nothing follows this page of events. After an empty one nothing does, whatever the answer says."""
    return not page or len(page) < (meta(answer, "perPage") or PAGE)


def sequence(event: Resource) -> int:
    """Its place in the feed: strictly increasing, with gaps."""
    return whole(attributes(event).get("sequenceId"), "sequenceId")


def created_at(event: Resource) -> datetime:
    """When it happened; several events may share a moment."""
    return moment(attributes(event).get("createdAt"))


def event_type(event: Resource) -> str:
    """Resource type, slash, verb, e.g. `listing/updated`; new ones may appear at any time."""
    found = attributes(event).get("eventType")
    if not isinstance(found, str) or not found or not is_storable(found):
        raise ShapeError("eventType is missing or no name")
    return found


def subject_of(event: Resource) -> str:
    """The id of the resource it is about."""
    return identifier(attributes(event).get("resourceId"))


def change(event: Resource, *, client_id: str) -> Change | None:
    """What an event means for stock; None for a type that means nothing to us. Raises `ShapeError`."""
    match event_type(event):
        case "stockAdjustment/created":
            found = adjustment(_resource(event), {}, author=author(event, client_id=client_id))
            return StockChange(sequence(event), found)
        case "listing/created" | "listing/updated" | "listing/deleted" as kind:
            if kind == "listing/deleted" or attributes(event).get("resource") is None:
                # Only what is deleted is not shown: what happens to such a listing still may leave events behind.
                return _deleted(event, client_id=client_id)
            shown = _resource(event)
            return ListingChange(
                sequence=sequence(event),
                listing_id=resource_id(shown),
                at=created_at(event),
                state=state(attributes(shown)),
                state_changed=kind == "listing/created" or bool({"state", "deleted"} & set(_previous(event))),
                author=author(event, client_id=client_id),
                seller_id=author_id(shown),
                title=title(attributes(shown)),
            )
        case _:
            return None


def _deleted(event: Resource, *, client_id: str) -> ListingChange:
    return ListingChange(
        sequence=sequence(event),
        listing_id=subject_of(event),
        at=created_at(event),
        state=ListingState.DELETED,
        state_changed=True,
        author=author(event, client_id=client_id),
    )


def listing_of(event: Resource) -> str | None:
    """The listing that a malformed event is about, where that much can be read."""
    try:
        shown = attributes(event)
        if str(shown.get("eventType")).startswith("listing/"):
            return identifier(shown.get("resourceId"))
        link = related(_resource(event), "listing")
    except ShapeError:
        return None
    return None if link is None else link[1]


def author(event: Resource, *, client_id: str) -> Author | None:
    """Who caused an event: ours is what our own application did; None is an Integration call without a client id."""
    audit = attributes(event).get("auditData")
    audit = audit if isinstance(audit, Mapping) else {}
    caller = audit.get("clientId")
    if caller is not None:
        return Author.OURS if identifier(caller) == client_id else Author.OTHER
    # A person at the site or in Console may come without a client id; ours always come through the Integration API.
    source = attributes(event).get("source")
    if (isinstance(source, str) and source in _NOT_BY_AN_INTEGRATION) or audit.get("userId") or audit.get("adminId"):
        return Author.OTHER
    return None


def trail_event(event: Resource) -> TrailEvent | None:
    """One step of a transaction's trail; None for what is neither a stock action nor a transition."""
    kind = event_type(event)
    subject, _, verb = kind.partition("/")
    if subject in ("stockAdjustment", "stockReservation"):
        return TrailEvent(created_at(event), "stock", kind)
    if subject == "transaction" and verb in ("initiated", "transitioned"):
        transition = attributes(_resource(event)).get("lastTransition")
        name = legible(transition) if isinstance(transition, str) else kind
        return TrailEvent(created_at(event), "transaction", name)
    return None


def _resource(event: Resource) -> Resource:
    found = attributes(event).get("resource")
    if not isinstance(found, Mapping):
        raise ShapeError("its resource is missing")
    return found


def _previous(event: Resource) -> Mapping[str, Any]:
    """The attributes as they were, of those that changed."""
    values = attributes(event).get("previousValues")
    found = values.get("attributes") if isinstance(values, Mapping) else None
    return found if isinstance(found, Mapping) else {}
