"""A product's stock transactions as adjustments of what is available. Pure: no I/O, no clock.

The vendor's list is the only evidence of a write: it knows neither who made a transaction nor what it left. Some
actions (`create`, `set`) say where stock stood rather than how far it moved, so the list is walked from its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.answers import FIRST_YEAR, LAST_YEAR
from connectors.contract import Author, RemoteAdjustment
from connectors.elasticpath.resources import Resource, ShapeError, identifier, mapping, whole

_GO = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) ([+-]\d{4})\b.*")
"""How Go writes a time by default, as the vendor's examples show it: `2018-05-01 10:10:57 +0000 UTC`."""

_OURS = frozenset({"increment", "decrement"})
"""What we do. Everything else is another's, for certain."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One entry of the list."""

    transaction_id: str
    action: str
    """An open set: what is not known here is left out of the adjustments."""
    quantity: int
    at: datetime
    location: str | None = None


def made(resource: Resource, *, multi_location: bool) -> tuple[str, str, int]:
    """Id, action and quantity of a `stock-transaction` resource of either flavour. Raises `ShapeError`."""
    fields = mapping(resource.get("attributes"), "attributes") if multi_location else resource
    action = fields.get("action")
    if not isinstance(action, str) or not action:
        raise ShapeError("its action is missing")
    return identifier(resource.get("id")), action, whole(fields.get("quantity"), "the quantity")


def transaction(resource: Resource, *, multi_location: bool) -> Transaction:
    """A `stock-transaction` resource of either flavour, with its time and place. Raises `ShapeError`."""
    transaction_id, action, quantity = made(resource, multi_location=multi_location)
    holder = mapping(resource.get("meta"), "meta") if multi_location else resource
    location = mapping(resource.get("attributes"), "attributes").get("location") if multi_location else None
    if location is not None and not isinstance(location, str):
        raise ShapeError("its location is no slug")
    at = moment(mapping(holder.get("timestamps"), "timestamps").get("created_at"))
    return Transaction(transaction_id, action, quantity, at, location or None)


def moment(value: Any) -> datetime:
    """A time in UTC, in either form the vendor writes: RFC 3339, or Go's. Raises `ShapeError`."""
    try:
        match = _GO.fullmatch(value)
        parsed = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3]}" if match else value)
    except (TypeError, ValueError):
        raise ShapeError(f"{value!r:.40} is not a timestamp") from None
    if parsed.tzinfo is None or not FIRST_YEAR <= parsed.year <= LAST_YEAR:
        raise ShapeError(f"{value!r:.40} is not a moment")
    return parsed.astimezone(UTC)


def adjustments(
    listing_id: str, listed: Iterable[Transaction], *, location: str | None, since: datetime, sole_writer: bool
) -> list[RemoteAdjustment]:
    """What moved the available stock at or after `since`, oldest first.

    Entries of one second keep the list's order, told apart by microseconds. Entries that moved nothing, of other
    locations, or of actions we do not know are left out; where one of those did move stock, the rest does not add up
    to the present figure, and whoever compares them sees it.
    """
    # Written in whole seconds: what happened within the second of `since` may have happened after it.
    since = since.replace(microsecond=0)
    walk = _Walk()
    found: list[RemoteAdjustment] = []
    last: datetime | None = None
    for entry in _oldest_first([each for each in listed if each.location == location]):
        at = entry.at if last is None or entry.at > last else last + timedelta(microseconds=1)
        last = at
        moved = walk.step(entry)
        if moved and at >= since:
            ours = Author.OURS if sole_writer else None
            author = ours if entry.action in _OURS else Author.OTHER
            found.append(RemoteAdjustment(entry.transaction_id, listing_id, at, moved, author))
    return found


class _Walk:
    """Follows available and allocated through the list; None while they are not known."""

    def __init__(self) -> None:
        self._available: int | None = None
        self._allocated: int | None = None

    def step(self, entry: Transaction) -> int | None:
        """By how much the entry moved what is available; None where that cannot be known."""
        quantity = entry.quantity
        match entry.action:
            case "increment":
                return self._move(quantity, 0)
            case "decrement":
                return self._move(-quantity, 0)
            case "allocate":
                return self._move(-quantity, quantity)
            case "deallocate":
                return self._move(quantity, -quantity)
            case "create":
                # Where there was stock before, it was unmanaged in between, which leaves no entry.
                moved = quantity - (self._available or 0)
                self._available, self._allocated = quantity, 0
                return moved
            case "set" if self._available is not None and self._allocated is not None:
                moved = quantity - self._allocated - self._available
                self._available += moved
                return moved
            case _:
                self._available = self._allocated = None
                return None

    def _move(self, available: int, allocated: int) -> int:
        if self._available is not None and self._allocated is not None:
            self._available += available
            self._allocated += allocated
        return available


def _oldest_first(listed: Sequence[Transaction]) -> list[Transaction]:
    """The list in the order of time; which way round it comes is not documented."""
    ordered = list(listed)
    if len(ordered) > 1:
        first, last = ordered[0], ordered[-1]
        # Of one second, what began it all tells.
        begun_last = first.at == last.at and last.action == "create" and first.action != "create"
        if first.at > last.at or begun_last:
            ordered.reverse()
    return sorted(ordered, key=lambda entry: entry.at)
