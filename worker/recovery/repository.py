"""Every query about what a restored database has lost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update

from connectors.contract import Author
from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks
from worker.store.tables import Claim, Cursor, ListingRow, OrderLineRow, OrderRow, Pair, RemoteAdjustmentRow

_ADJUSTMENT = (
    RemoteAdjustmentRow.adjustment_id,
    RemoteAdjustmentRow.listing_id,
    RemoteAdjustmentRow.at,
    RemoteAdjustmentRow.quantity,
    RemoteAdjustmentRow.author,
    RemoteAdjustmentRow.total_after,
)
# In the marketplace's order; what only its log has shown, by time.
_IN_ORDER = (RemoteAdjustmentRow.at, RemoteAdjustmentRow.sequence, RemoteAdjustmentRow.adjustment_id)


def own_unclaimed(
    transaction: Transaction, *, after: datetime | None = None, until: datetime | None = None
) -> Sequence[AnyRow]:
    """Own adjustments that no operation has claimed, and that no person has taken for another's."""
    statement = select(*_ADJUSTMENT).where(RemoteAdjustmentRow.open_claim)
    if after is not None:
        statement = statement.where(RemoteAdjustmentRow.at > after)
    if until is not None:
        statement = statement.where(RemoteAdjustmentRow.at <= until)
    return transaction.execute(statement.order_by(*_IN_ORDER)).all()


def lost(transaction: Transaction, listing_id: str, *, anonymous_after: datetime | None) -> Sequence[AnyRow]:
    """The adjustments of one listing that are ours and unclaimed; with `anonymous_after`, also those since then that
    may be ours, because nobody says whose they are.
    """
    ours: ColumnElement[bool] = RemoteAdjustmentRow.open_claim.expression
    if anonymous_after is not None:
        ours = or_(
            ours,
            and_(
                RemoteAdjustmentRow.author.is_(None),
                RemoteAdjustmentRow.reservation_id.is_(None),
                RemoteAdjustmentRow.at > anonymous_after,
                Claim.operation_id.is_(None),
            ),
        )
    return transaction.execute(
        select(*_ADJUSTMENT)
        .outerjoin(Claim, Claim.adjustment_id == RemoteAdjustmentRow.adjustment_id)
        .where(RemoteAdjustmentRow.listing_id == listing_id, ours)
        .where(or_(RemoteAdjustmentRow.author.is_(None), RemoteAdjustmentRow.author == Author.OURS))
        .order_by(*_IN_ORDER)
    ).all()


def lines(transaction: Transaction, listing_id: str) -> Sequence[AnyRow]:
    """Every pair of a listing, whatever holds its channel: that tells what may be written, not what was. Units
    `cancelled` are those that its line had when it was first seen and has no more, unless they were never ours to take.
    """
    due = Pair.committed - Pair.waived - Pair.applied
    fallen = OrderLineRow.first_committed * Pair.units - Pair.committed
    cancelled = case((and_(Pair.waived == 0, fallen > 0), fallen), else_=0)
    return transaction.execute(
        select(Pair.id, due.label("due"), Pair.placed_at, cancelled.label("cancelled"))
        .join(OrderLineRow, OrderLineRow.id == Pair.line_row)
        .where(Pair.listing_id == listing_id)
    ).all()


def listings_with_pending(transaction: Transaction) -> Sequence[str]:
    return transaction.scalars(
        select(Pair.listing_id).where(Pair.applied != Pair.committed - Pair.waived).distinct().order_by(Pair.listing_id)
    ).all()


def read_at(transaction: Transaction, cursors: Collection[str]) -> dict[str, datetime | None]:
    """When each of these last reached its head; None: never."""
    found: dict[str, datetime | None] = dict.fromkeys(cursors)
    for chunk in in_chunks(sorted(cursors)):
        rows = transaction.execute(select(Cursor.name, Cursor.current_at).where(Cursor.name.in_(chunk)))
        found.update((row.name, row.current_at) for row in rows)
    return found


def orders_to_fetch(transaction: Transaction) -> int:
    return transaction.scalar(select(func.count()).where(OrderRow.fetch_at.is_not(None))) or 0


def look_later(transaction: Transaction, listing_id: str, at: datetime) -> None:
    """Let a listing be looked at then, unless it will be anyhow."""
    transaction.execute(
        update(ListingRow)
        .where(ListingRow.listing_id == listing_id, ListingRow.next_attempt_at.is_(None))
        .values(next_attempt_at=at)
    )
