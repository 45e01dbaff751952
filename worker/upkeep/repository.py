"""Every query about listings as the marketplace shows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, or_, select, text, update

from connectors.contract import ListingState, StockKind
from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks, insert_missing, table_of
from worker.store.cursors import forget_cursor as forget
from worker.store.tables import (
    ChannelRow,
    Cursor,
    Link,
    ListingRow,
    Operation,
    OperationKind,
    OperationState,
    Pair,
    RemoteAdjustmentRow,
)

FEED = "feed"
"""The name of the change feed's cursor."""
SWEEP = "sweep"
"""The name of the cursor that says when the last sweep to its end began."""

FACTS = (
    ListingRow.listing_id,
    ListingRow.seller_id,
    ListingRow.title,
    ListingRow.state,
    ListingRow.stock_kind,
    ListingRow.total,
    ListingRow.anchor_total,
    ListingRow.anchor_adjustment,
    ListingRow.anchor_at,
    ListingRow.anchor_certain,
    ListingRow.doubted,
    ListingRow.zero_since,
    ListingRow.close_done,
    ListingRow.closed_by_us_at,
    ListingRow.next_attempt_at,
    ListingRow.next_upkeep_at,
    ListingRow.state_author,
    ListingRow.state_changed_at,
)


_CURSOR = select(Cursor.value, Cursor.moved_at, Cursor.current_at).where(Cursor.name == FEED)


def cursor(transaction: Transaction) -> AnyRow | None:
    return transaction.execute(_CURSOR).one_or_none()


def lock_cursor(transaction: Transaction) -> str | None:
    """The feed's cursor, locked: one page at a time is applied, in the order of the feed."""
    return transaction.scalar(select(Cursor.value).where(Cursor.name == FEED).with_for_update())


def forget_cursor(transaction: Transaction, now: datetime) -> None:
    """Start the feed anew; nothing that was certain because of it is certain any more."""
    forget(transaction, FEED)
    anchored = ListingRow.anchor_total.is_not(None)
    # Locked in one order for everybody.
    transaction.execute(select(ListingRow.listing_id).where(anchored).order_by(ListingRow.listing_id).with_for_update())
    transaction.execute(
        update(ListingRow).where(anchored).values(anchor_certain=False, anchor_adjustment=None, anchor_at=now)
    )


def end_marks(transaction: Transaction) -> Sequence[str]:
    """Nobody knows any more who closed what: no listing counts as closed by us. Returns those that did."""
    return sorted(
        transaction.scalars(
            update(ListingRow)
            .where(ListingRow.closed_by_us_at.is_not(None))
            .values(closed_by_us_at=None)
            .returning(ListingRow.listing_id)
        )
    )


def insert_listings(transaction: Transaction, values: Sequence[Mapping[str, Any]]) -> int:
    return insert_missing(transaction, ListingRow, values)


def lock(transaction: Transaction, listing_ids: Collection[str]) -> dict[str, AnyRow]:
    """Listing rows, locked in the order of their ids."""
    rows: dict[str, AnyRow] = {}
    for chunk in in_chunks(sorted(listing_ids)):
        found = transaction.execute(
            select(*FACTS).where(ListingRow.listing_id.in_(chunk)).order_by(ListingRow.listing_id).with_for_update()
        )
        rows.update((row.listing_id, row) for row in found)
    return rows


def wake_for_reconcile(transaction: Transaction, listing_ids: Collection[str], now: datetime) -> None:
    """Let those of these listings that have something pending be reconciled now, but for what a poll puts off: that
    waits for the poll, not for stock.
    """
    pending = select(Pair.id).where(Pair.listing_id == ListingRow.listing_id, _pending()).exists()
    _wake_where(transaction, listing_ids, and_(pending, ListingRow.put_off_by.is_(None)), now)


def wake_for_evidence(transaction: Transaction, listing_ids: Collection[str], now: datetime) -> None:
    """Let those of these listings that have an unknown outcome be looked at now."""
    unknown = select(Operation.id).where(
        Operation.listing_id == ListingRow.listing_id, Operation.state == OperationState.UNKNOWN
    )
    _wake_where(transaction, listing_ids, unknown.exists(), now)


def _wake_where(transaction: Transaction, listing_ids: Collection[str], waiting: Any, now: datetime) -> None:
    for chunk in in_chunks(sorted(listing_ids)):
        transaction.execute(
            update(ListingRow)
            .where(ListingRow.listing_id.in_(chunk), waiting)
            .where(or_(ListingRow.next_attempt_at.is_(None), ListingRow.next_attempt_at > now))
            .values(next_attempt_at=now)
        )


def wake(transaction: Transaction, listing_ids: Collection[str], now: datetime) -> None:
    """Let these listings be reconciled now, even where nothing is pending: then the pass makes no call, but ends what
    was open because of it.
    """
    for chunk in in_chunks(sorted(listing_ids)):
        transaction.execute(update(ListingRow).where(ListingRow.listing_id.in_(chunk)).values(next_attempt_at=now))


def _pending() -> Any:
    return Pair.applied != Pair.committed - Pair.waived


def doubt(transaction: Transaction, listing_ids: Collection[str], now: datetime) -> None:
    """Let the log of these listings be read before anything is written there."""
    for chunk in in_chunks(sorted(listing_ids)):
        transaction.execute(
            update(ListingRow).where(ListingRow.listing_id.in_(chunk)).values(doubted=True, next_attempt_at=now)
        )


def open_own_adjustments(transaction: Transaction) -> Sequence[AnyRow]:
    """Own adjustments that no operation has claimed yet, in the order of the feed."""
    return transaction.execute(
        select(
            RemoteAdjustmentRow.adjustment_id,
            RemoteAdjustmentRow.listing_id,
            RemoteAdjustmentRow.at,
            RemoteAdjustmentRow.quantity,
            RemoteAdjustmentRow.total_after,
        )
        .where(RemoteAdjustmentRow.open_claim)
        .order_by(RemoteAdjustmentRow.sequence)
    ).all()


def silent_answers(transaction: Transaction, settled_before: datetime) -> Sequence[str]:
    """Listings with an answered stock operation that long ago, whose adjustment nobody has seen in the log yet."""
    return transaction.scalars(
        select(Operation.listing_id)
        .where(
            Operation.state == OperationState.APPLIED,
            ~Operation.claimed,
            Operation.kind == OperationKind.STOCK,
            Operation.settled_at < settled_before,
        )
        .distinct()
        .limit(100)
    ).all()


def claim_upkeep(transaction: Transaction, now: datetime, lease_until: datetime, limit: int) -> Sequence[AnyRow]:
    rows = transaction.execute(
        select(*FACTS)
        .where(ListingRow.next_upkeep_at <= now)
        .order_by(ListingRow.next_upkeep_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if rows:
        transaction.execute(
            update(ListingRow)
            .where(ListingRow.listing_id.in_([row.listing_id for row in rows]))
            .values(next_upkeep_at=lease_until)
        )
    return rows


def any_upkeep_due(transaction: Transaction, now: datetime) -> bool:
    """A read, for the many times there is nothing to look at."""
    return bool(transaction.scalar(select(ListingRow.listing_id).where(ListingRow.next_upkeep_at <= now).limit(1)))


def end_upkeep(transaction: Transaction, leased_until: datetime, next_at: Mapping[str, datetime | None]) -> None:
    """Give upkeep of listings back; a moment that somebody else set meanwhile stands."""
    table = table_of(ListingRow)
    rows = [{"row": listing_id, "new_at": next_at[listing_id]} for listing_id in sorted(next_at)]
    if rows:
        transaction.execute(
            update(table)
            .where(table.c.listing_id == bindparam("row"), table.c.next_upkeep_at == leased_until)
            .values(next_upkeep_at=bindparam("new_at")),
            rows,
        )


def channel_names(transaction: Transaction) -> frozenset[str]:
    return frozenset(transaction.scalars(select(ChannelRow.name)))


def linked(transaction: Transaction, listing_ids: Collection[str]) -> frozenset[str]:
    """Of these listings, those that some channel's SKU is or was linked to."""
    return frozenset(transaction.scalars(select(Link.listing_id).where(Link.listing_id.in_(listing_ids)).distinct()))


def ask_for_look(transaction: Transaction, listing_ids: Collection[str], now: datetime) -> None:
    """Let upkeep read these listings. Locks them in the order of their ids."""
    lock(transaction, listing_ids)
    for chunk in in_chunks(sorted(listing_ids)):
        transaction.execute(update(ListingRow).where(ListingRow.listing_id.in_(chunk)).values(next_upkeep_at=now))


_STOCK_WRITES = (
    select(
        Operation.id,
        Operation.listing_id,
        Operation.new_total,
        Operation.prepared_at,
        Operation.settled_at,
        (Operation.state == OperationState.REJECTED).label("rejected"),
        Operation.state.in_((OperationState.PREPARED, OperationState.UNKNOWN, OperationState.ABSENT)).label("unproved"),
    )
    .where(Operation.kind == OperationKind.STOCK)
    .order_by(Operation.id)
)


def stock_writes_after(transaction: Transaction, operation_id: int, limit: int) -> Sequence[AnyRow]:
    """Stock operations after that one, oldest first, with whether one was certainly not executed, or may be yet."""
    return transaction.execute(_STOCK_WRITES.where(Operation.id > operation_id).limit(limit)).all()


def stock_writes_between(
    transaction: Transaction, since: datetime, until: datetime, last_operation: int
) -> Sequence[AnyRow]:
    """The same, of what was prepared from then to then, up to that one."""
    prepared = Operation.prepared_at.between(since, until)
    return transaction.execute(_STOCK_WRITES.where(prepared, Operation.id <= last_operation)).all()


def stock_writes_of(transaction: Transaction, operation_ids: Collection[int]) -> Sequence[AnyRow]:
    """The same, of these."""
    return transaction.execute(_STOCK_WRITES.where(Operation.id.in_(operation_ids))).all() if operation_ids else ()


def unseen_by_sweep(transaction: Transaction, swept_at: datetime) -> Sequence[str]:
    """Listings that the sweep begun at `swept_at` did not show."""
    return transaction.scalars(
        select(ListingRow.listing_id).where(
            ListingRow.state != ListingState.DELETED,
            ListingRow.first_seen_at < swept_at,
            or_(ListingRow.swept_at.is_(None), ListingRow.swept_at < swept_at),
        )
    ).all()


def open_at_zero(transaction: Transaction, before: datetime, limit: int, *, linked_only: bool) -> Sequence[AnyRow]:
    """Listings on sale that have been at zero or below since before then: the longest first."""
    statement = (
        select(ListingRow.listing_id, ListingRow.total, ListingRow.zero_since, ListingRow.close_done)
        # As the partial index `ix_listings_open_at_zero` has it.
        .where(text("listings.zero_since IS NOT NULL AND listings.state = 'published'"))
        .where(ListingRow.zero_since <= before, ListingRow.stock_kind == StockKind.COUNTED, ListingRow.total <= 0)
        .order_by(ListingRow.zero_since)
        .limit(limit)
    )
    if linked_only:
        statement = statement.where(select(Link.id).where(Link.listing_id == ListingRow.listing_id).exists())
    return transaction.execute(statement).all()


def closed_with_stock(transaction: Transaction, listing_ids: Collection[str]) -> Sequence[AnyRow]:
    """Of these listings, those that are closed and have stock, with who changed their state last and when we learnt."""
    stocked = or_(ListingRow.stock_kind == StockKind.UNLIMITED, ListingRow.total > 0)
    found: list[AnyRow] = []
    for chunk in in_chunks(sorted(listing_ids)):
        closed = and_(ListingRow.listing_id.in_(chunk), ListingRow.state == ListingState.CLOSED)
        found += transaction.execute(select(*FACTS).where(closed, stocked)).all()
    return found
