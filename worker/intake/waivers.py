"""Units that are not ours to take, journalled with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from worker.intake import repository
from worker.store import Transaction
from worker.store.tables import JournalKind, WaiveReason


def journal_waivers(
    transaction: Transaction, pairs: Sequence[dict[str, Any]], reason: WaiveReason, now: datetime
) -> None:
    """Journal what new pairs waived from the start."""
    if not pairs:
        return
    rows = repository.pairs_of(transaction, {pair["line_row"] for pair in pairs})
    repository.write_journal(
        transaction, [waiver(row.listing_id, row.id, row.waived, reason, now) for row in rows if row.waived]
    )


def waiver(listing_id: str, pair_id: int, units: int, reason: WaiveReason, now: datetime) -> dict[str, Any]:
    """A journal entry about waived units."""
    return {
        "at": now,
        "listing_id": listing_id,
        "pair_id": pair_id,
        "kind": JournalKind.WAIVED,
        "units": units,
        "operation_id": None,
        "reason": reason,
        "note": None,
    }
