"""The zero episode of a listing, kept in step with its total.

Every room that changes totals calls this in the same transaction, so that closing, opening and the flag for negative
stock are never missed, and cost nothing for listings that stay above zero.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, case, false, func, or_, update

from connectors.contract import ListingState, StockKind
from worker.store.bulk import in_chunks
from worker.store.engine import Transaction
from worker.store.tables import ListingRow


def note_totals(transaction: Transaction, listing_ids: Collection[str], now: datetime, *, wake: bool = True) -> None:
    """Start or end the zero episode of these listings; `wake` upkeep where there is something to do.

    A look that is under way began before this: it must not be the last word, so it is woken as well.
    """
    counted = and_(ListingRow.stock_kind == StockKind.COUNTED, ListingRow.total.is_not(None))
    empty = and_(counted, ListingRow.total <= 0)
    stocked = and_(counted, ListingRow.total > 0)
    begins = and_(empty, ListingRow.zero_since.is_(None))
    ends = and_(~empty, ListingRow.zero_since.is_not(None))
    to_close = and_(empty, ListingRow.state == ListingState.PUBLISHED, or_(begins, ~ListingRow.close_done))
    sellable = or_(stocked, ListingRow.stock_kind == StockKind.UNLIMITED)
    to_open = and_(sellable, ListingRow.closed_by_us_at.is_not(None))
    negative = and_(counted, ListingRow.total < 0)
    to_do = or_(to_close, to_open, negative)
    for chunk in in_chunks(sorted(listing_ids)):
        transaction.execute(
            update(ListingRow)
            .where(ListingRow.listing_id.in_(chunk), or_(begins, ends, to_do))
            .values(
                zero_since=case((empty, func.coalesce(ListingRow.zero_since, now)), else_=None),
                # A closing of the last episode may have been recorded after that episode had ended.
                close_done=case((or_(stocked, begins), false()), else_=ListingRow.close_done),
                next_upkeep_at=case((to_do, now), else_=ListingRow.next_upkeep_at)
                if wake
                else ListingRow.next_upkeep_at,
            )
        )
