"""What upkeep has to tell operators of listings that are not as they should be."""

from __future__ import annotations

from datetime import datetime

from connectors.contract import PendingReservation
from worker.alerts import Finding, Kind


def open_at_zero(listing_id: str, total: int, since: datetime, *, reopened: bool, held: str | None) -> Finding:
    """A listing without stock is still on sale."""
    if reopened:
        why = "It was closed, and somebody opened it again: trueup leaves it to them until it has had stock."
    elif held is not None:
        why = f"It is held ({held}), so it is not closed."
    else:
        why = "It should have been closed by now: see `trueup operations list`, or close it on the marketplace."
    return Finding(
        Kind.OPEN_AT_ZERO,
        f"Listing {listing_id} has {total} units since {since:%Y-%m-%d %H:%M} UTC and is still on sale. {why}",
        listing_id=listing_id,
        detail={"total": total},
    )


def closed_with_stock(listing_id: str, units: str, *, held: str | None) -> Finding:
    """A listing that has stock is closed, and it may have been us."""
    if held is not None:
        why = f"trueup closed it when it was empty, and may not open it now: it is held ({held}). Lift the hold."
    else:
        why = (
            "Nobody is known to have closed it: it may have been a closing of trueup's that was taken for never"
            " executed. If nobody else closed it, open it on the marketplace."
        )
    return Finding(
        Kind.CLOSED_WITH_STOCK,
        f"Listing {listing_id} is closed although it has {units} units. {why}",
        listing_id=listing_id,
    )


def reservation_pending(reservation: PendingReservation) -> Finding:
    """Units that are neither sold nor for sale."""
    listing = "a listing that is not named" if reservation.listing_id is None else f"listing {reservation.listing_id}"
    return Finding(
        Kind.RESERVATION_PENDING,
        f"Reservation {reservation.reservation_id} of transaction {reservation.transaction_id} holds"
        f" {reservation.quantity} units of {listing} since {reservation.since:%Y-%m-%d %H:%M} UTC, and is still"
        " pending: they are neither sold nor for sale. Complete or cancel that transaction on the marketplace.",
        listing_id=reservation.listing_id,
        key=reservation.reservation_id,
        detail={
            "reservation": reservation.reservation_id,
            "transaction": reservation.transaction_id,
            "units": reservation.quantity,
        },
    )
