"""What a Sharetribe transaction commits: pure parsers from the vendor's shape to `Order`. No I/O.

A transaction sells one listing and holds at most one stock reservation, so an order has one line or none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from connectors.contract import Order, OrderLine, OrderRef, ReservationState
from connectors.sharetribe.resources import (
    Included,
    Resource,
    ShapeError,
    attributes,
    moment,
    related,
    related_many,
    resource_id,
    sku,
    whole,
)
from connectors.sharetribe.settings import SharetribeChannelSettings

_HELD = frozenset({ReservationState.PENDING, ReservationState.ACCEPTED})
"""What the marketplace itself has taken off its stock."""


def query(settings: SharetribeChannelSettings) -> dict[str, str]:
    """What to ask for with a transaction, and no more: nothing of its buyer, its price or its data."""
    section = settings.sku_key.partition(".")[0] if settings.sku_key else "createdAt"
    of_provider = ["provider"] if settings.provider_id else []
    return {
        "include": ",".join(["listing", "stockReservation", "stockReservation.stockAdjustments", *of_provider]),
        "fields.transaction": "createdAt,lastTransitionedAt,processName",
        "fields.listing": section,
        "fields.stockReservation": "quantity,state",
        "fields.stockAdjustment": "at",
        "fields.user": "createdAt",
    }


def order(
    transaction: Resource, included: Included, settings: SharetribeChannelSettings, *, fetched_at: datetime
) -> Order:
    """A transaction with what came along, as `query` asks for it. Raises `ShapeError`.

    One that holds no stock, or is another provider's where one is set, has no lines.
    """
    shown = attributes(transaction)
    excluded = _excluded(transaction, shown, settings)
    link = _reservation_of(transaction)
    lines: tuple[OrderLine, ...] = ()
    placed_at = moment(shown.get("createdAt"))
    if link is not None and excluded != _ANOTHER_PROVIDER:
        reservation = included.get(link)
        if reservation is None:
            raise ShapeError("its stock reservation did not come along")
        lines = (_line(transaction, reservation, included, settings),)
        placed_at = taken_at(reservation, included) or placed_at
    return Order(
        order_id=resource_id(transaction),
        revision=revision(transaction),
        placed_at=placed_at,
        lines=lines,
        excluded=excluded,
        fetched_at=fetched_at,
    )


def _reservation_of(transaction: Resource) -> tuple[str, str] | None:
    """Its reservation; None where it says that it has none.

    A transaction has a listing at the least: one that shows neither does not say whether it holds stock.
    """
    shown = transaction.get("relationships")
    if not isinstance(shown, Mapping) or not {"listing", "stockReservation"} & shown.keys():
        raise ShapeError("it shows no relationships")
    link = shown.get("stockReservation")
    if link and not (isinstance(link, Mapping) and "data" in link):
        raise ShapeError("its stock reservation is not shown as documented")
    return related(transaction, "stockReservation")


def ref(transaction: Resource) -> OrderRef:
    """A transaction's id and revision. Raises `ShapeError`."""
    return OrderRef(resource_id(transaction), revision(transaction))


def changed_at(transaction: Resource) -> datetime:
    """When its last transition was made. Raises `ShapeError`."""
    return moment(attributes(transaction).get("lastTransitionedAt"))


def revision(transaction: Resource) -> int:
    """Its last transition in milliseconds since 1970, as finely as the vendor stamps."""
    return int(changed_at(transaction).timestamp() * 1000 + 0.5)


def reduced(element: Any) -> bytes:
    """What a person may want to see of an unreadable transaction: nothing of its buyer, its price or its data."""
    found = element if isinstance(element, Mapping) else {}
    shown = found.get("attributes")
    kept: dict[str, Any] = {
        name: value
        for name in ("createdAt", "lastTransitionedAt", "processName")
        if isinstance(shown, Mapping) and isinstance(value := shown.get(name), str)
    }
    for name in ("listing", "stockReservation", "provider"):
        with suppress(ShapeError):
            kept[name] = related(found, name)
    return json.dumps(kept).encode()


_ANOTHER_PROVIDER = "another provider"


def _excluded(transaction: Resource, shown: Mapping[str, Any], settings: SharetribeChannelSettings) -> str | None:
    if settings.provider_id is not None:
        provider = related(transaction, "provider")
        if provider is None:
            raise ShapeError("its provider is not named")
        if provider[1] != settings.provider_id:
            return _ANOTHER_PROVIDER
    process = shown.get("processName")
    return f"process {process}" if process in settings.exclude_processes else None


def _line(
    transaction: Resource, reservation: Resource, included: Included, settings: SharetribeChannelSettings
) -> OrderLine:
    held = attributes(reservation)
    quantity = whole(held.get("quantity"), "the reserved quantity")
    if quantity < 0:
        raise ShapeError("the reserved quantity is negative")
    try:
        state = ReservationState(held.get("state", ""))
    except ValueError:
        raise ShapeError(f"{held.get('state')!r:.40} is no state of a stock reservation that is known") from None
    sold = related(transaction, "listing")
    if sold is None:
        raise ShapeError("its listing is not named")
    # A listing that did not come along is a deleted one: the id is left.
    listing = included.get(sold)
    named = None if listing is None else sku(listing.get("attributes"), settings.sku_key)
    return OrderLine(
        line_id=resource_id(reservation),
        sku=named or sold[1],
        item_key=sold[1],
        committed=quantity if state in _HELD else 0,
    )


def taken_at(reservation: Resource, included: Included) -> datetime | None:
    """When the units were first taken; None before that, as for a proposal.

    A transaction may have begun as an inquiry, long before anything was bought.
    """
    links = related_many(reservation, "stockAdjustments")
    times = [moment(attributes(included[link]).get("at")) for link in links if link in included]
    return min(times, default=None)
