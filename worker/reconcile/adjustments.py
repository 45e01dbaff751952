"""Every query about the marketplace's own records: adjustments kept of its log, and which operation claims which."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update

from connectors.contract import Author, RemoteAdjustment
from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks, insert_missing, insert_rows, next_keys, table_of
from worker.store.tables import Claim, Operation, RemoteAdjustmentRow


def remember_adjustments(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep adjustments that the feed or the ledger showed; those that are kept already stay as they are."""
    insert_missing(transaction, RemoteAdjustmentRow, rows)


def adjustment_values(
    adjustment: RemoteAdjustment, *, sequence: int | None, total_after: int | None, claimed: bool
) -> dict[str, Any]:
    """An adjustment as a row to remember."""
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
