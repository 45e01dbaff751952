"""Every query about orders, their lines and their pairs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, func, or_, select, text, update

from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks, insert_missing, insert_rows, next_keys, table_of
from worker.store.tables import (
    ChannelRow,
    JournalEntry,
    Link,
    ListingRow,
    OrderLineRow,
    OrderRow,
    OrderState,
    Pair,
)

# --- channels --------------------------------------------------------------------------------------------------


def ensure_channels(transaction: Transaction, channels: Sequence[Mapping[str, Any]]) -> None:
    insert_missing(transaction, ChannelRow, channels)


def known_channels(transaction: Transaction) -> frozenset[str]:
    return frozenset(transaction.scalars(select(ChannelRow.name)))


def channel(transaction: Transaction, name: str) -> AnyRow | None:
    return transaction.execute(
        select(ChannelRow.name, ChannelRow.seller_id, ChannelRow.counted_from, ChannelRow.created_at).where(
            ChannelRow.name == name
        )
    ).one_or_none()


def share_channel(transaction: Transaction, name: str) -> None:
    """Keep the channel's links as they are until this transaction ends.

    Without it, a link could be added between our reading the links and our writing a line: neither would see the other,
    and the line would stay without its pair.
    """
    transaction.execute(select(ChannelRow.name).where(ChannelRow.name == name).with_for_update(read=True))


# --- orders -----------------------------------------------------------------------------------------------------


def ensure_orders(
    transaction: Transaction, channel: str, told_by: Mapping[str, str], revision: int, now: datetime
) -> None:
    """Make rows for orders that have none. `told_by`: order id -> correlation id of what told of it."""
    insert_missing(
        transaction,
        OrderRow,
        [
            {
                "channel": channel,
                "order_id": order_id,
                "state": OrderState.UNSEEN,
                "revision": revision,
                "digest": "",
                "first_seen_at": now,
                "correlation_id": told_by[order_id],
            }
            for order_id in sorted(told_by)
        ],
    )


def lock_orders(transaction: Transaction, channel: str, order_ids: Collection[str]) -> dict[str, AnyRow]:
    held: dict[str, AnyRow] = {}
    for chunk in in_chunks(sorted(order_ids)):
        rows = transaction.execute(
            select(
                OrderRow.id,
                OrderRow.order_id,
                OrderRow.state,
                OrderRow.revision,
                OrderRow.fetched_at,
                OrderRow.digest,
                OrderRow.first_seen_at,
                OrderRow.fetch_at,
                OrderRow.accepted_by,
                OrderRow.looks,
            )
            .where(OrderRow.channel == channel, OrderRow.order_id.in_(chunk))
            .order_by(OrderRow.order_id)
            .with_for_update()
        )
        held.update((row.order_id, row) for row in rows)
    return held


def write_snapshots(transaction: Transaction, values: Sequence[Mapping[str, Any]]) -> None:
    """Each mapping: `row` (the key) and `new_<column>` for every column of a taken snapshot."""
    if values:
        table = table_of(OrderRow)
        columns: dict[str, Any] = {name.removeprefix("new_"): bindparam(name) for name in values[0] if name != "row"}
        transaction.execute(update(table).where(table.c.id == bindparam("row")).values(columns), list(values))


def known_revisions(transaction: Transaction, channel: str, order_ids: Collection[str]) -> dict[str, AnyRow]:
    """`revision` and `polled_revision` of the orders that are known."""
    known: dict[str, AnyRow] = {}
    for chunk in in_chunks(order_ids):
        rows = transaction.execute(
            select(OrderRow.order_id, OrderRow.revision, OrderRow.polled_revision).where(
                OrderRow.channel == channel, OrderRow.order_id.in_(chunk)
            )
        )
        known.update((row.order_id, row) for row in rows)
    return known


_NOTE_POLLED = (
    update(table_of(OrderRow))
    .where(
        OrderRow.channel == bindparam("shop"),
        OrderRow.order_id == bindparam("order"),
        OrderRow.revision == bindparam("shown"),
        OrderRow.digest == bindparam("content"),
    )
    .values(polled_revision=bindparam("shown"))
)


def note_polled(transaction: Transaction, channel: str, shown: Iterable[tuple[str, int, str]]) -> None:
    """A poll has shown these orders: id, revision and digest. Those held otherwise are left as they are."""
    rows = [
        {"shop": channel, "order": order_id, "shown": revision, "content": content}
        for order_id, revision, content in shown
    ]
    if rows:
        transaction.execute(_NOTE_POLLED, rows)


def ask_for_fetch(transaction: Transaction, channel: str, order_ids: Collection[str], at: datetime) -> None:
    """Note that these orders must be fetched; several askers make one fetch. Locks them in the order of their ids."""
    for chunk in in_chunks(sorted(order_ids)):
        named = and_(OrderRow.channel == channel, OrderRow.order_id.in_(chunk))
        transaction.execute(select(OrderRow.id).where(named).order_by(OrderRow.order_id).with_for_update())
        transaction.execute(
            update(OrderRow)
            .where(named)
            .where(or_(OrderRow.fetch_at.is_(None), OrderRow.fetch_at > at))
            .values(fetch_at=at)
        )


def channels_to_fetch(transaction: Transaction, now: datetime, skip_channels: Collection[str]) -> Sequence[AnyRow]:
    """`channel` and `since`: whose orders are to be fetched, and how long the first of them has waited."""
    return transaction.execute(
        select(OrderRow.channel, func.min(OrderRow.fetch_at).label("since"))
        .where(OrderRow.fetch_at <= now, OrderRow.channel.not_in(skip_channels))
        .group_by(OrderRow.channel)
    ).all()


def claim_fetches(
    transaction: Transaction,
    now: datetime,
    lease_until: datetime,
    limit: int,
    skip_channels: Collection[str],
    channel: str | None = None,
) -> Sequence[AnyRow]:
    """Take orders to fetch, of one channel or of all; until `lease_until` nobody else will."""
    due = (
        select(
            OrderRow.id,
            OrderRow.channel,
            OrderRow.order_id,
            OrderRow.fetched_at,
            OrderRow.fetch_attempts,
            OrderRow.correlation_id,
        )
        .where(OrderRow.fetch_at <= now, OrderRow.channel.not_in(skip_channels))
        .order_by(OrderRow.fetch_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = transaction.execute(due if channel is None else due.where(OrderRow.channel == channel)).all()
    transaction.execute(
        update(OrderRow)
        .where(OrderRow.id.in_([row.id for row in rows]))
        .values(fetch_at=lease_until, fetch_attempts=OrderRow.fetch_attempts + 1)
    )
    return rows


def end_fetch(
    transaction: Transaction, order_row: int, leased_until: datetime, *, next_at: datetime | None, reason: str | None
) -> None:
    """Give a fetch back: done (None) or again later. Somebody who asked anew meanwhile is not overwritten."""
    values: dict[str, Any] = {"fetch_at": next_at}
    if next_at is None:
        values["fetch_attempts"] = 0
    if reason is not None:
        values["reason"] = reason
    transaction.execute(
        update(OrderRow).where(OrderRow.id == order_row, OrderRow.fetch_at == leased_until).values(values)
    )


def fetch_again(transaction: Transaction, channel: str, order_id: str, at: datetime) -> bool:
    """Have an order fetched at `at`, with all its attempts before it. Returns False when it is not known."""
    return bool(
        transaction.execute(
            update(OrderRow)
            .where(OrderRow.channel == channel, OrderRow.order_id == order_id)
            .values(fetch_at=at, fetch_attempts=0)
        ).rowcount
    )


def park_order(transaction: Transaction, order_row: int, reason: str) -> None:
    transaction.execute(
        update(OrderRow)
        .where(OrderRow.id == order_row)
        .values(state=OrderState.PARKED, reason=reason, fetch_at=None, fetch_attempts=0)
    )


def claim_looks(transaction: Transaction, now: datetime, limit: int) -> Sequence[AnyRow]:
    """Orders whose next late look is due, with whether any unit of theirs counts: committed now, or still applied."""
    committed = select(OrderLineRow.id).where(OrderLineRow.order_row == OrderRow.id, OrderLineRow.committed > 0)
    applied = (
        select(Pair.id)
        .join(OrderLineRow, OrderLineRow.id == Pair.line_row)
        .where(OrderLineRow.order_row == OrderRow.id, Pair.applied > 0)
    )
    return transaction.execute(
        select(
            OrderRow.id,
            OrderRow.channel,
            OrderRow.order_id,
            OrderRow.looks,
            OrderRow.placed_at,
            or_(committed.exists(), applied.exists()).label("counts"),
        )
        .where(OrderRow.look_at <= now)
        .order_by(OrderRow.look_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=OrderRow)
    ).all()


def accept_parked_order(
    transaction: Transaction, channel: str, order_id: str, by: str, fetch_at: datetime | None
) -> bool:
    """Let a parked order count: it is fetched, or waited for, and taken in. Returns False when it is not parked."""
    return bool(
        transaction.execute(
            update(OrderRow)
            .where(OrderRow.channel == channel, OrderRow.order_id == order_id, OrderRow.state == OrderState.PARKED)
            .values(state=OrderState.UNSEEN, accepted_by=by, reason=None, fetch_at=fetch_at, fetch_attempts=0)
        ).rowcount
    )


def parked_orders(transaction: Transaction, channel: str | None, limit: int | None) -> Sequence[AnyRow]:
    """The one that was first seen first."""
    # The condition of a partial index, written out: with a bound value the planner cannot know that it fits.
    statement = select(
        OrderRow.channel, OrderRow.order_id, OrderRow.placed_at, OrderRow.first_seen_at, OrderRow.reason
    ).where(text("orders.state = 'parked'"))
    if channel is not None:
        statement = statement.where(OrderRow.channel == channel)
    return transaction.execute(statement.order_by(OrderRow.first_seen_at, OrderRow.id).limit(limit)).all()


def strip_orders(transaction: Transaction, after: str, before: datetime, limit: int) -> str | None:
    """Drop what explains orders that have rested since `before`, among the `limit` rows behind `after`. Returns the
    last of these rows; None when there are no more.
    """
    rows = next_keys(transaction, OrderRow.id, int(after or 0), limit)
    if not rows:
        return None
    rested = select(OrderRow.id).where(
        OrderRow.id.in_(rows),
        OrderRow.state.in_((OrderState.OPEN, OrderState.EXCLUDED, OrderState.GONE)),
        OrderRow.first_seen_at < before,
        or_(OrderRow.fetched_at.is_(None), OrderRow.fetched_at < before),
        OrderRow.look_at.is_(None),
        OrderRow.fetch_at.is_(None),
        or_(OrderRow.correlation_id != "", OrderRow.reason.is_not(None)),
    )
    transaction.execute(
        update(OrderRow)
        .where(OrderRow.id.in_(transaction.scalars(rested.with_for_update(skip_locked=True)).all()))
        .values(reason=None, correlation_id="")
    )
    return str(rows[-1])


def set_look(transaction: Transaction, order_row: int, looks: int, look_at: datetime | None) -> None:
    transaction.execute(update(OrderRow).where(OrderRow.id == order_row).values(looks=looks, look_at=look_at))


# --- lines and pairs --------------------------------------------------------------------------------------------


def lines_of(transaction: Transaction, order_rows: Collection[int]) -> Sequence[AnyRow]:
    rows: list[AnyRow] = []
    for chunk in in_chunks(order_rows):
        rows += transaction.execute(
            select(
                OrderLineRow.id,
                OrderLineRow.order_row,
                OrderLineRow.line_id,
                OrderLineRow.item_key,
                OrderLineRow.sku,
                OrderLineRow.committed,
                OrderLineRow.placed_at,
                OrderLineRow.linked,
            ).where(OrderLineRow.order_row.in_(chunk))
        )
    return rows


def insert_lines(transaction: Transaction, values: Sequence[Mapping[str, Any]]) -> None:
    insert_rows(transaction, OrderLineRow, values)


def set_committed(transaction: Transaction, values: Sequence[Mapping[str, int]]) -> None:
    """Each mapping: `row`, `units`."""
    if values:
        table = table_of(OrderLineRow)
        transaction.execute(
            update(table).where(table.c.id == bindparam("row")).values(committed=bindparam("units")), list(values)
        )


def link_versions(transaction: Transaction, channel: str, skus: Collection[str]) -> Sequence[AnyRow]:
    rows: list[AnyRow] = []
    for chunk in in_chunks(skus):
        rows += transaction.execute(
            select(Link.sku, Link.listing_id, Link.units, Link.from_at, Link.until_at).where(
                Link.channel == channel, Link.sku.in_(chunk)
            )
        )
    return rows


def pairs_of(transaction: Transaction, line_rows: Collection[int]) -> Sequence[AnyRow]:
    rows: list[AnyRow] = []
    for chunk in in_chunks(line_rows):
        rows += transaction.execute(
            select(Pair.id, Pair.line_row, Pair.listing_id, Pair.units, Pair.committed, Pair.waived).where(
                Pair.line_row.in_(chunk)
            )
        )
    return rows


def lock_listings(transaction: Transaction, listing_ids: Iterable[str]) -> None:
    """Lock listing rows in one order for everybody, so that two transactions never wait for each other."""
    for chunk in in_chunks(sorted(set(listing_ids))):
        transaction.execute(
            select(ListingRow.listing_id)
            .where(ListingRow.listing_id.in_(chunk))
            .order_by(ListingRow.listing_id)
            .with_for_update()
        )


def insert_pairs(transaction: Transaction, values: Sequence[Mapping[str, Any]]) -> None:
    insert_rows(transaction, Pair, values)


def set_pairs(transaction: Transaction, values: Sequence[Mapping[str, int]]) -> None:
    """Each mapping: `row`, `new_committed`, `new_waived`."""
    if values:
        table = table_of(Pair)
        transaction.execute(
            update(table)
            .where(table.c.id == bindparam("row"))
            .values(committed=bindparam("new_committed"), waived=bindparam("new_waived")),
            list(values),
        )


def write_journal(transaction: Transaction, entries: Sequence[Mapping[str, Any]]) -> None:
    insert_rows(transaction, JournalEntry, entries)


def make_due(
    transaction: Transaction,
    listing_ids: Iterable[str],
    at: datetime,
    correlation: str,
    *,
    put_off_by: str | None = None,
) -> None:
    """Mark listings for reconciling at `at`, or earlier if they are due earlier. They must be locked by `lock_listings`
    if pairs are written as well. With `put_off_by`, a later moment lasts until `end_putting_off` of that channel.
    """
    sooner = and_(ListingRow.next_attempt_at.is_not(None), ListingRow.next_attempt_at < at)
    # Of a leased one that is the end of its lease: whoever holds it may release it until much later.
    leased = and_(ListingRow.lease_until.is_not(None), ListingRow.next_attempt_at == ListingRow.lease_until)
    for chunk in in_chunks(sorted(set(listing_ids))):
        transaction.execute(
            update(ListingRow)
            .where(ListingRow.listing_id.in_(chunk))
            .values(
                next_attempt_at=case((sooner, ListingRow.next_attempt_at), else_=at),
                put_off_by=case((and_(sooner, ~leased), ListingRow.put_off_by), else_=put_off_by),
                attempts=0,
                correlation_id=correlation,
            )
        )


def end_putting_off(transaction: Transaction, channel: str, now: datetime) -> None:
    """Make due now what this channel's poll put off."""
    listings = select(ListingRow.listing_id).where(ListingRow.put_off_by == channel)
    # Locked in one order for everybody.
    names = transaction.scalars(listings.order_by(ListingRow.listing_id).with_for_update()).all()
    for chunk in in_chunks(names):
        transaction.execute(
            update(ListingRow).where(ListingRow.listing_id.in_(chunk)).values(next_attempt_at=now, put_off_by=None)
        )


def unlinked_skus(transaction: Transaction, channel: str, skus: Collection[str | None]) -> dict[str | None, int]:
    """Of these SKUs, those with lines that have no listing, with the units waiting. None: lines without a SKU."""
    waiting: dict[str | None, int] = {}
    for chunk in in_chunks(skus):
        named = OrderLineRow.sku.in_([sku for sku in chunk if sku is not None])
        rows = transaction.execute(
            select(OrderLineRow.sku, func.sum(OrderLineRow.committed))
            .where(
                OrderLineRow.channel == channel,
                or_(named, OrderLineRow.sku.is_(None)) if None in chunk else named,
                ~OrderLineRow.linked,
            )
            .group_by(OrderLineRow.sku)
        )
        waiting.update((row[0], int(row[1])) for row in rows)
    return waiting
