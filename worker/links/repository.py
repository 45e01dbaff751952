"""Every query about links, and about the lines that wait for one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    func,
    select,
    true,
    tuple_,
    union_all,
    update,
)

from connectors.contract import ListingState
from worker.links.versions import Version
from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks, insert_rows, table_of
from worker.store.tables import (
    ChannelRow,
    JournalEntry,
    Link,
    ListingRow,
    OrderLineRow,
    OrderRow,
    Pair,
    WaiveReason,
)


def lock_channels(transaction: Transaction, names: Collection[str]) -> dict[str, AnyRow]:
    """Channel rows, locked in the order of their names: nobody takes orders of them in meanwhile.

    Intake shares the row while it reads links and writes lines; so either it sees our links, or we see its lines.
    """
    rows = transaction.execute(
        select(ChannelRow.name, ChannelRow.seller_id, ChannelRow.counted_from)
        .where(ChannelRow.name.in_(names))
        .order_by(ChannelRow.name)
        .with_for_update()
    )
    return {row.name: row for row in rows}


def channel_names(transaction: Transaction) -> Sequence[str]:
    return transaction.scalars(select(ChannelRow.name).order_by(ChannelRow.name)).all()


def listings(transaction: Transaction, listing_ids: Collection[str]) -> dict[str, AnyRow]:
    found: dict[str, AnyRow] = {}
    for chunk in in_chunks(sorted(listing_ids)):
        rows = transaction.execute(
            select(ListingRow.listing_id, ListingRow.seller_id, ListingRow.state, ListingRow.title).where(
                ListingRow.listing_id.in_(chunk)
            )
        )
        found.update((row.listing_id, row) for row in rows)
    return found


# --- versions ---------------------------------------------------------------------------------------------------


def _versions() -> Select[*tuple[Any, ...]]:
    return select(Link.channel, Link.sku, Link.listing_id, Link.units, Link.from_at, Link.until_at, Link.id)


def versions(transaction: Transaction, channel: str, skus: Collection[str] | None = None) -> list[Version]:
    """All versions, past ones too, of a channel or of some of its SKUs."""
    statement = _versions().where(Link.channel == channel)
    if skus is None:
        return [Version(*row) for row in transaction.execute(statement)]
    found: list[Version] = []
    for chunk in in_chunks(sorted(skus)):
        found += [Version(*row) for row in transaction.execute(statement.where(Link.sku.in_(chunk)))]
    return found


def in_force(transaction: Transaction, channel: str | None) -> Sequence[AnyRow]:
    statement = (
        select(Link.channel, Link.sku, Link.listing_id, Link.units, Link.from_at, ListingRow.title)
        .join(ListingRow, ListingRow.listing_id == Link.listing_id)
        .where(Link.until_at.is_(None))
        .order_by(Link.channel, Link.sku, Link.listing_id)
    )
    if channel is not None:
        statement = statement.where(Link.channel == channel)
    return transaction.execute(statement).all()


def found(
    transaction: Transaction,
    channels: Collection[str],
    words: str,
    after: tuple[str, str, str] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """Links in force of these channels, of a SKU or to a listing where `words` name one, in the order of their keys;
    with how many listings the SKU is linked to.
    """
    of_sku = Link.__table__.alias("of_sku")
    listings_of_sku = (
        select(func.count())
        .where(of_sku.c.channel == Link.channel, of_sku.c.sku == Link.sku, of_sku.c.until_at.is_(None))
        .scalar_subquery()
    )
    statement = (
        select(Link.channel, Link.sku, Link.listing_id, Link.units, Link.from_at, ListingRow.title, listings_of_sku)
        .join(ListingRow, ListingRow.listing_id == Link.listing_id)
        .where(Link.until_at.is_(None), Link.channel.in_(channels))
        .order_by(Link.channel, Link.sku, Link.listing_id)
        .limit(limit)
    )
    if words:
        of_words = union_all(
            select(Link.id).where(Link.channel.in_(channels), Link.sku == words),
            select(Link.id).where(Link.listing_id == words),
        )
        statement = statement.where(Link.id.in_(of_words))
    if after is not None:
        statement = statement.where(tuple_(Link.channel, Link.sku, Link.listing_id) > after)
    return transaction.execute(statement).all()


def doubled(transaction: Transaction, channel: str) -> Sequence[str]:
    """Listings that several SKUs of a channel are linked to with the same number of units, and to nothing else: a kit
    shares its parts with what is sold alone.
    """
    in_force = and_(Link.channel == channel, Link.until_at.is_(None))
    single = select(Link.sku).where(in_force).group_by(Link.sku).having(func.count() == 1)
    return transaction.scalars(
        select(Link.listing_id)
        .where(in_force, Link.sku.in_(single))
        .group_by(Link.listing_id, Link.units)
        .having(func.count() > 1)
        .order_by(Link.listing_id)
    ).all()


def begin(transaction: Transaction, begun: Sequence[Version], now: datetime) -> None:
    insert_rows(
        transaction,
        Link,
        [
            {
                "channel": version.channel,
                "sku": version.sku,
                "listing_id": version.listing_id,
                "units": version.units,
                "from_at": version.from_at,
                "until_at": version.until_at,
                "created_at": now,
            }
            for version in begun
        ],
    )


def end(transaction: Transaction, ended: Sequence[Version]) -> None:
    if ended:
        table = table_of(Link)
        transaction.execute(
            update(table).where(table.c.id == bindparam("row")).values(until_at=bindparam("until")),
            [{"row": version.id, "until": version.until_at} for version in ended],
        )


def forget(transaction: Transaction, forgotten: Sequence[Version]) -> None:
    for chunk in in_chunks(version.id for version in forgotten):
        transaction.execute(delete(Link).where(Link.id.in_(chunk)))


# --- what waits for a link, and what it may be --------------------------------------------------------------------


def unlinked(
    transaction: Transaction,
    *,
    channel: str | None,
    sku: str | None,
    after: tuple[str, str] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """SKUs whose sales have no listing, in the order of channel and SKU, with what waits."""
    statement = (
        select(
            OrderLineRow.channel,
            OrderLineRow.sku,
            func.sum(OrderLineRow.committed).label("units"),
            func.count(OrderLineRow.order_row.distinct()).label("orders"),
            func.min(OrderLineRow.placed_at).label("since"),
        )
        .where(~OrderLineRow.linked, OrderLineRow.sku.is_not(None), OrderLineRow.committed > 0)
        .group_by(OrderLineRow.channel, OrderLineRow.sku)
        .order_by(OrderLineRow.channel, OrderLineRow.sku)
        .limit(limit)
    )
    if channel is not None:
        statement = statement.where(OrderLineRow.channel == channel)
    if sku is not None:
        statement = statement.where(OrderLineRow.sku == sku)
    if after is not None:
        statement = statement.where(tuple_(OrderLineRow.channel, OrderLineRow.sku) > after)
    return transaction.execute(statement).all()


def sellers(transaction: Transaction) -> dict[str, str]:
    """The seller of each channel; empty for one that may be linked to anybody's listings."""
    return {row.name: row.seller_id for row in transaction.execute(select(ChannelRow.name, ChannelRow.seller_id))}


def _of_seller(seller: str) -> ColumnElement[bool]:
    known = ListingRow.state != ListingState.DELETED
    return and_(known, ListingRow.seller_id == seller) if seller else known


def _candidates(seller: str, condition: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return select(ListingRow.listing_id, ListingRow.title, ListingRow.sku, ListingRow.seller_id).where(
        _of_seller(seller), condition
    )


def candidates(
    transaction: Transaction, wanted: Mapping[str, Mapping[str, Collection[str]]], *, beside: int, limit: int
) -> Sequence[AnyRow]:
    """Listings that may be meant by SKUs, given by seller (empty: any) with how each may be spelled: those kept under
    one of the spellings, `beside` of them before and after each SKU in the alphabet, and as many others as make `limit`
    for all sellers together, whatever the size of the catalogue.
    """
    parts: list[Select[Any]] = []
    for seller, spellings in wanted.items():
        parts.append(_candidates(seller, ListingRow.sku.in_(sorted(set().union(*spellings.values())))))
        # A catalogue in capitals begins elsewhere in the alphabet.
        for sku in sorted({*spellings, *(sku.upper() for sku in spellings)}):
            parts += [
                _candidates(seller, ListingRow.sku < sku).order_by(ListingRow.sku.desc()).limit(beside),
                _candidates(seller, ListingRow.sku > sku).order_by(ListingRow.sku).limit(beside),
            ]
        others = _candidates(seller, true()).order_by(ListingRow.sku if seller else ListingRow.listing_id)
        parts.append(others.limit(limit // len(wanted)))
    # A part with a bound must be a subquery of its own: SQLite takes it in no other form.
    return transaction.execute(union_all(*(select(part.subquery()) for part in parts))).all() if parts else ()


def precedents(transaction: Transaction, skus: Collection[str]) -> Sequence[AnyRow]:
    """Links in force of these SKUs on any channel, and former ones, with their listings."""
    return transaction.execute(
        select(
            Link.channel,
            Link.sku,
            Link.units,
            Link.until_at,
            ListingRow.listing_id,
            ListingRow.title,
            ListingRow.sku.label("listing_sku"),
            ListingRow.seller_id,
        )
        .join(ListingRow, ListingRow.listing_id == Link.listing_id)
        .where(Link.channel.in_(select(ChannelRow.name)), Link.sku.in_(skus), ListingRow.state != ListingState.DELETED)
        .order_by(Link.id)
    ).all()


# --- lines and pairs --------------------------------------------------------------------------------------------


def lines(transaction: Transaction, channel: str, skus: Collection[str]) -> Sequence[AnyRow]:
    """Lines of these SKUs (few enough for one statement), with what decides about their pairs."""
    return transaction.execute(
        select(
            OrderLineRow.id,
            OrderLineRow.sku,
            OrderLineRow.committed,
            OrderLineRow.first_committed,
            OrderLineRow.placed_at,
        ).where(OrderLineRow.channel == channel, OrderLineRow.sku.in_(skus))
    ).all()


def paired(transaction: Transaction, channel: str, skus: Collection[str]) -> dict[tuple[int, str], AnyRow]:
    """The pairs that lines of these SKUs have, by line and listing."""
    rows = transaction.execute(
        select(Pair.line_row, Pair.listing_id, Pair.id, Pair.units, Pair.applied, Pair.waived)
        .join(OrderLineRow, OrderLineRow.id == Pair.line_row)
        .where(OrderLineRow.channel == channel, OrderLineRow.sku.in_(skus))
    )
    return {(row.line_row, row.listing_id): row for row in rows}


def pair_ids(transaction: Transaction, line_rows: Collection[int]) -> dict[tuple[int, str], int]:
    found: dict[tuple[int, str], int] = {}
    for chunk in in_chunks(sorted(line_rows)):
        rows = transaction.execute(select(Pair.line_row, Pair.listing_id, Pair.id).where(Pair.line_row.in_(chunk)))
        found.update(((row.line_row, row.listing_id), row.id) for row in rows)
    return found


def note_linked(transaction: Transaction, channel: str, skus: Collection[str]) -> int:
    """Mark the lines of these SKUs that have a pair by now; returns how many had none before."""
    has_pair = select(Pair.id).where(Pair.line_row == OrderLineRow.id).exists()
    return transaction.execute(
        update(OrderLineRow)
        .where(OrderLineRow.channel == channel, OrderLineRow.sku.in_(skus), ~OrderLineRow.linked, has_pair)
        .values(linked=True)
    ).rowcount


def corrected_lines(
    transaction: Transaction, channel: str, sku: str, from_listing: str, to_listing: str, since: datetime | None
) -> Sequence[AnyRow]:
    """Lines with a counting pair on `from_listing`, with that pair and the one on `to_listing` if there is one."""
    source, target = Pair.__table__.alias("source"), Pair.__table__.alias("target")
    statement = (
        select(
            OrderRow.order_id,
            OrderLineRow.id,
            OrderLineRow.line_id,
            OrderLineRow.placed_at,
            OrderLineRow.committed,
            source.c.id.label("source_id"),
            source.c.units.label("source_units"),
            source.c.committed.label("source_committed"),
            source.c.applied.label("source_applied"),
            source.c.waived.label("source_waived"),
            target.c.id.label("target_id"),
            target.c.units.label("target_units"),
            target.c.committed.label("target_committed"),
            target.c.applied.label("target_applied"),
            target.c.waived.label("target_waived"),
        )
        .join(OrderRow, OrderRow.id == OrderLineRow.order_row)
        .join(source, and_(source.c.line_row == OrderLineRow.id, source.c.listing_id == from_listing))
        .outerjoin(target, and_(target.c.line_row == OrderLineRow.id, target.c.listing_id == to_listing))
        .where(OrderLineRow.channel == channel, OrderLineRow.sku == sku, source.c.units > 0)
        .order_by(OrderLineRow.placed_at, OrderLineRow.id)
    )
    if since is not None:
        statement = statement.where(OrderLineRow.placed_at >= since)
    return transaction.execute(statement).all()


def before_start_units(transaction: Transaction, pair_ids_: Collection[int]) -> dict[int, int]:
    """What was waived of these pairs because their line was placed before the link's start."""
    found: dict[int, int] = {}
    for chunk in in_chunks(sorted(pair_ids_)):
        rows = transaction.execute(
            select(JournalEntry.pair_id, func.sum(JournalEntry.units))
            .where(JournalEntry.pair_id.in_(chunk), JournalEntry.reason == WaiveReason.BEFORE_START)
            .group_by(JournalEntry.pair_id)
        )
        found.update((row[0], int(row[1])) for row in rows if row[0] is not None)
    return found


def set_corrected(transaction: Transaction, rows: Sequence[Mapping[str, int]]) -> None:
    """Each mapping: `row` (the pair), `new_units`, `new_committed`, `new_waived`."""
    if rows:
        table = table_of(Pair)
        transaction.execute(
            update(table)
            .where(table.c.id == bindparam("row"))
            .values(units=bindparam("new_units"), committed=bindparam("new_committed"), waived=bindparam("new_waived")),
            list(rows),
        )
