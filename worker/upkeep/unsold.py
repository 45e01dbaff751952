"""Listings that have stock and are closed, where that may be our doing. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connectors.contract import Author, Listing, ListingState, StockKind
from worker.alerts import Finding
from worker.holds import ActiveHolds
from worker.reconcile.logs import LATE_FOR
from worker.store.tables import OperationState
from worker.upkeep.closing import Action
from worker.upkeep.findings import closed_with_stock


def is_unsold(listing: Listing | None) -> bool:
    """Whether this is a listing with stock that is closed."""
    if listing is None or listing.state is not ListingState.CLOSED:
        return False
    stock = listing.stock
    return stock.kind is StockKind.UNLIMITED or (stock.kind is StockKind.COUNTED and stock.total > 0)


def kept_closed(
    listing: Listing, row: Any, action: Action, held: ActiveHolds, closing: Any, now: datetime
) -> Finding | None:
    """What to tell of a listing just read, whose row was `row` before, that stays closed although it has stock.

    Either we closed it and may not open it now; or `closing`, the last one that we sent and took for never executed,
    has been executed unseen, for all that is known: whose closing it is, only a person can say (P4, P5).
    """
    if not is_unsold(listing):
        return None
    units = f"{listing.stock.total}" if listing.stock.kind is StockKind.COUNTED else "unlimited"
    if action is Action.OPEN:
        hold = held.on_listing(listing.listing_id)
        return None if hold is None else closed_with_stock(listing.listing_id, units, held=hold.reason.value)
    if action is not Action.NOTHING or closing is None or closing.state is not OperationState.ABSENT:
        return None
    # As long again as it may be executed late: then a sweep has seen it.
    too_old = now - closing.prepared_at > 2 * LATE_FOR
    if too_old or (row.state is ListingState.CLOSED and is_anothers(row, closing.prepared_at)):
        return None
    return closed_with_stock(listing.listing_id, units, held=None)


def is_anothers(row: Any, since: datetime) -> bool:
    """Whether the feed has told, after that, that somebody else changed the state of a listing that we do not hold
    closed.
    """
    changed_at = row.state_changed_at
    by_other = row.state_author is Author.OTHER and changed_at is not None and changed_at >= since
    return by_other and row.closed_by_us_at is None
