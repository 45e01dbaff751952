"""A listing's log, and its operations, as the examination of evidence needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.contract import Author, Ledger, RemoteAdjustment
from connectors.errors import CursorTooOld
from worker.reconcile import adjustments
from worker.reconcile.evidence import Candidate, Entry
from worker.reconcile.repository import DECIDED_BY
from worker.store import Transaction
from worker.store.tables import OperationState

LOG_MARGIN = timedelta(minutes=2)
"""How much further back than the oldest open question the log is read, for clocks that disagree."""

LATE_FOR = timedelta(days=1)
"""How long after its preparation a write that was taken for absent is thought able to be executed yet, where only a
look at the log would show it. Evidence that shows it later counts all the same.
"""


@dataclass(frozen=True, slots=True)
class LogRead:
    """A listing's log, as far as it was read."""

    since: datetime
    entries: Sequence[RemoteAdjustment]


def read_log(ledger: Ledger, listing_id: str, since: datetime) -> LogRead:
    """The log since then; of a listing that has been still for longer than logs are kept, what is left of it. If
    something is missing from that, it will not lead from the anchor to the total, and nothing is concluded.
    """
    try:
        return LogRead(since, ledger.adjustments(listing_id, since=since))
    except CursorTooOld as error:
        if error.kept_since is None:
            raise
        # A little later than that: it moves on while we ask.
        kept_since = error.kept_since + LOG_MARGIN
        return LogRead(kept_since, ledger.adjustments(listing_id, since=kept_since))


def has_moved(ledger: Ledger, listing_id: str, log: LogRead) -> bool:
    """Whether there are adjustments by now that were not in this log."""
    again = read_log(ledger, listing_id, log.since)
    return not {entry.adjustment_id for entry in again.entries} <= {entry.adjustment_id for entry in log.entries}


def candidate_of(row: Any, *, relative: bool = False) -> Candidate:
    """An operation's row as the examination of evidence needs it. A person's word that it was executed is an answer."""
    decided = (row.outcome or "").startswith(DECIDED_BY)
    return Candidate(
        row.id,
        row.expected_total,
        row.new_total,
        answered=row.answered or (decided and row.state is OperationState.APPLIED),
        waiting=row.state is OperationState.PREPARED,
        absent=row.state is OperationState.ABSENT,
        decided=decided,
        made_before=row.settled_at + LOG_MARGIN if row.answered and row.settled_at is not None else None,
        executed_within=(row.prepared_at - LOG_MARGIN, row.prepared_at + LATE_FOR) if relative else None,
    )


def log_order(entry: RemoteAdjustment, known: Mapping[str, Any]) -> tuple[datetime, int, str]:
    """Entries of one instant stand in the order of the feed, where the feed has shown them."""
    row = known.get(entry.adjustment_id)
    sequence = row.sequence if row is not None and row.sequence is not None else 2**63
    return (entry.at, sequence, entry.adjustment_id)


def entry_of(entry: RemoteAdjustment, known: Any) -> Entry:
    """An adjustment of the log, with what is kept of it: who made it, and whether it is accounted for."""
    author: Author | None = entry.author
    if author is None and known is not None:
        author = known.author
    return Entry(
        adjustment_id=entry.adjustment_id,
        quantity=entry.quantity,
        author=author,
        by_reservation=entry.reservation is not None,
        claimed=known is not None and (known.operation_id is not None or _stands(known)),
        at=entry.at,
    )


def _stands(known: Any) -> bool:
    """Ours, and a person has said that no operation needs to claim it."""
    return known.author is Author.OURS and not known.open_claim


def anchor_positions(held: Any, ordered: Sequence[RemoteAdjustment]) -> Sequence[int]:
    """Where in the log the anchor may stand: right after its adjustment; when it was only a read, anywhere, but not
    behind what happened later.

    What happened in one instant may have been ordered in another way when the anchor was taken (the feed had not shown
    it yet), so the anchor may stand after any of that instant.
    """
    if held.anchor_at is None:
        return range(len(ordered) + 1)
    if not held.anchor_certain:
        latest = held.anchor_at + LOG_MARGIN
        return range(sum(entry.at <= latest for entry in ordered) + 1)
    anchor = next((entry for entry in ordered if entry.adjustment_id == held.anchor_adjustment), None)
    if anchor is None:
        # Its adjustment is older than what was read of the log: the anchor stands before all of it.
        return (0,)
    return [position for position, entry in enumerate(ordered, start=1) if entry.at == anchor.at]


def earliest_total(
    transaction: Transaction,
    listing_id: str,
    since: datetime,
    ordered: Sequence[RemoteAdjustment],
    known: Mapping[str, Any],
) -> tuple[int, Sequence[int]] | None:
    """The earliest running total known of a log that was read since then, and its place in it."""
    before = adjustments.total_before(transaction, listing_id, since)
    if before is not None:
        return before, (0,)
    for position, entry in enumerate(ordered, start=1):
        row = known.get(entry.adjustment_id)
        if row is not None and row.total_after is not None:
            return row.total_after, (position,)
    return None
