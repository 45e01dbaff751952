"""What the feed tells of listings' states: who turned them, and what that means for the mark that we closed one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.contract import Author, ListingChange, ListingState
from worker.reconcile import repository as operations
from worker.store import Transaction
from worker.store.tables import OperationState
from worker.store.totals import note_totals
from worker.upkeep import repository

CLOCKS_APART = timedelta(seconds=30)
"""By how much the marketplace's clock and those of our hosts may disagree about what came first."""


def take_listing_changes(
    transaction: Transaction, rows: dict[str, Any], changes: Sequence[ListingChange], *, is_first: bool, now: datetime
) -> None:
    """Write down what changed. `is_first`: in the first reading after a start, which may be one after a restore."""
    updates: dict[str, dict[str, Any]] = {}
    late: list[int] = []
    turned = {change.listing_id for change in changes if change.state_changed}
    closings = operations.last_closings(transaction, turned)
    closed_by_others = {
        name
        for name, closing in closings.items()
        if rows[name].state is ListingState.CLOSED
        and rows[name].state_author is Author.OTHER
        and rows[name].state_changed_at >= closing.prepared_at - CLOCKS_APART
    }
    for change in changes:
        columns = updates.setdefault(change.listing_id, {"row": change.listing_id})
        columns["new_state"] = change.state
        if change.title:
            columns["new_title"] = change.title
        if change.seller_id:
            columns["new_seller_id"] = change.seller_id
        if not change.state_changed:
            continue
        columns["new_state_author"] = change.author
        # At the latest: what the feed tells of late must not seem to have happened after what we did since.
        columns["new_state_changed_at"] = min(now, change.at + CLOCKS_APART)
        if change.author is Author.OTHER or (
            change.author is None and not _may_be_our_close(rows[change.listing_id], change)
        ):
            columns["new_closed_by_us_at"] = None
        elif is_first and change.author is Author.OURS:
            # Of a closing or opening that the database may have lost in a restore, the mark is learnt again.
            closed = change.state is ListingState.CLOSED
            columns["new_closed_by_us_at"] = now if closed else None
            if closed:
                columns["new_close_done"] = True
        closing = closings.get(change.listing_id)
        undone = _undoes_closing(change, closing) and change.listing_id not in closed_by_others
        if undone or _shows_closing(change, closing):
            # Should it be open again when that closing is looked at, or have been, somebody has reopened it.
            columns["new_close_done"] = True
        if closing is not None and _was_late(change, closing):
            columns["new_closed_by_us_at"] = now
            late.append(closing.id)
        if change.state is ListingState.CLOSED and change.author is Author.OTHER:
            closed_by_others.add(change.listing_id)
    operations.update_listings(transaction, list(updates.values()))
    operations.settle(
        transaction,
        late,
        OperationState.APPLIED,
        now=now,
        from_states=(OperationState.ABSENT,),
        outcome="executed late: the feed shows it, after it had been taken for absent",
    )
    note_totals(transaction, list(updates), now)
    # An opening of ours whose request came late, it may be, after we had closed the listing again.
    reopened = {
        change.listing_id
        for change in changes
        if change.state_changed
        and change.author is Author.OURS
        and change.state is ListingState.PUBLISHED
        and rows[change.listing_id].closed_by_us_at is not None
    }
    repository.ask_for_look(transaction, reopened, now)
    repository.wake_for_reconcile(
        transaction,
        [change.listing_id for change in changes if change.state is ListingState.DELETED],
        now,
    )


def _may_be_our_close(row: Any, change: ListingChange) -> bool:
    """A change without an author keeps our mark only if it leads where our own last operation led."""
    return row.closed_by_us_at is not None and change.state is ListingState.CLOSED


def _shows_closing(change: ListingChange, closing: Any) -> bool:
    """Whether this change is the closing whose answer we have not got. It may have been taken for absent: what undid it
    was seen before this feed told of either.
    """
    return _concerns(change, closing) and change.state is ListingState.CLOSED and change.author is not Author.OTHER


def _was_late(change: ListingChange, closing: Any) -> bool:
    """Whether this change is a closing of ours that had been taken for absent. It is ours all the same, so that the
    listing is opened again where there is stock.
    """
    return _shows_closing(change, closing) and change.author is Author.OURS and closing.state is OperationState.ABSENT


def _undoes_closing(change: ListingChange, closing: Any) -> bool:
    """Whether somebody opened what nobody else had closed, so that it was our closing, which this feed hides."""
    return _concerns(change, closing) and change.state is ListingState.PUBLISHED and change.author is Author.OTHER


def _concerns(change: ListingChange, closing: Any) -> bool:
    return (
        closing is not None
        and closing.state is not OperationState.APPLIED
        and change.at >= closing.prepared_at - CLOCKS_APART
    )
