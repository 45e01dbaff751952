"""Every query about listings' facts, their pairs and operations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import BigInteger, BindParameter, and_, bindparam, case, func, insert, literal, or_, select, update

from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks, insert_rows, next_keys, table_of
from worker.store.tables import (
    UNSETTLED,
    Hold,
    HoldScope,
    JournalEntry,
    JournalKind,
    ListingRow,
    Operation,
    OperationKind,
    OperationPair,
    OperationState,
    Pair,
)

DECIDED_BY = "decided by "
"""How the outcome of an operation begins that a person has settled."""

PENDING = Pair.applied != Pair.committed - Pair.waived

LISTING_FACTS = (
    ListingRow.listing_id,
    ListingRow.state,
    ListingRow.stock_kind,
    ListingRow.total,
    ListingRow.anchor_total,
    ListingRow.anchor_adjustment,
    ListingRow.anchor_at,
    ListingRow.anchor_certain,
    ListingRow.doubted,
    ListingRow.attempts,
    ListingRow.lease_owner,
    ListingRow.correlation_id,
    ListingRow.first_seen_at,
)

# What is asked most often is built once.
_IDS: BindParameter[Sequence[str]] = bindparam("ids", expanding=True)
_FACTS_OF = (
    select(*LISTING_FACTS).where(ListingRow.listing_id.in_(_IDS)).order_by(ListingRow.listing_id).with_for_update()
)
_UNSETTLED_OF = select(
    Operation.id,
    Operation.listing_id,
    Operation.kind,
    Operation.state,
    Operation.expected_total,
    Operation.new_total,
    Operation.prepared_at,
).where(Operation.listing_id.in_(_IDS), Operation.state.in_(UNSETTLED))
_UNCLAIMED_OF = (
    select(
        Operation.id,
        Operation.listing_id,
        Operation.state,
        Operation.expected_total,
        Operation.new_total,
        Operation.answered,
        Operation.prepared_at,
        Operation.settled_at,
        Operation.outcome,
    )
    .where(
        Operation.listing_id.in_(_IDS),
        ~Operation.claimed,
        Operation.state != OperationState.REJECTED,
        Operation.kind == OperationKind.STOCK,
    )
    .order_by(Operation.id)
)

# --- listings ---------------------------------------------------------------------------------------------------


def facts(transaction: Transaction, listing_ids: Collection[str]) -> dict[str, AnyRow]:
    """Listing rows, locked in the order of their ids."""
    rows: dict[str, AnyRow] = {}
    for chunk in in_chunks(sorted(listing_ids)):
        found = transaction.execute(_FACTS_OF, {"ids": chunk})
        rows.update((row.listing_id, row) for row in found)
    return rows


def facts_unlocked(transaction: Transaction, listing_id: str) -> AnyRow:
    """One listing row, as it is now."""
    return transaction.execute(select(*LISTING_FACTS).where(ListingRow.listing_id == listing_id)).one()


def update_listings(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each mapping: `row` (the listing id) and `new_<column>`; mappings may name different columns."""
    by_columns: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: str(row["row"])):
        by_columns.setdefault(tuple(sorted(row)), []).append(row)
    table = table_of(ListingRow)
    for names, values in by_columns.items():
        columns: dict[str, Any] = {name.removeprefix("new_"): bindparam(name) for name in names if name != "row"}
        if columns:
            transaction.execute(update(table).where(table.c.listing_id == bindparam("row")).values(columns), values)


# --- pairs ------------------------------------------------------------------------------------------------------


def due_pairs(
    transaction: Transaction, listing_ids: Collection[str], held_channels: Collection[str]
) -> dict[str, list[AnyRow]]:
    """Pairs with pending units by listing, without those of held channels."""
    due: dict[str, list[AnyRow]] = {}
    for chunk in in_chunks(listing_ids):
        statement = select(Pair.id, Pair.listing_id, Pair.committed, Pair.applied, Pair.waived, Pair.placed_at).where(
            Pair.listing_id.in_(chunk), PENDING
        )
        if held_channels:
            statement = statement.where(Pair.channel.not_in(held_channels))
        for row in transaction.execute(statement):
            due.setdefault(row.listing_id, []).append(row)
    return due


def move_units(
    transaction: Transaction, number: Literal["applied", "waived"], moves: Sequence[Mapping[str, int]]
) -> None:
    """Move one number of pairs. Each mapping: `row` (the pair), `moved` (units)."""
    if moves:
        table = table_of(Pair)
        transaction.execute(
            update(table).where(table.c.id == bindparam("row")).values({number: table.c[number] + bindparam("moved")}),
            list(moves),
        )


def write_journal(transaction: Transaction, entries: Sequence[Mapping[str, Any]]) -> None:
    insert_rows(transaction, JournalEntry, entries)


# --- operations -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Intent:
    """An operation about to be prepared."""

    listing_id: str
    kind: OperationKind
    expected_total: int
    new_total: int
    correlation_id: str
    moves: Sequence[tuple[int, int]] = ()
    """Pair and units, for a stock operation."""


def prepare(transaction: Transaction, intents: Sequence[Intent], now: datetime) -> dict[str, int]:
    """Write intents down; returns the operation of each listing. One that already has an unsettled operation is refused
    by the unique index, and is missing from the answer.
    """
    if not intents:
        return {}
    listing_ids = [intent.listing_id for intent in intents]
    busy = set(
        transaction.scalars(
            select(Operation.listing_id).where(Operation.listing_id.in_(listing_ids), Operation.state.in_(UNSETTLED))
        )
    )
    fresh = [intent for intent in intents if intent.listing_id not in busy]
    if not fresh:
        return {}
    insert_rows(
        transaction,
        Operation,
        [
            {
                "listing_id": intent.listing_id,
                "kind": intent.kind,
                "state": OperationState.PREPARED,
                "expected_total": intent.expected_total,
                "new_total": intent.new_total,
                "prepared_at": now,
                "correlation_id": intent.correlation_id,
            }
            for intent in fresh
        ],
    )
    rows = transaction.execute(
        select(Operation.listing_id, Operation.id).where(
            Operation.listing_id.in_([intent.listing_id for intent in fresh]),
            Operation.state == OperationState.PREPARED,
        )
    )
    prepared = {row.listing_id: row.id for row in rows}
    insert_rows(
        transaction,
        OperationPair,
        [
            {"operation_id": prepared[intent.listing_id], "pair_id": pair_id, "units": units}
            for intent in fresh
            for pair_id, units in intent.moves
        ],
    )
    return prepared


def unsettled(transaction: Transaction, listing_ids: Collection[str]) -> dict[str, AnyRow]:
    """The unsettled operation of each listing that has one."""
    found: dict[str, AnyRow] = {}
    for chunk in in_chunks(listing_ids):
        rows = transaction.execute(_UNSETTLED_OF, {"ids": chunk})
        found.update((row.listing_id, row) for row in rows)
    return found


def last_closings(transaction: Transaction, listing_ids: Collection[str]) -> dict[str, AnyRow]:
    """The last closing of each of these listings that was not refused, whatever became of it."""
    found: dict[str, AnyRow] = {}
    for chunk in in_chunks(listing_ids):
        last = (
            select(func.max(Operation.id))
            .where(
                Operation.listing_id.in_(chunk),
                Operation.kind == OperationKind.CLOSE,
                Operation.state != OperationState.REJECTED,
            )
            .group_by(Operation.listing_id)
        )
        rows = transaction.execute(
            select(Operation.id, Operation.listing_id, Operation.state, Operation.prepared_at).where(
                Operation.id.in_(last)
            )
        )
        found.update((row.listing_id, row) for row in rows)
    return found


def unclaimed(transaction: Transaction, listing_ids: Collection[str]) -> dict[str, list[AnyRow]]:
    """Stock operations that may have an adjustment nobody claimed for them yet, oldest first, by listing."""
    found: dict[str, list[AnyRow]] = {}
    for chunk in in_chunks(listing_ids):
        rows = transaction.execute(_UNCLAIMED_OF, {"ids": chunk})
        for row in rows:
            found.setdefault(row.listing_id, []).append(row)
    return found


def stock_writes_since(transaction: Transaction, listing_id: str, prepared_after: datetime) -> Sequence[AnyRow]:
    """Of one listing, newest first."""
    return transaction.execute(
        select(
            Operation.id,
            Operation.state,
            Operation.prepared_at,
            Operation.expected_total,
            Operation.new_total,
            Operation.answered,
            decided().label("decided"),
        )
        .where(
            Operation.listing_id == listing_id,
            Operation.kind == OperationKind.STOCK,
            Operation.prepared_at > prepared_after,
        )
        .order_by(Operation.id.desc())
    ).all()


def late_since(transaction: Transaction, now: datetime, late_for: timedelta) -> datetime:
    """Writes without a proof that were prepared since then may have been executed late, and not been seen yet: so long
    ago, and as long again before the marketplace was held, if it has been since, for then nobody looked.
    """
    held = transaction.scalar(
        select(func.min(Hold.since)).where(
            Hold.scope == HoldScope.MARKETPLACE, or_(Hold.lifted_at.is_(None), Hold.lifted_at > now - late_for)
        )
    )
    return min(now, held or now) - late_for


def asked_since(transaction: Transaction, listing_id: str, decided_after: datetime) -> datetime | None:
    """When the oldest of the listing's stock writes that a person has decided since then was prepared. Until it was
    decided, the listing's number was not held against the writes before it.
    """
    return transaction.scalar(
        select(func.min(Operation.prepared_at)).where(
            Operation.listing_id == listing_id,
            Operation.kind == OperationKind.STOCK,
            Operation.settled_at > decided_after,
            decided(),
        )
    )


def may_be_late(transaction: Transaction, listing_ids: Collection[str], prepared_after: datetime) -> set[str]:
    """Of these listings, those with a stock write since then that may be executed yet: it was taken for absent, or for
    applied without any proof.
    """
    unproved = and_(Operation.state == OperationState.APPLIED, ~Operation.answered)
    found: set[str] = set()
    for chunk in in_chunks(listing_ids):
        found.update(
            transaction.scalars(
                select(Operation.listing_id)
                .where(
                    Operation.listing_id.in_(chunk),
                    or_(Operation.state == OperationState.ABSENT, unproved),
                    ~Operation.claimed,
                    Operation.kind == OperationKind.STOCK,
                    Operation.prepared_at > prepared_after,
                )
                .distinct()
            )
        )
    return found


def doubt_prepared(transaction: Transaction, listing_ids: Collection[str]) -> None:
    """Operations whose sender is gone (its lease ran out) have an unknown outcome."""
    for chunk in in_chunks(listing_ids):
        transaction.execute(
            update(Operation)
            .where(Operation.listing_id.in_(chunk), Operation.state == OperationState.PREPARED)
            .values(state=OperationState.UNKNOWN, outcome="its sender stopped before recording an answer")
        )


def settle(
    transaction: Transaction,
    operation_ids: Collection[int],
    state: OperationState,
    *,
    now: datetime,
    from_states: Iterable[OperationState],
    answered: bool = False,
    outcome: str | None = None,
) -> Sequence[AnyRow]:
    """Move operations to `state` if they are still in one of `from_states`; returns those that moved.

    Whoever moves an operation to `applied` moves its pairs, in the same transaction: so it happens exactly once.
    """
    if not operation_ids:
        return ()
    rows = transaction.execute(
        update(Operation)
        .where(Operation.id.in_(operation_ids), Operation.state.in_(tuple(from_states)))
        .values(
            state=state,
            settled_at=None if state is OperationState.UNKNOWN else now,
            answered=answered,
            outcome=outcome,
        )
        .returning(Operation.id, Operation.listing_id, Operation.kind, Operation.expected_total, Operation.new_total)
    ).all()
    if state is OperationState.APPLIED and rows:
        _carry_out(transaction, [row.id for row in rows], now)
    return rows


def undo(transaction: Transaction, operation_ids: Collection[int], *, now: datetime, reason: str) -> None:
    """Take back what applied operations have moved: another one has overwritten them. Each once."""
    undone = settle(
        transaction,
        operation_ids,
        OperationState.REJECTED,
        now=now,
        from_states=(OperationState.APPLIED,),
        answered=True,
        outcome=reason,
    )
    if undone:
        _carry_out(transaction, [row.id for row in undone], now, times=-1, note=reason)


def _carry_out(
    transaction: Transaction, operation_ids: Sequence[int], now: datetime, *, times: int = 1, note: str | None = None
) -> None:
    units = (
        select(OperationPair.pair_id, (times * func.sum(OperationPair.units)).cast(BigInteger).label("units"))
        .where(OperationPair.operation_id.in_(operation_ids))
        .group_by(OperationPair.pair_id)
        .subquery()
    )
    transaction.execute(update(Pair).where(Pair.id == units.c.pair_id).values(applied=Pair.applied + units.c.units))
    transaction.execute(
        insert(JournalEntry).from_select(
            ["at", "listing_id", "pair_id", "kind", "units", "operation_id", "note"],
            select(
                literal(now, JournalEntry.at.type),
                Operation.listing_id,
                OperationPair.pair_id,
                literal(JournalKind.APPLIED, JournalEntry.kind.type),
                times * OperationPair.units,
                Operation.id,
                literal(note, JournalEntry.note.type),
            )
            .join(Operation, Operation.id == OperationPair.operation_id)
            .where(OperationPair.operation_id.in_(operation_ids)),
        )
    )


# --- retention --------------------------------------------------------------------------------------------------


def decided() -> Any:
    """Whether a person has said what became of an operation."""
    return func.coalesce(Operation.outcome, "").startswith(DECIDED_BY)


def strip_operations(transaction: Transaction, after: str, before: datetime, limit: int) -> str | None:
    """Drop what explains operations settled before `before`, among the `limit` rows behind `after`. Returns the last of
    these rows; None when there are no more.
    """
    rows = next_keys(transaction, Operation.id, int(after or 0), limit)
    if not rows:
        return None
    settled = select(Operation.id).where(
        Operation.id.in_(rows),
        Operation.state.not_in(UNSETTLED),
        Operation.settled_at < before,
        or_(Operation.correlation_id != "", and_(Operation.outcome.is_not(None), ~decided())),
    )
    transaction.execute(
        update(Operation)
        .where(Operation.id.in_(transaction.scalars(settled.with_for_update(skip_locked=True)).all()))
        # What a person has decided is not asked again.
        .values(outcome=case((decided(), Operation.outcome), else_=None), correlation_id="")
    )
    return str(rows[-1])


# --- for people -------------------------------------------------------------------------------------------------

_SHOWN = (
    Operation.id,
    Operation.listing_id,
    Operation.kind,
    Operation.state,
    Operation.expected_total,
    Operation.new_total,
    Operation.prepared_at,
    Operation.settled_at,
    Operation.outcome,
)


def operation(transaction: Transaction, operation_id: int) -> AnyRow | None:
    return transaction.execute(select(*_SHOWN).where(Operation.id == operation_id)).one_or_none()


def listed_operations(
    transaction: Transaction, *, unsettled_only: bool, listing_id: str | None, limit: int
) -> Sequence[AnyRow]:
    """Newest first."""
    statement = select(*_SHOWN).order_by(Operation.id.desc()).limit(limit)
    if unsettled_only:
        statement = statement.where(Operation.state.in_(UNSETTLED))
    if listing_id is not None:
        statement = statement.where(Operation.listing_id == listing_id)
    return transaction.execute(statement).all()
