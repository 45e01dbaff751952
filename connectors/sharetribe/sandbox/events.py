"""`events/query`: the change feed (docs, "Events" and "Reacting to events")."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connectors.sandbox.log import Entry, Origin
from connectors.sandbox.stock import ReservationChange

from .endpoint import Call, Endpoint, Reply
from .entities import Listing, ListingChange, TransactionChange
from .errors import ApiError
from .fields import Field, names, number_text, per_page, timestamp, uuid
from .marketplace import Marketplace
from .resources import identity, linked
from .values import Id

PAGE = 100

_EXTENDED = ("publicData", "privateData", "metadata")


def query(call: Call) -> Reply:
    """Up to 100 retained and visible events in the order of their sequence ids."""
    marketplace, asked = call.marketplace, call.query
    _refuse_both(asked, "startAfterSequenceId", "createdAtStart")
    _refuse_both(asked, "resourceId", "relatedResourceId")
    size = _size(call)
    now = marketplace.log.moment()
    oldest = now - timedelta(days=marketplace.options.event_retention_days)
    since = asked.get("createdAtStart", oldest)
    if since < oldest:
        raise _invalid("createdAtStart is before the oldest event kept.", "createdAtStart")
    entries = marketplace.log.page(
        since=since,
        until=now - timedelta(seconds=marketplace.switches.event_delay_seconds),
        after_sequence=asked.get("startAfterSequenceId"),
        kinds=asked.get("eventTypes", ()),
        about=asked.get("resourceId") or asked.get("relatedResourceId"),
        itself_only="resourceId" in asked,
        limit=size,
    )
    meta = {"totalItems": None, "totalPages": None, "page": 1, "perPage": size, "paginationUnsupported": True}
    return Reply(entries, meta)


def _refuse_both(asked: Any, one: str, other: str) -> None:
    if one in asked and other in asked:
        raise _invalid(f"{one} and {other} cannot be used together.", one)


def _invalid(title: str, key: str) -> ApiError:
    return ApiError(400, "validation-invalid-params", title, path=(key,), part="query")


def _size(call: Call) -> int:
    asked = call.query.get("perPage")
    if asked is None or call.marketplace.switches.events_per_page == "ignored":
        return PAGE
    if call.marketplace.switches.events_per_page == "refused":
        title = "Key perPage is not allowed."
        raise ApiError(400, "validation-disallowed-key", title, path=("perPage",), part="query")
    return int(asked)


def event_of(marketplace: Marketplace, entry: Entry) -> dict[str, Any]:
    """A log entry as an `event` resource."""
    resource, previous = _resources(marketplace, entry)
    author = entry.origin if entry.origin.shown == "attributed" else Origin(entry.origin.source)
    return {
        # Event ids mean nothing, so they are made from the sequence rather than stored.
        "id": Id(f"{entry.sequence:08x}-0000-4000-8000-{entry.sequence:012x}"),
        "type": "event",
        "attributes": {
            "createdAt": entry.at,
            "sequenceId": entry.sequence,
            "marketplaceId": Id(marketplace.card.marketplace_id),
            "eventType": entry.kind,
            "source": entry.origin.source,
            "resourceId": Id(entry.about[0]),
            "resourceType": entry.kind.partition("/")[0],
            "resource": resource,
            "previousValues": previous,
            "auditData": {
                "userId": _id(author.user_id),
                "adminId": _id(author.admin_id),
                "clientId": _id(author.client_id),
                "requestId": None,
            },
        },
    }


def _id(text: str | None) -> Id | None:
    return Id(text) if text else None


def _resources(marketplace: Marketplace, entry: Entry) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The resource after the event, and what differed before it."""
    subject = entry.subject
    match subject:
        case None:
            return {"id": Id(entry.about[0]), "type": entry.kind.partition("/")[0], "attributes": {}}, {}
        case ReservationChange():
            if subject.previous is None:
                return linked(marketplace, subject), {}
            return linked(marketplace, subject), {**identity(subject), "attributes": {"state": subject.previous}}
        case ListingChange() | TransactionChange():
            return _before_and_after(marketplace, subject)
        case _:
            return linked(marketplace, subject), {}


def _before_and_after(
    marketplace: Marketplace, change: ListingChange | TransactionChange
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    before = linked(marketplace, change.before) if change.before else None
    deleted = isinstance(change.after, Listing) and change.after.deleted
    after = None if deleted else linked(marketplace, change.after)
    if before is None:
        return after, {}
    if after is None:
        return None, before
    changed: dict[str, Any] = {}
    for name, old in before["attributes"].items():
        new = after["attributes"][name]
        if old == new:
            continue
        if name in _EXTENDED:
            changed[name] = {key: old.get(key) for key in {**old, **new} if old.get(key) != new.get(key)}
        else:
            changed[name] = old
    return after, {"id": after["id"], "type": after["type"], "attributes": changed}


ENDPOINTS = {
    "events/query": Endpoint(
        "GET",
        query,
        query={
            "startAfterSequenceId": Field(number_text),
            "createdAtStart": Field(timestamp),
            "resourceId": Field(uuid),
            "relatedResourceId": Field(uuid),
            "eventTypes": Field(names),
            "perPage": Field(per_page),
        },
    )
}
