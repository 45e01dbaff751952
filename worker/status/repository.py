"""Every query of the read-only views."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import case, func, select

from connectors.contract import ListingState
from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks
from worker.store.tables import (
    UNSETTLED,
    Alert,
    AlertState,
    BreakerRow,
    Cursor,
    Delivery,
    DeliveryState,
    ListingRow,
    Operation,
    OrderLineRow,
    OrderRow,
    OrderState,
    Pair,
)

DUE_UNITS = Pair.committed - Pair.waived - Pair.applied
PENDING = Pair.applied != Pair.committed - Pair.waived
"""As the partial index `ix_pairs_due` has it."""


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
        .where(Operation.state.in_(UNSETTLED))
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
    orders = transaction.scalar(select(func.count()).select_from(OrderRow).where(OrderRow.state == OrderState.PARKED))
    return deliveries or 0, orders or 0


def unlinked_units(transaction: Transaction) -> int:
    total = transaction.scalar(select(func.sum(OrderLineRow.committed)).where(~OrderLineRow.linked))
    return int(total or 0)


def cursors(transaction: Transaction) -> dict[str, datetime | None]:
    """Cursor name -> when it last reached the head."""
    return {row.name: row.current_at for row in transaction.execute(select(Cursor.name, Cursor.current_at))}


def last_swept(transaction: Transaction) -> datetime | None:
    return transaction.scalar(select(func.max(ListingRow.swept_at)))


def count_listings(transaction: Transaction) -> AnyRow:
    """All, below zero, closed by us; deleted ones left out."""
    return transaction.execute(
        select(
            func.count(),
            func.count(case((ListingRow.total < 0, 1))),
            func.count(ListingRow.closed_by_us_at),
        ).where(ListingRow.state != ListingState.DELETED)
    ).one()


def not_answering(transaction: Transaction) -> Sequence[str]:
    """Names of the accounts whose breaker is open, or that are tried after it was."""
    accounts = select(BreakerRow.account).where(BreakerRow.open_until.is_not(None)).order_by(BreakerRow.account)
    return [account.partition(":")[2] for account in transaction.scalars(accounts)]


def unsent_alerts(transaction: Transaction) -> int:
    return transaction.scalar(select(func.count()).select_from(Alert).where(Alert.state == AlertState.WAITING)) or 0


# --- the plan ---------------------------------------------------------------------------------------------------


def pending_pairs(transaction: Transaction, channel: str | None, listing_id: str | None) -> Sequence[AnyRow]:
    """Pairs with pending units and their order lines, by listing, in the order they were placed."""
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
    if channel is not None:
        # Whole listings: what other channels sold of them belongs to the same write.
        concerned = select(Pair.listing_id).where(PENDING, Pair.channel == channel)
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
