"""Every query of the audit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, case, func, or_, select, text, true, update

from connectors.contract import ListingState
from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks, insert_missing, table_of
from worker.store.tables import (
    Claim,
    JournalEntry,
    JournalKind,
    ListingRow,
    Operation,
    OperationKind,
    OperationPair,
    OperationState,
    ProofRow,
    ProofState,
    RemoteAdjustmentRow,
)

OPEN = text("proofs.state IN ('unexplained', 'waiting')")
"""As the partial index `ix_proofs_open` has it."""
LAST_OPERATION = (
    select(func.max(Operation.id))
    .where(Operation.listing_id == ListingRow.listing_id, Operation.kind == OperationKind.STOCK)
    .correlate(ListingRow)
    .scalar_subquery()
)
LAST_HEARD = (
    select(RemoteAdjustmentRow.adjustment_id)
    .where(RemoteAdjustmentRow.listing_id == ListingRow.listing_id)
    .order_by(RemoteAdjustmentRow.at.desc(), RemoteAdjustmentRow.adjustment_id.desc())
    .limit(1)
    .correlate(ListingRow)
    .scalar_subquery()
)
CHANGED = or_(
    ProofRow.listing_id.is_(None),
    OPEN,
    ListingRow.doubted,
    ListingRow.stock_kind != ProofRow.known_kind,
    ListingRow.total.is_distinct_from(ProofRow.known_total),
    ListingRow.anchor_adjustment.is_distinct_from(ProofRow.known_anchor),
    LAST_OPERATION.is_distinct_from(ProofRow.known_operation),
    LAST_HEARD.is_distinct_from(ProofRow.known_heard),
)
"""Whether something was written, read or heard of a listing since its last proof, or the proof left a question open."""


def walk(transaction: Transaction, after: str, limit: int, *, listing_id: str | None = None) -> Sequence[AnyRow]:
    """The next listings by id, deleted ones left out, each with whether it must be looked at."""
    statement = (
        select(ListingRow.listing_id, case((CHANGED, True), else_=False).label("changed"))
        .outerjoin(ProofRow, ProofRow.listing_id == ListingRow.listing_id)
        .where(ListingRow.listing_id > after, ListingRow.state != ListingState.DELETED)
        .order_by(ListingRow.listing_id)
        .limit(limit)
    )
    if listing_id is not None:
        statement = statement.where(ListingRow.listing_id == listing_id)
    return transaction.execute(statement).all()


def cases(transaction: Transaction, listing_ids: Collection[str]) -> Sequence[AnyRow]:
    """What is known of these listings, with their last proofs."""
    return transaction.execute(
        select(
            ListingRow.listing_id,
            ListingRow.stock_kind,
            ListingRow.total,
            ListingRow.anchor_adjustment,
            ListingRow.doubted,
            ListingRow.first_seen_at,
            LAST_OPERATION.label("last_operation"),
            LAST_HEARD.label("last_heard"),
            ProofRow.state,
            ProofRow.looked_at,
            ProofRow.opening_total,
            ProofRow.opening_at,
            ProofRow.account,
        )
        .outerjoin(ProofRow, ProofRow.listing_id == ListingRow.listing_id)
        .where(ListingRow.listing_id.in_(listing_ids))
        .order_by(ListingRow.listing_id)
    ).all()


def met(transaction: Transaction, listing_ids: Collection[str]) -> dict[str, AnyRow]:
    """The total that each of these listings was first met with, and when, where it had one."""
    rows = transaction.execute(
        select(JournalEntry.listing_id, JournalEntry.at, JournalEntry.units)
        .where(JournalEntry.listing_id.in_(listing_ids), JournalEntry.kind == JournalKind.TOTAL)
        .order_by(JournalEntry.id.desc())
    )
    return {row.listing_id: row for row in rows}


def writes_after(transaction: Transaction, listing_id: str, operation_id: int) -> Sequence[AnyRow]:
    """Stock writes of a listing that were carried out, after that one, in order."""
    return transaction.execute(
        select(Operation.id, Operation.expected_total, Operation.new_total, Operation.settled_at, Operation.prepared_at)
        .where(
            Operation.listing_id == listing_id,
            Operation.id > operation_id,
            Operation.kind == OperationKind.STOCK,
            Operation.state == OperationState.APPLIED,
        )
        .order_by(Operation.id)
    ).all()


def last_operation(transaction: Transaction, listing_id: str) -> int | None:
    """The last stock write of a listing, whatever became of it."""
    return transaction.scalar(
        select(func.max(Operation.id)).where(Operation.listing_id == listing_id, Operation.kind == OperationKind.STOCK)
    )


def units_of(transaction: Transaction, operations: Collection[int]) -> dict[int, int]:
    """Operation -> units that its order lines took."""
    found: dict[int, int] = {}
    for chunk in in_chunks(operations):
        rows = transaction.execute(
            select(OperationPair.operation_id, func.sum(OperationPair.units))
            .where(OperationPair.operation_id.in_(chunk))
            .group_by(OperationPair.operation_id)
        )
        found.update((row[0], int(row[1])) for row in rows)
    return found


def decided(transaction: Transaction, listing_id: str, operations: Collection[int]) -> set[int]:
    """Of these operations of a listing, those that a person has decided about: the journal keeps what was said."""
    return set(
        transaction.scalars(
            select(JournalEntry.operation_id).where(
                JournalEntry.listing_id == listing_id,
                JournalEntry.operation_id.in_(operations),
                JournalEntry.note.is_not(None),
            )
        )
    )


def keep(transaction: Transaction, proofs: Sequence[Mapping[str, Any]]) -> None:
    """Write the last proof of each of these listings, in the place of the one before."""
    insert_missing(transaction, ProofRow, proofs)
    table = table_of(ProofRow)
    names = [column.name for column in table.columns if column.name != "listing_id"]
    if proofs:
        transaction.execute(
            update(table)
            .where(table.c.listing_id == bindparam("row"))
            .values({name: bindparam(f"new_{name}") for name in names}),
            [{"row": proof["listing_id"], **{f"new_{name}": proof[name] for name in names}} for proof in proofs],
        )


# --- for people -------------------------------------------------------------------------------------------------

PROOF = (
    ProofRow.listing_id,
    ListingRow.title,
    ListingRow.sku,
    ProofRow.state,
    ProofRow.looked_at,
    ProofRow.opening_total,
    ProofRow.opening_at,
    ProofRow.total,
    ProofRow.note,
    ProofRow.account,
)


def _proofs() -> Select[Any]:
    return select(*PROOF).join(ListingRow, ListingRow.listing_id == ProofRow.listing_id)


def proof(transaction: Transaction, listing_id: str) -> AnyRow | None:
    return transaction.execute(_proofs().where(ProofRow.listing_id == listing_id)).one_or_none()


def open_proofs(transaction: Transaction, state: ProofState, after: str, limit: int) -> Sequence[AnyRow]:
    """Proofs in that state, by listing."""
    return transaction.execute(
        _proofs()
        .where(ProofRow.state == state, OPEN, ProofRow.listing_id > after)
        .order_by(ProofRow.listing_id)
        .limit(limit)
    ).all()


def all_proofs(transaction: Transaction, after: str, limit: int) -> Sequence[AnyRow]:
    """By listing."""
    return transaction.execute(
        _proofs().where(ProofRow.listing_id > after).order_by(ProofRow.listing_id).limit(limit)
    ).all()


def count_open(transaction: Transaction) -> dict[ProofState, int]:
    """Proofs that left a question open, by state."""
    rows = transaction.execute(select(ProofRow.state, func.count()).where(OPEN).group_by(ProofRow.state))
    return {row[0]: row[1] for row in rows}


def adjustments(
    transaction: Transaction, listing_id: str, since: datetime, before: tuple[datetime, str] | None, limit: int
) -> Sequence[AnyRow]:
    """Of a listing, after `since`, the latest first, with the writes that claim them; `before` goes on behind one."""
    at, name = RemoteAdjustmentRow.at, RemoteAdjustmentRow.adjustment_id
    behind = true() if before is None else or_(at < before[0], and_(at == before[0], name < before[1]))
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
        .where(
            RemoteAdjustmentRow.listing_id == listing_id,
            RemoteAdjustmentRow.at > since,
            behind,
        )
        .order_by(RemoteAdjustmentRow.at.desc(), RemoteAdjustmentRow.adjustment_id.desc())
        .limit(limit)
    ).all()


def writes(
    transaction: Transaction, listing_id: str, since: datetime, before: int | None, limit: int
) -> Sequence[AnyRow]:
    """The same of our own writes that were carried out, where there is no log."""
    return transaction.execute(
        select(Operation.id, Operation.expected_total, Operation.new_total, Operation.settled_at)
        .where(
            Operation.listing_id == listing_id,
            Operation.kind == OperationKind.STOCK,
            Operation.state == OperationState.APPLIED,
            and_(Operation.settled_at > since, true() if before is None else Operation.id < before),
        )
        .order_by(Operation.id.desc())
        .limit(limit)
    ).all()
