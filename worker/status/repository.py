"""Every query of the read-only views."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, delete, func, literal, select, text, union_all

from connectors.contract import ListingState
from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks
from worker.store.tables import (
    UNSETTLED,
    Alert,
    BreakerRow,
    ChannelRow,
    Claim,
    Cursor,
    Delivery,
    DeliveryState,
    JournalEntry,
    JournalKind,
    Link,
    ListingRow,
    Operation,
    OperationPair,
    OrderLineRow,
    OrderRow,
    Pair,
    RemoteAdjustmentRow,
    Verdict,
)

DUE_UNITS = Pair.committed - Pair.waived - Pair.applied
PENDING = text("pairs.committed - pairs.waived - pairs.applied <> 0")
"""As the partial index `ix_pairs_pending` has it."""


def pending_by_channel(transaction: Transaction) -> Sequence[AnyRow]:
    """Channel, units to take, units to give back, listings concerned."""
    return transaction.execute(
        select(
            Pair.channel,
            func.sum(case((DUE_UNITS > 0, DUE_UNITS), else_=0)),
            func.sum(case((DUE_UNITS < 0, -DUE_UNITS), else_=0)),
            func.count(Pair.listing_id.distinct()),
        )
        .where(PENDING)
        .group_by(Pair.channel)
        .order_by(Pair.channel)
    ).all()


def unsettled(transaction: Transaction) -> Sequence[AnyRow]:
    """State, count, oldest."""
    return transaction.execute(
        select(Operation.state, func.count(), func.min(Operation.prepared_at))
        .where(text("operations.state IN ('prepared', 'unknown')"))
        .group_by(Operation.state)
    ).all()


def waiting_deliveries(transaction: Transaction) -> AnyRow:
    """Count, oldest."""
    return transaction.execute(
        select(func.count(), func.min(Delivery.received_at)).where(Delivery.state == DeliveryState.NEW)
    ).one()


def orders_to_fetch(transaction: Transaction) -> int:
    return transaction.scalar(select(func.count()).select_from(OrderRow).where(OrderRow.fetch_at.is_not(None))) or 0


def parked(transaction: Transaction) -> tuple[int, int]:
    """Deliveries, orders."""
    deliveries = transaction.scalar(
        select(func.count()).select_from(Delivery).where(Delivery.state == DeliveryState.PARKED)
    )
    orders = transaction.scalar(select(func.count()).select_from(OrderRow).where(text("orders.state = 'parked'")))
    return deliveries or 0, orders or 0


def unlinked_units(transaction: Transaction) -> int:
    total = transaction.scalar(select(func.sum(OrderLineRow.committed)).where(text("NOT order_lines.linked")))
    return int(total or 0)


def cursors(transaction: Transaction) -> dict[str, datetime | None]:
    """Cursor name -> when it last reached the head."""
    return {row.name: row.current_at for row in transaction.execute(select(Cursor.name, Cursor.current_at))}


def count_listings(transaction: Transaction) -> int:
    """All but deleted ones. Reads the whole table."""
    return (
        transaction.scalar(select(func.count()).select_from(ListingRow).where(ListingRow.state != ListingState.DELETED))
        or 0
    )


def listings_to_see(transaction: Transaction) -> tuple[int, int]:
    """Below zero, closed by us; deleted ones left out."""
    kept = select(func.count()).select_from(ListingRow).where(ListingRow.state != ListingState.DELETED)
    below_zero = transaction.scalar(kept.where(text("listings.total < 0")))
    closed = transaction.scalar(kept.where(text("listings.closed_by_us_at IS NOT NULL")))
    return below_zero or 0, closed or 0


def not_answering(transaction: Transaction) -> Sequence[str]:
    """Names of the accounts whose breaker is open, or that are tried after it was."""
    accounts = select(BreakerRow.account).where(BreakerRow.open_until.is_not(None)).order_by(BreakerRow.account)
    return [account.partition(":")[2] for account in transaction.scalars(accounts)]


def unsent_alerts(transaction: Transaction) -> int:
    return transaction.scalar(select(func.count()).select_from(Alert).where(text("alerts.state = 'waiting'"))) or 0


# --- the plan ---------------------------------------------------------------------------------------------------


def pending_pairs(
    transaction: Transaction,
    channel: str | None = None,
    listing_id: str | None = None,
    *,
    listing_ids: Collection[str] | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> Sequence[AnyRow]:
    """Pairs with pending units and their order lines, by listing, in the order they were placed. `after` and `limit`
    are about listings: these are whole. `listing_ids` are few enough for one statement.
    """
    statement = (
        select(
            Pair.id,
            Pair.listing_id,
            Pair.channel,
            Pair.units,
            Pair.committed,
            Pair.applied,
            Pair.waived,
            Pair.placed_at,
            OrderRow.order_id,
            OrderLineRow.line_id,
            OrderLineRow.sku,
        )
        .join(OrderLineRow, OrderLineRow.id == Pair.line_row)
        .join(OrderRow, OrderRow.id == OrderLineRow.order_row)
        .where(PENDING)
        .order_by(Pair.listing_id, Pair.placed_at, Pair.id)
    )
    if listing_id is not None:
        statement = statement.where(Pair.listing_id == listing_id)
    if listing_ids is not None:
        statement = statement.where(Pair.listing_id.in_(listing_ids))
    if channel is not None or after is not None or limit is not None:
        # Whole listings: what other channels sold of them belongs to the same write.
        concerned = select(Pair.listing_id).where(PENDING).distinct().order_by(Pair.listing_id).limit(limit)
        if channel is not None:
            concerned = concerned.where(Pair.channel == channel)
        if after is not None:
            concerned = concerned.where(Pair.listing_id > after)
        statement = statement.where(Pair.listing_id.in_(concerned))
    return transaction.execute(statement).all()


def listings(transaction: Transaction, listing_ids: Collection[str]) -> dict[str, AnyRow]:
    found: dict[str, AnyRow] = {}
    for chunk in in_chunks(sorted(listing_ids)):
        rows = transaction.execute(
            select(
                ListingRow.listing_id,
                ListingRow.title,
                ListingRow.state,
                ListingRow.stock_kind,
                ListingRow.total,
                ListingRow.doubted,
            ).where(ListingRow.listing_id.in_(chunk))
        )
        found.update((row.listing_id, row) for row in rows)
    return found


def open_operations(transaction: Transaction, listing_ids: Collection[str]) -> set[str]:
    """Of these listings, those with an unsettled operation."""
    found: set[str] = set()
    for chunk in in_chunks(sorted(listing_ids)):
        found.update(
            transaction.scalars(
                select(Operation.listing_id).where(Operation.listing_id.in_(chunk), Operation.state.in_(UNSETTLED))
            )
        )
    return found


# --- since when, and today --------------------------------------------------------------------------------------


def last_verdict(transaction: Transaction) -> AnyRow | None:
    return transaction.execute(
        select(Verdict.stock_is_true, Verdict.since).order_by(Verdict.id.desc()).limit(1)
    ).one_or_none()


def forget_verdicts(transaction: Transaction, before: datetime) -> int:
    """All but the last one, which still holds."""
    last = select(func.max(Verdict.id)).scalar_subquery()
    return transaction.execute(delete(Verdict).where(Verdict.since < before, Verdict.id < last)).rowcount


def sales_since(transaction: Transaction, since: datetime) -> Sequence[AnyRow]:
    """Channel, units taken, units given back, sales (pairs), by journal entries written since."""
    # The pair is asked for one by one: joined, the planner reads the table whole once a day's sales are some thousands.
    channel = select(Pair.channel).where(Pair.id == JournalEntry.pair_id).scalar_subquery()
    applied = (
        select(channel.label("channel"), JournalEntry.pair_id, JournalEntry.units)
        .where(JournalEntry.at >= since, JournalEntry.kind == JournalKind.APPLIED, JournalEntry.pair_id.is_not(None))
        .subquery()
    )
    return transaction.execute(
        select(
            applied.c.channel,
            func.sum(case((applied.c.units > 0, applied.c.units), else_=0)),
            func.sum(case((applied.c.units < 0, -applied.c.units), else_=0)),
            func.count(applied.c.pair_id.distinct()),
        )
        .group_by(applied.c.channel)
        .order_by(applied.c.channel)
    ).all()


def placed_and_taken(transaction: Transaction, since: datetime, limit: int) -> Sequence[AnyRow]:
    """When sales were placed and when they reached the stock: the latest that did, since a moment."""
    placed_at = select(Pair.placed_at).where(Pair.id == JournalEntry.pair_id).scalar_subquery()
    return transaction.execute(
        select(placed_at, JournalEntry.at)
        .where(
            JournalEntry.at >= since,
            JournalEntry.kind == JournalKind.APPLIED,
            JournalEntry.units > 0,
            JournalEntry.pair_id.is_not(None),
        )
        .order_by(JournalEntry.at.desc())
        .limit(limit)
    ).all()


def last_deliveries(transaction: Transaction) -> dict[str, datetime | None]:
    """Channel -> when its last webhook came."""
    last = (
        select(func.max(Delivery.received_at))
        .where(Delivery.channel == ChannelRow.name)
        .correlate(ChannelRow)
        .scalar_subquery()
    )
    return {row[0]: row[1] for row in transaction.execute(select(ChannelRow.name, last))}


def breakers(transaction: Transaction) -> dict[str, AnyRow]:
    """Account -> its breaker, for those that have failed lately."""
    rows = transaction.execute(
        select(BreakerRow.account, BreakerRow.failures, BreakerRow.open_until, BreakerRow.ramp_from)
    )
    return {row.account: row for row in rows}


# --- one listing ------------------------------------------------------------------------------------------------


def listing(transaction: Transaction, listing_id: str) -> AnyRow | None:
    return transaction.execute(
        select(
            ListingRow.listing_id,
            ListingRow.title,
            ListingRow.sku,
            ListingRow.seller_id,
            ListingRow.state,
            ListingRow.state_author,
            ListingRow.state_changed_at,
            ListingRow.stock_kind,
            ListingRow.total,
            ListingRow.doubted,
            ListingRow.first_seen_at,
            ListingRow.next_attempt_at,
            ListingRow.closed_by_us_at,
            ListingRow.zero_since,
            ListingRow.swept_at,
        ).where(ListingRow.listing_id == listing_id)
    ).one_or_none()


def found_listings(transaction: Transaction, words: str, channels: Collection[str], limit: int) -> Sequence[AnyRow]:
    """Listings of this id, of this SKU on the marketplace, or linked to it on a channel."""
    linked = select(Link.listing_id).where(Link.channel.in_(channels), Link.sku == words)
    return transaction.execute(
        select(ListingRow.listing_id, ListingRow.title, ListingRow.sku, ListingRow.state, ListingRow.total)
        .where(
            ListingRow.listing_id.in_(
                union_all(select(literal(words)), select(ListingRow.listing_id).where(ListingRow.sku == words), linked)
            )
        )
        .order_by(ListingRow.listing_id)
        .limit(limit)
    ).all()


def links_of(transaction: Transaction, listing_id: str) -> Sequence[AnyRow]:
    """Those in force first, then the latest."""
    return transaction.execute(
        select(Link.channel, Link.sku, Link.units, Link.from_at, Link.until_at)
        .where(Link.listing_id == listing_id)
        .order_by(Link.until_at.is_not(None), Link.from_at.desc(), Link.id.desc())
        .limit(50)
    ).all()


def _with_line(*columns: Any) -> Select[Any]:
    return (
        select(
            *columns,
            Pair.id,
            Pair.channel,
            OrderRow.order_id,
            OrderLineRow.line_id,
            OrderLineRow.sku,
            Pair.placed_at,
        )
        .join(OrderLineRow, OrderLineRow.id == Pair.line_row)
        .join(OrderRow, OrderRow.id == OrderLineRow.order_row)
    )


def waiting_lines(transaction: Transaction, listing_id: str, limit: int) -> Sequence[AnyRow]:
    """Units due, pair, channel, order, line, SKU, placed; the latest first."""
    return transaction.execute(
        _with_line(DUE_UNITS)
        .where(Pair.listing_id == listing_id, PENDING)
        .order_by(Pair.placed_at.desc(), Pair.id.desc())
        .limit(limit)
    ).all()


def adjustments_of(transaction: Transaction, listing_id: str, limit: int) -> Sequence[AnyRow]:
    """The latest first."""
    return transaction.execute(
        select(
            RemoteAdjustmentRow.adjustment_id,
            RemoteAdjustmentRow.at,
            RemoteAdjustmentRow.quantity,
            RemoteAdjustmentRow.author,
            RemoteAdjustmentRow.total_after,
            RemoteAdjustmentRow.reservation_id,
            RemoteAdjustmentRow.transaction_id,
            RemoteAdjustmentRow.open_claim,
            Claim.operation_id,
        )
        .outerjoin(Claim, Claim.adjustment_id == RemoteAdjustmentRow.adjustment_id)
        .where(RemoteAdjustmentRow.listing_id == listing_id)
        .order_by(RemoteAdjustmentRow.at.desc(), RemoteAdjustmentRow.sequence.desc().nulls_first())
        .limit(limit)
    ).all()


def operations_of(transaction: Transaction, listing_id: str, limit: int) -> Sequence[AnyRow]:
    """The latest first, each with the adjustment that is claimed for it."""
    return transaction.execute(
        select(
            Operation.id,
            Operation.kind,
            Operation.state,
            Operation.expected_total,
            Operation.new_total,
            Operation.prepared_at,
            Operation.settled_at,
            Operation.answered,
            Operation.outcome,
            Claim.adjustment_id,
        )
        .outerjoin(Claim, Claim.operation_id == Operation.id)
        .where(Operation.listing_id == listing_id)
        .order_by(Operation.id.desc())
        .limit(limit)
    ).all()


def lines_of_operations(transaction: Transaction, operations: Collection[int], limit: int) -> Sequence[AnyRow]:
    """Operation, units, pair, channel, order, line, SKU, placed."""
    return transaction.execute(
        _with_line(OperationPair.operation_id, OperationPair.units)
        .join(OperationPair, OperationPair.pair_id == Pair.id)
        .where(OperationPair.operation_id.in_(operations))
        .order_by(OperationPair.operation_id, Pair.placed_at, Pair.id)
        .limit(limit)
    ).all()


def journal_of(transaction: Transaction, listing_id: str, before_id: int | None, limit: int) -> Sequence[AnyRow]:
    """The latest first; entries without a pair have no order line."""
    statement = (
        select(
            JournalEntry.id,
            JournalEntry.at,
            JournalEntry.kind,
            JournalEntry.units,
            JournalEntry.operation_id,
            JournalEntry.reason,
            JournalEntry.note,
            Pair.channel,
            OrderRow.order_id,
            OrderLineRow.line_id,
            OrderLineRow.sku,
        )
        .outerjoin(Pair, Pair.id == JournalEntry.pair_id)
        .outerjoin(OrderLineRow, OrderLineRow.id == Pair.line_row)
        .outerjoin(OrderRow, OrderRow.id == OrderLineRow.order_row)
        .where(JournalEntry.listing_id == listing_id)
        .order_by(JournalEntry.id.desc())
        .limit(limit)
    )
    if before_id is not None:
        statement = statement.where(JournalEntry.id < before_id)
    return transaction.execute(statement).all()
