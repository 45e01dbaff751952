"""Stock reservations of Sharetribe transactions that are still pending: pure parsers. No I/O."""

from __future__ import annotations

from typing import Any

from connectors.contract import PendingReservation
from connectors.sharetribe.resources import (
    Included,
    Resource,
    ShapeError,
    attributes,
    moment,
    related,
    resource_id,
    whole,
)
from connectors.sharetribe.sales import taken_at

QUERY: dict[str, Any] = {
    "stockReservationStates": "pending",
    "sort": "-createdAt",
    "include": "listing,stockReservation,stockReservation.stockAdjustments",
    "fields.transaction": "createdAt",
    "fields.listing": "createdAt",
    "fields.stockReservation": "quantity,state",
    "fields.stockAdjustment": "at",
}
"""The oldest transactions first, and nothing of their buyers."""


def pending(transaction: Resource, included: Included) -> PendingReservation:
    """What a transaction holds, asked for by `QUERY`. Raises `ShapeError`.

    A transaction may have begun as an inquiry, long before it took units.
    """
    link = related(transaction, "stockReservation")
    reservation = None if link is None else included.get(link)
    if reservation is None:
        raise ShapeError("its stock reservation did not come along")
    sold = related(transaction, "listing")
    return PendingReservation(
        reservation_id=resource_id(reservation),
        transaction_id=resource_id(transaction),
        listing_id=None if sold is None else sold[1],
        quantity=whole(attributes(reservation).get("quantity"), "the reserved quantity"),
        since=taken_at(reservation, included) or moment(attributes(transaction).get("createdAt")),
    )
