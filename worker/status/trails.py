"""Every query about the trail of an order, and about work that stays behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import case, func, or_, select, text, true, union_all

from worker.status.repository import DUE_UNITS, PENDING
from worker.store import AnyRow, Transaction
from worker.store.tables import (
    Claim,
    JournalEntry,
    ListingRow,
    Operation,
    OperationPair,
    OrderLineRow,
    OrderRow,
    OrderState,
    Pair,
    RemoteAdjustmentRow,
)

# The conditions of partial indexes, written out: with a bound value the planner cannot know that they fit.
_UNSETTLED = text("operations.state IN ('prepared', 'unknown')")
_PARKED = text("orders.state = 'parked'")

# --- finding ----------------------------------------------------------------------------------------------------


def found_orders(
    transaction: Transaction,
    *,
    words: str,
    channels: Collection[str],
    one_channel: bool,
    parked: bool,
    before_id: int | None,
    limit: int,
) -> Sequence[AnyRow]:
    """The newest first: all of them, or those of this id or with a line of this SKU. `one_channel` says that `channels`
    is a choice, and not simply all that there are.
    """
    waits = (
        select(Pair.id)
        .join(OrderLineRow, OrderLineRow.id == Pair.line_row)
        .where(OrderLineRow.order_row == OrderRow.id, PENDING)
    )
    unlinked = select(OrderLineRow.id).where(
        OrderLineRow.order_row == OrderRow.id, ~OrderLineRow.linked, OrderLineRow.committed > 0
    )
    statement = select(
        OrderRow.id,
        OrderRow.channel,
        OrderRow.order_id,
        OrderRow.state,
        OrderRow.placed_at,
        OrderRow.first_seen_at,
        OrderRow.reason,
        waits.exists().label("waits"),
        unlinked.exists().label("unlinked"),
    )
    if before_id is not None:
        statement = statement.where(OrderRow.id < before_id)
    if parked:
        statement = statement.where(_PARKED)
    if words:
        named = select(OrderRow.id).where(OrderRow.channel.in_(channels), OrderRow.order_id == words)
        sold = select(OrderLineRow.order_row).where(OrderLineRow.channel.in_(channels), OrderLineRow.sku == words)
        if before_id is not None:
            sold = sold.where(OrderLineRow.order_row < before_id)
        latest = sold.distinct().order_by(OrderLineRow.order_row.desc()).limit(limit).subquery()
        statement = statement.where(OrderRow.id.in_(union_all(named, select(latest))))
    elif one_channel:
        statement = statement.where(OrderRow.channel.in_(channels))
    return transaction.execute(statement.order_by(OrderRow.id.desc()).limit(limit)).all()


# --- one order --------------------------------------------------------------------------------------------------


def order(transaction: Transaction, channel: str, order_id: str) -> AnyRow | None:
    """An order, by what its channel calls it."""
    return transaction.execute(
        select(
            OrderRow.id,
            OrderRow.channel,
            OrderRow.order_id,
            OrderRow.state,
            OrderRow.revision,
            OrderRow.polled_revision,
            OrderRow.fetched_at,
            OrderRow.placed_at,
            OrderRow.first_seen_at,
            OrderRow.reason,
            OrderRow.accepted_by,
            OrderRow.fetch_at,
            OrderRow.fetch_attempts,
            OrderRow.look_at,
            OrderRow.correlation_id,
        ).where(OrderRow.channel == channel, OrderRow.order_id == order_id)
    ).one_or_none()


def sums(transaction: Transaction, order_row: int) -> AnyRow:
    """Lines; units of lines without a listing; and in units of listings: sold, taken, not ours, to be taken, and to be
    given back.
    """
    of_lines = (
        select(
            func.count().label("lines"),
            func.sum(case((~OrderLineRow.linked, OrderLineRow.committed), else_=0)).label("unlinked"),
        )
        .where(OrderLineRow.order_row == order_row)
        .subquery()
    )
    of_pairs = (
        select(
            func.sum(Pair.committed).label("sold"),
            func.sum(Pair.applied).label("taken"),
            func.sum(Pair.waived).label("waived"),
            func.sum(case((DUE_UNITS > 0, DUE_UNITS), else_=0)).label("to_take"),
            func.sum(case((DUE_UNITS < 0, -DUE_UNITS), else_=0)).label("to_give_back"),
        )
        .join(OrderLineRow, OrderLineRow.id == Pair.line_row)
        .where(OrderLineRow.order_row == order_row)
        .subquery()
    )
    return transaction.execute(select(*of_lines.c, *of_pairs.c).select_from(of_lines.join(of_pairs, true()))).one()


def lines(transaction: Transaction, order_row: int, after_id: int, limit: int) -> Sequence[AnyRow]:
    """In the order in which they were first seen."""
    return transaction.execute(
        select(
            OrderLineRow.id,
            OrderLineRow.line_id,
            OrderLineRow.item_key,
            OrderLineRow.sku,
            OrderLineRow.committed,
            OrderLineRow.first_committed,
            OrderLineRow.placed_at,
            OrderLineRow.linked,
        )
        .where(OrderLineRow.order_row == order_row, OrderLineRow.id > after_id)
        .order_by(OrderLineRow.id)
        .limit(limit)
    ).all()


def pairs(transaction: Transaction, line_rows: Collection[int]) -> Sequence[AnyRow]:
    """Of these lines, each with what is known of its listing."""
    return transaction.execute(
        select(
            Pair.id,
            Pair.line_row,
            Pair.listing_id,
            Pair.units,
            Pair.committed,
            Pair.applied,
            Pair.waived,
            ListingRow.title,
            ListingRow.state,
            ListingRow.stock_kind,
            ListingRow.total,
            ListingRow.doubted,
            ListingRow.put_off_by,
            ListingRow.next_attempt_at,
        )
        .join(ListingRow, ListingRow.listing_id == Pair.listing_id)
        .where(Pair.line_row.in_(line_rows))
        .order_by(Pair.line_row, Pair.id)
    ).all()


def tries(transaction: Transaction, pair_ids: Collection[int], limit: int) -> Sequence[AnyRow]:
    """The writes that were for these pairs, the latest first."""
    return transaction.execute(
        select(
            OperationPair.pair_id,
            Operation.id,
            Operation.listing_id,
            OperationPair.units,
            Operation.state,
            Operation.expected_total,
            (RemoteAdjustmentRow.total_after - RemoteAdjustmentRow.quantity).label("found_total"),
            Operation.new_total,
            Operation.prepared_at,
            Operation.settled_at,
            Operation.answered,
            Operation.outcome,
        )
        .join(Operation, Operation.id == OperationPair.operation_id)
        .outerjoin(Claim, Claim.operation_id == Operation.id)
        .outerjoin(RemoteAdjustmentRow, RemoteAdjustmentRow.adjustment_id == Claim.adjustment_id)
        .where(OperationPair.pair_id.in_(pair_ids))
        .order_by(Operation.id.desc(), OperationPair.pair_id)
        .limit(limit)
    ).all()


def entries(transaction: Transaction, pair_ids: Collection[int], limit: int) -> Sequence[AnyRow]:
    """What the journal says of these pairs, the latest first."""
    return transaction.execute(
        select(
            JournalEntry.pair_id,
            JournalEntry.at,
            JournalEntry.listing_id,
            JournalEntry.kind,
            JournalEntry.units,
            JournalEntry.operation_id,
            JournalEntry.reason,
            JournalEntry.note,
        )
        .where(JournalEntry.pair_id.in_(pair_ids))
        .order_by(JournalEntry.id.desc())
        .limit(limit)
    ).all()


def unsettled_on(transaction: Transaction, listing_ids: Collection[str]) -> dict[str, int]:
    """Listing -> its write that has no outcome yet."""
    rows = transaction.execute(
        select(Operation.listing_id, Operation.id).where(Operation.listing_id.in_(listing_ids), _UNSETTLED)
    )
    return {row.listing_id: row.id for row in rows}


# --- what stays behind ------------------------------------------------------------------------------------------


def failing_fetches(transaction: Transaction, limit: int) -> Sequence[AnyRow]:
    """Orders that were asked for in vain, the one that is tried next first."""
    return transaction.execute(
        select(
            OrderRow.channel,
            OrderRow.order_id,
            OrderRow.first_seen_at,
            OrderRow.reason,
            OrderRow.fetch_attempts,
            OrderRow.fetch_at,
        )
        .where(OrderRow.fetch_at.is_not(None), OrderRow.fetch_attempts > 0, OrderRow.state != OrderState.PARKED)
        .order_by(OrderRow.fetch_at, OrderRow.id)
        .limit(limit)
    ).all()


def unsettled(transaction: Transaction, limit: int) -> Sequence[AnyRow]:
    """Writes without an outcome, the oldest first, each with the title of its listing."""
    return transaction.execute(
        select(
            Operation.id,
            Operation.listing_id,
            ListingRow.title,
            Operation.kind,
            Operation.state,
            Operation.expected_total,
            Operation.new_total,
            Operation.prepared_at,
            Operation.outcome,
        )
        .join(ListingRow, ListingRow.listing_id == Operation.listing_id)
        .where(_UNSETTLED)
        .order_by(Operation.prepared_at, Operation.id)
        .limit(limit)
    ).all()


def put_off(transaction: Transaction, limit: int) -> Sequence[AnyRow]:
    """Listings that were tried in vain, or wait for a poll to catch up, but for those with a write without an outcome:
    the one that is looked at next first.
    """
    settling = select(Operation.id).where(Operation.listing_id == ListingRow.listing_id, _UNSETTLED)
    return transaction.execute(
        select(
            ListingRow.listing_id,
            ListingRow.title,
            ListingRow.attempts,
            ListingRow.put_off_by,
            ListingRow.doubted,
            ListingRow.next_attempt_at,
        )
        .where(
            ListingRow.next_attempt_at.is_not(None),
            or_(ListingRow.attempts > 0, ListingRow.put_off_by.is_not(None)),
            ~settling.exists(),
        )
        .order_by(ListingRow.next_attempt_at, ListingRow.listing_id)
        .limit(limit)
    ).all()
