"""Every query about due listings, operations and claims."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, BindParameter, and_, bindparam, case, func, insert, literal, or_, select, update

from connectors.contract import Author, RemoteAdjustment
from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks, insert_missing, insert_rows, next_keys, table_of
from worker.store.tables import (
    UNSETTLED,
    Claim,
    JournalEntry,
    JournalKind,
    ListingRow,
    Operation,
    OperationKind,
    OperationPair,
    OperationState,
    Pair,
    RemoteAdjustmentRow,
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
_ANY_DUE = select(ListingRow.listing_id).where(ListingRow.next_attempt_at <= bindparam("now")).limit(1)
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

# --- leases -----------------------------------------------------------------------------------------------------


def any_due(transaction: Transaction, now: datetime) -> bool:
    """Whether a claim would find anything, leases aside: a read, for the many times it would not."""
    return bool(transaction.scalar(_ANY_DUE, {"now": now}))


def claim_due(
    transaction: Transaction, *, owner: str, now: datetime, lease_until: datetime, limit: int
) -> Sequence[str]:
    """Lease due listings; until `lease_until` nobody else takes them. The lease saves work, nothing more.

    They are due again when the lease ends; an earlier moment found there at the release was set by somebody else.
    """
    free = or_(ListingRow.lease_until.is_(None), ListingRow.lease_until <= now)
    due = transaction.scalars(
        select(ListingRow.listing_id)
        .where(ListingRow.next_attempt_at <= now, free)
        .order_by(ListingRow.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if due:
        transaction.execute(
            update(ListingRow)
            .where(ListingRow.listing_id.in_(due))
            .values(lease_owner=owner, lease_until=lease_until, next_attempt_at=lease_until, put_off_by=None)
        )
    return due


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
        select(Operation.id, Operation.state, Operation.new_total)
        .where(
            Operation.listing_id == listing_id,
            Operation.kind == OperationKind.STOCK,
            Operation.prepared_at > prepared_after,
        )
        .order_by(Operation.id.desc())
    ).all()


def may_be_late(transaction: Transaction, listing_ids: Collection[str], prepared_after: datetime) -> set[str]:
    """Of these listings, those with a stock write since then that was taken for absent: it may be executed yet."""
    found: set[str] = set()
    for chunk in in_chunks(listing_ids):
        found.update(
            transaction.scalars(
                select(Operation.listing_id)
                .where(
                    Operation.listing_id.in_(chunk),
                    Operation.state == OperationState.ABSENT,
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


def _carry_out(transaction: Transaction, operation_ids: Sequence[int], now: datetime) -> None:
    units = (
        select(OperationPair.pair_id, func.sum(OperationPair.units).cast(BigInteger).label("units"))
        .where(OperationPair.operation_id.in_(operation_ids))
        .group_by(OperationPair.pair_id)
        .subquery()
    )
    transaction.execute(update(Pair).where(Pair.id == units.c.pair_id).values(applied=Pair.applied + units.c.units))
    transaction.execute(
        insert(JournalEntry).from_select(
            ["at", "listing_id", "pair_id", "kind", "units", "operation_id"],
            select(
                literal(now, JournalEntry.at.type),
                Operation.listing_id,
                OperationPair.pair_id,
                literal(JournalKind.APPLIED, JournalEntry.kind.type),
                OperationPair.units,
                Operation.id,
            )
            .join(Operation, Operation.id == OperationPair.operation_id)
            .where(OperationPair.operation_id.in_(operation_ids)),
        )
    )


# --- the marketplace's log --------------------------------------------------------------------------------------


def remember_adjustments(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep adjustments that the feed or the ledger showed; those that are kept already stay as they are."""
    insert_missing(transaction, RemoteAdjustmentRow, rows)


def adjustment_values(
    adjustment: RemoteAdjustment, *, sequence: int | None, total_after: int | None, claimed: bool
) -> dict[str, Any]:
    reservation = adjustment.reservation
    return {
        "adjustment_id": adjustment.adjustment_id,
        "listing_id": adjustment.listing_id,
        "at": adjustment.at,
        "quantity": adjustment.quantity,
        "author": adjustment.author,
        "sequence": sequence,
        "total_after": total_after,
        "reservation_id": None if reservation is None else reservation.reservation_id,
        "transaction_id": None if reservation is None else reservation.transaction_id,
        "open_claim": adjustment.author is Author.OURS and not claimed,
    }


def known_adjustments(transaction: Transaction, adjustment_ids: Collection[str]) -> dict[str, AnyRow]:
    """What is kept of these adjustments, with whether one is claimed."""
    known: dict[str, AnyRow] = {}
    for chunk in in_chunks(adjustment_ids):
        rows = transaction.execute(
            select(
                RemoteAdjustmentRow.adjustment_id,
                RemoteAdjustmentRow.author,
                RemoteAdjustmentRow.sequence,
                RemoteAdjustmentRow.total_after,
                RemoteAdjustmentRow.open_claim,
                Claim.operation_id,
            )
            .outerjoin(Claim, Claim.adjustment_id == RemoteAdjustmentRow.adjustment_id)
            .where(RemoteAdjustmentRow.adjustment_id.in_(chunk))
        )
        known.update((row.adjustment_id, row) for row in rows)
    return known


def oldest_open_claim(transaction: Transaction, listing_id: str) -> datetime | None:
    """When the oldest own adjustment of a listing was made that no operation has claimed."""
    return transaction.scalar(
        select(func.min(RemoteAdjustmentRow.at)).where(
            RemoteAdjustmentRow.open_claim, RemoteAdjustmentRow.listing_id == listing_id
        )
    )


def total_before(transaction: Transaction, listing_id: str, moment: datetime) -> int | None:
    """The running total after the last adjustment of a listing before that moment; None where it is not known."""
    return transaction.scalar(
        select(RemoteAdjustmentRow.total_after)
        .where(RemoteAdjustmentRow.listing_id == listing_id, RemoteAdjustmentRow.at < moment)
        .order_by(RemoteAdjustmentRow.at.desc(), RemoteAdjustmentRow.sequence.desc().nulls_last())
        .limit(1)
    )


def learn_adjustments(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each mapping: `row` (the adjustment), `new_author`, `new_sequence`, `new_total_after`, `new_open_claim`."""
    if rows:
        table = table_of(RemoteAdjustmentRow)
        columns: dict[str, Any] = {name.removeprefix("new_"): bindparam(name) for name in rows[0] if name != "row"}
        transaction.execute(update(table).where(table.c.adjustment_id == bindparam("row")).values(columns), list(rows))


def insert_claims(transaction: Transaction, matches: Mapping[str, int], now: datetime) -> None:
    """Adjustment -> operation. The unique keys refuse a second claim of either."""
    insert_rows(
        transaction,
        Claim,
        [
            {"adjustment_id": adjustment, "operation_id": operation, "claimed_at": now}
            for adjustment, operation in matches.items()
        ],
    )
    for chunk in in_chunks(matches.values()):
        transaction.execute(update(Operation).where(Operation.id.in_(chunk)).values(claimed=True))
    for names in in_chunks(matches):
        transaction.execute(
            update(RemoteAdjustmentRow).where(RemoteAdjustmentRow.adjustment_id.in_(names)).values(open_claim=False)
        )


def open_claims(transaction: Transaction, listing_ids: Collection[str]) -> set[str]:
    """Of these listings, those with an own adjustment that no operation has claimed."""
    found: set[str] = set()
    for chunk in in_chunks(listing_ids):
        found.update(
            transaction.scalars(
                select(RemoteAdjustmentRow.listing_id)
                .where(RemoteAdjustmentRow.open_claim, RemoteAdjustmentRow.listing_id.in_(chunk))
                .distinct()
            )
        )
    return found


def release(transaction: Transaction, owner: str, again_at: Mapping[str, datetime], *, leased_until: datetime) -> None:
    """Give leases back that `owner` still has. A listing with nothing pending and no doubt is not due any more, unless
    somebody asked for it during the lease: what the pass concluded may be out of date, and the next one says so without
    a call. Another is due at its moment, or earlier if somebody asked.
    """
    for chunk in in_chunks(sorted(again_at)):
        held = transaction.execute(
            select(ListingRow.listing_id, ListingRow.next_attempt_at, ListingRow.doubted)
            .where(ListingRow.listing_id.in_(chunk), ListingRow.lease_owner == owner)
            .order_by(ListingRow.listing_id)
            .with_for_update()
        ).all()
        names = [row.listing_id for row in held]
        busy = set(
            transaction.scalars(select(Pair.listing_id).where(Pair.listing_id.in_(names), PENDING).distinct())
        ) | set(unsettled(transaction, names))
        busy |= {row.listing_id for row in held if row.doubted}
        rows = []
        for row in held:
            asked = row.next_attempt_at is not None and row.next_attempt_at != leased_until
            following = row.next_attempt_at if asked else again_at[row.listing_id]
            rows.append(
                {
                    "row": row.listing_id,
                    "new_lease_owner": None,
                    "new_lease_until": None,
                    "new_next_attempt_at": following if asked or row.listing_id in busy else None,
                }
            )
        update_listings(transaction, rows)


# --- retention --------------------------------------------------------------------------------------------------


def _decided() -> Any:
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
        or_(Operation.correlation_id != "", and_(Operation.outcome.is_not(None), ~_decided())),
    )
    transaction.execute(
        update(Operation)
        .where(Operation.id.in_(transaction.scalars(settled.with_for_update(skip_locked=True)).all()))
        # What a person has decided is not asked again.
        .values(outcome=case((_decided(), Operation.outcome), else_=None), correlation_id="")
    )
    return str(rows[-1])


def strip_adjustments(transaction: Transaction, after: str, before: datetime, limit: int) -> str | None:
    """Drop which purchase made an adjustment older than `before`, among the `limit` rows behind `after`. Returns the
    last of these rows; None when there are no more.
    """
    key = RemoteAdjustmentRow.adjustment_id
    rows = next_keys(transaction, key, after, limit)
    if not rows:
        return None
    old = select(key).where(
        key.in_(rows), RemoteAdjustmentRow.at < before, RemoteAdjustmentRow.reservation_id.is_not(None)
    )
    transaction.execute(
        update(RemoteAdjustmentRow)
        .where(key.in_(transaction.scalars(old.with_for_update(skip_locked=True)).all()))
        .values(reservation_id=None, transaction_id=None)
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
