"""Settling: what became of a write whose answer was lost, by the marketplace's own records (P4).

Two ways lead here. The *feed* shows an own adjustment: if it fits an operation in the running totals, that is positive
evidence and settles at once. Otherwise the listing's *log* is read, then its total, and `evidence.examine` judges both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import Author, Evidence, Guard, Ledger, Listing, Marketplace, RemoteAdjustment, StockKind
from connectors.errors import CursorTooOld
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.holds import Holds
from worker.reconcile import repository
from worker.reconcile.evidence import Candidate, Entry, Verdict, examine
from worker.reconcile.evidence import Evidence as LogEvidence
from worker.reconcile.findings import outcome_unknown
from worker.store import Store, Transaction
from worker.store.tables import HoldReason, HoldScope, OperationKind, OperationState
from worker.store.totals import note_totals

log = structlog.get_logger(__name__)

LOG_MARGIN = timedelta(minutes=2)
"""How much further back than the oldest open question the log is read, for clocks that disagree."""

PATIENT_LOOKS = 8
"""How many looks a log may fail to meet the total before operators are told: feeds and logs lag."""

LATE = (OperationState.PREPARED, OperationState.UNKNOWN, OperationState.ABSENT)
"""From where evidence or a late answer still makes an operation applied."""

LATE_FOR = timedelta(days=1)
"""How long after its preparation a write that was taken for absent is thought able to be executed yet, where only a
look at the log would show it. Evidence that shows it later counts all the same.
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """What one look at the log brought."""

    open_question: bool
    """Whether an operation of the listing is still unsettled."""
    listing: Listing
    """The fresh read that the look ended with."""


@dataclass(frozen=True, slots=True)
class _LogRead:
    """A listing's log, as far as it was read."""

    since: datetime
    entries: Sequence[RemoteAdjustment]


class Settler:
    """Reads evidence and draws its consequences."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        marketplace: Marketplace,
        anomalies: Anomalies,
        holds: Holds,
        *,
        settle_after: timedelta,
    ) -> None:
        self._store = store
        self._clock = clock
        self._marketplace = marketplace
        self._anomalies = anomalies
        self._holds = holds
        self._settle_after = settle_after

    # --- consequences, inside the caller's transaction ------------------------------------------------------

    def claim_in(self, transaction: Transaction, matches: Mapping[str, int]) -> set[str]:
        """Claim adjustments for operations (adjustment id -> operation id); operations without an answer thereby become
        applied. Returns the listings of those, which are due again. Each adjustment and operation once, ever.
        """
        if not matches:
            return set()
        now = self._clock.now()
        repository.insert_claims(transaction, matches, now)
        operations = list(matches.values())
        revoked = repository.settle(
            transaction,
            operations,
            OperationState.APPLIED,
            now=now,
            from_states=(OperationState.ABSENT,),
            outcome="executed late: found in the log after it had been taken for absent",
        )
        found = repository.settle(
            transaction,
            operations,
            OperationState.APPLIED,
            now=now,
            from_states=(OperationState.PREPARED, OperationState.UNKNOWN),
            outcome="found in the log",
        )
        self._anomalies.open_in(transaction, [_revoked(row) for row in revoked])
        self.known_in(transaction, [row.listing_id for row in found])
        return {row.listing_id for row in (*revoked, *found)}

    def claim_answered_in(self, transaction: Transaction, answered: Sequence[tuple[Any, str | None]]) -> None:
        """Claim for each operation just answered the adjustment that its answer named, where it named one."""
        now = self._clock.now()
        named = {name: row for row, name in answered if name is not None}
        if not named:
            return
        made = [
            RemoteAdjustment(name, row.listing_id, now, row.new_total - row.expected_total, Author.OURS)
            for name, row in named.items()
        ]
        repository.remember_adjustments(
            transaction,
            [repository.adjustment_values(each, sequence=None, total_after=None, claimed=True) for each in made],
        )
        known = repository.known_adjustments(transaction, list(named))
        matches = {name: row.id for name, row in named.items() if known[name].operation_id is None}
        repository.insert_claims(transaction, matches, now)

    def known_in(self, transaction: Transaction, listing_ids: Sequence[str]) -> None:
        """The outcome of an operation of these listings is not unknown any more."""
        self._anomalies.resolve_in(
            transaction,
            [fingerprint(Kind.OUTCOME_UNKNOWN, listing_id=listing_id) for listing_id in listing_ids],
            "its outcome is known",
        )

    def late_answer_in(self, transaction: Transaction, operation_id: int) -> bool:
        """The marketplace answered that this operation was executed: carry it out, once. Returns whether this did."""
        return bool(
            repository.settle(
                transaction,
                [operation_id],
                OperationState.APPLIED,
                now=self._clock.now(),
                from_states=LATE,
                answered=True,
            )
        )

    # --- the look at one listing's log ------------------------------------------------------------------------

    def look(self, listing_id: str) -> Settled:
        """Read the log and the total of one listing, and settle what they settle.

        Up to three calls; no transaction is open across them. Idempotent. Raises what the connector raises.
        """
        looked_at = self._clock.now()
        with self._store.read() as transaction:
            held = repository.facts_unlocked(transaction, listing_id)
        log_read = None
        if isinstance(self._marketplace, Ledger) and self._marketplace.evidence is not Evidence.NONE:
            with self._store.read() as transaction:
                candidates = repository.unclaimed(transaction, [listing_id]).get(listing_id, [])
                unclaimed_since = repository.oldest_open_claim(transaction, listing_id)
            since = min([held.anchor_at or held.first_seen_at, *(row.prepared_at for row in candidates)])
            since = min(since, unclaimed_since or since)
            log_read = self._read_log(self._marketplace, listing_id, since - LOG_MARGIN)
        listing = self._marketplace.listing(listing_id)
        with self._store.write() as transaction:
            open_question = self._judge(transaction, listing, log_read, held, looked_at)
        return Settled(open_question, listing)

    def _read_log(self, ledger: Ledger, listing_id: str, since: datetime) -> _LogRead:
        """The log since then; of a listing that has been still for longer than logs are kept, what is left of it. If
        something is missing from that, it will not lead from the anchor to the total, and nothing is concluded.
        """
        try:
            return _LogRead(since, ledger.adjustments(listing_id, since=since))
        except CursorTooOld as error:
            if error.kept_since is None:
                raise
            # A little later than that: it moves on while we ask.
            kept_since = error.kept_since + LOG_MARGIN
            return _LogRead(kept_since, ledger.adjustments(listing_id, since=kept_since))

    def _judge(
        self,
        transaction: Transaction,
        listing: Listing,
        log_read: _LogRead | None,
        before: Any,
        looked_at: datetime,
    ) -> bool:
        """Settle what can be; returns whether an operation is still unsettled. `before` is the row before the look, and
        `looked_at` when it began.
        """
        listing_id = listing.listing_id
        held = repository.facts(transaction, [listing_id])[listing_id]
        open_operation = repository.unsettled(transaction, [listing_id]).get(listing_id)
        counted = listing.stock.kind is StockKind.COUNTED
        if log_read is None or not counted:
            repository.update_listings(transaction, [as_read(listing, doubted=False)])
            if not counted or self._marketplace.guard is not Guard.ABSOLUTE:
                return open_operation is not None
            return self._judge_by_number(transaction, listing, open_operation, looked_at)
        if (held.anchor_adjustment, held.anchor_total) != (before.anchor_adjustment, before.anchor_total):
            # The feed moved the anchor while we looked, maybe beyond what we saw of the log: look again.
            repository.update_listings(transaction, [{"row": listing_id, "new_doubted": True}])
            return open_operation is not None
        known = repository.known_adjustments(transaction, [entry.adjustment_id for entry in log_read.entries])
        ordered = sorted(log_read.entries, key=lambda entry: _log_order(entry, known))
        entries = [_entry(entry, known.get(entry.adjustment_id)) for entry in ordered]
        operations = repository.unclaimed(transaction, [listing_id]).get(listing_id, [])
        relative = self._marketplace.guard is Guard.RELATIVE
        candidates = [candidate_of(row, relative=relative) for row in operations]
        anchor_total = listing.stock.total if held.anchor_total is None else held.anchor_total
        evidence = examine(anchor_total, _anchor_positions(held, ordered), entries, candidates, listing.stock.total)
        if evidence.verdict is Verdict.OPEN and held.anchor_certain:
            # The feed carries the anchor along; should it hide a write of ours, the anchor is wrong ever since. The
            # earliest total known of what was read of the log is not: that begins before every open write.
            earliest = _earliest_total(transaction, listing_id, log_read.since, ordered, known)
            if earliest is not None:
                evidence = examine(*earliest, entries, candidates, listing.stock.total)
        if evidence.verdict is Verdict.OPEN:
            self._log_does_not_meet(transaction, listing, held, ordered, waiting=open_operation is not None)
            return open_operation is not None
        self._remember(transaction, ordered, known, evidence)
        self.claim_in(transaction, {match.adjustment_id: match.operation_id for match in evidence.matches})
        self._believe_absent(transaction, evidence, operations, looked_at)
        self._hold_orphans(transaction, listing_id, evidence)
        left_in_doubt = self._doubt_absent(transaction, listing_id, evidence)
        repository.update_listings(
            transaction,
            [
                {
                    **as_read(listing, doubted=left_in_doubt),
                    "new_anchor_total": listing.stock.total,
                    "new_anchor_adjustment": ordered[-1].adjustment_id if ordered else held.anchor_adjustment,
                    "new_anchor_at": ordered[-1].at if ordered else held.anchor_at,
                    "new_anchor_certain": True,
                    "new_attempts": held.attempts if evidence.verdict is Verdict.UNATTRIBUTED else 0,
                }
            ],
        )
        note_totals(transaction, [listing_id], self._clock.now())
        self._resolve(transaction, listing_id)
        return bool(repository.unsettled(transaction, [listing_id]))

    def _judge_by_number(self, transaction: Transaction, listing: Listing, operation: Any, looked_at: datetime) -> bool:
        """Where a write sets a number and nothing else tells of it: the number that it set is there, or the one from
        before, long enough after sending. Everything else is for a person. Returns whether it is still unsettled.
        """
        total = listing.stock.total
        if operation is None:
            self._suspect_late(transaction, listing)
            return False
        if operation.kind is not OperationKind.STOCK or operation.state is not OperationState.UNKNOWN:
            return True
        if total == operation.new_total:
            state, outcome = OperationState.APPLIED, "its number is there, though a sale of that size looks alike"
        elif total == operation.expected_total and looked_at - operation.prepared_at >= self._settle_after:
            state, outcome = OperationState.ABSENT, "the number from before it is there"
        else:
            return True
        repository.settle(
            transaction,
            [operation.id],
            state,
            now=self._clock.now(),
            from_states=(OperationState.UNKNOWN,),
            outcome=outcome,
        )
        self.known_in(transaction, [listing.listing_id])
        return False

    def _suspect_late(self, transaction: Transaction, listing: Listing) -> None:
        """Not the number of our last write there, but the very one of an earlier that was taken for absent: executed
        late, it put back what was taken since. Nothing can tell, so a person is asked.
        """
        writes = repository.stock_writes_since(transaction, listing.listing_id, self._clock.now() - LATE_FOR)
        total = listing.stock.total
        last = next((row for row in writes if row.state is OperationState.APPLIED), None)
        if last is None or last.new_total == total:
            return
        for row in writes:
            if row.state is OperationState.ABSENT and row.new_total == total and row.id < last.id:
                reason = f"{total} is there, not {last.new_total}: the number of operation {row.id}, taken for absent"
                self._anomalies.open_in(transaction, [_unexplained(listing.listing_id, reason)])
                return

    def _log_does_not_meet(
        self,
        transaction: Transaction,
        listing: Listing,
        held: Any,
        ordered: Sequence[RemoteAdjustment],
        *,
        waiting: bool,
    ) -> None:
        """The anchor plus the log is not the total now. `waiting` for an outcome, whoever waits counts the looks.

        An anchor that was only ever a read may have been wrong (search indexes lag): take the total just read as the
        anchor and look again later. A certain anchor cannot: an adjustment is missing, so wait, and say so.
        """
        if held.anchor_certain:
            anchor = f"the log from {held.anchor_total} does not lead to the total of {listing.stock.total} read now"
            log.warning("log_does_not_meet_total", listing_id=listing.listing_id, reason=anchor)
            if held.attempts >= PATIENT_LOOKS:
                self._anomalies.open_in(transaction, [_unexplained(listing.listing_id, anchor)])
            looks = {} if waiting else {"new_attempts": held.attempts + 1}
            repository.update_listings(transaction, [as_read(listing, doubted=True) | looks])
            return
        repository.update_listings(
            transaction,
            [
                {
                    **as_read(listing, doubted=True),
                    "new_anchor_total": listing.stock.total,
                    "new_anchor_adjustment": ordered[-1].adjustment_id if ordered else None,
                    "new_anchor_at": ordered[-1].at if ordered else self._clock.now(),
                }
            ],
        )

    def _remember(
        self,
        transaction: Transaction,
        ordered: Sequence[RemoteAdjustment],
        known: Mapping[str, Any],
        evidence: LogEvidence,
    ) -> None:
        """Keep what the log showed and the feed has not: the feed will not count it a second time."""
        totals = evidence.totals_after
        repository.learn_adjustments(
            transaction,
            [
                {"row": name, "new_total_after": totals[name]}
                for name, row in known.items()
                if row.total_after is None and name in totals
            ],
        )
        repository.remember_adjustments(
            transaction,
            [
                repository.adjustment_values(
                    entry, sequence=None, total_after=totals[entry.adjustment_id], claimed=False
                )
                for entry in ordered
                if entry.adjustment_id not in known
            ],
        )

    def _believe_absent(
        self, transaction: Transaction, evidence: LogEvidence, operations: Sequence[Any], looked_at: datetime
    ) -> None:
        """Closed evidence without a trace, read long enough after sending: it was not executed, so far as can be known.

        What counts is when the log was read, not now: its reader may have slept, and the write been sent since.
        """
        now = self._clock.now()
        old_enough = {row.id for row in operations if looked_at - row.prepared_at >= self._settle_after}
        absent = repository.settle(
            transaction,
            [operation for operation in evidence.without_trace if operation in old_enough],
            OperationState.ABSENT,
            now=now,
            from_states=(OperationState.UNKNOWN,),
            outcome="the log is complete and has no trace of it",
        )
        self.known_in(transaction, [row.listing_id for row in absent])

    def _doubt_absent(self, transaction: Transaction, listing_id: str, evidence: LogEvidence) -> bool:
        """An absence that an adjustment without an author contradicts: its outcome is unknown again, and a person is
        asked, because the log never will tell. Returns whether one must wait, because another write is unsettled.
        """
        for operation in evidence.doubtful:
            if repository.unsettled(transaction, [listing_id]):
                return True
            reopened = repository.settle(
                transaction,
                [operation],
                OperationState.UNKNOWN,
                now=self._clock.now(),
                from_states=(OperationState.ABSENT,),
                outcome="an adjustment without an author fits it, after it had been taken for absent",
            )
            rows = repository.unsettled(transaction, [row.listing_id for row in reopened])
            self._anomalies.open_in(transaction, [outcome_unknown(listing_id, row) for row in rows.values()])
        return False

    def _hold_orphans(self, transaction: Transaction, listing_id: str, evidence: LogEvidence) -> None:
        if not evidence.orphans:
            return
        if self._holds.active_in(transaction).has(HoldReason.RESTORED, HoldScope.LISTING, listing_id):
            # Written by us before the database was restored, it seems: recovery makes up its account.
            return
        for adjustment in evidence.orphans:
            note = f"adjustment {adjustment} is ours and fits no operation"
            self._holds.place_in(transaction, HoldReason.ORPHAN, HoldScope.LISTING, listing_id, note)
            self._anomalies.open_in(transaction, [_orphan(listing_id, adjustment)])

    def _resolve(self, transaction: Transaction, listing_id: str) -> None:
        self._anomalies.resolve_in(
            transaction,
            [fingerprint(kind, listing_id=listing_id) for kind in (Kind.UNEXPLAINED_TOTAL, Kind.UNREADABLE_CHANGE)],
            "the log explains the total again",
        )


def as_read(listing: Listing, *, doubted: bool) -> dict[str, Any]:
    """Columns of a listing after a fresh read of it."""
    counted = listing.stock.kind is StockKind.COUNTED
    return {
        "row": listing.listing_id,
        "new_total": listing.stock.total if counted else None,
        "new_stock_kind": listing.stock.kind,
        "new_state": listing.state,
        "new_doubted": doubted,
    }


def candidate_of(row: Any, *, relative: bool = False) -> Candidate:
    """An operation's row as the examination of evidence needs it. A person's word that it was executed is an answer."""
    decided = (row.outcome or "").startswith(repository.DECIDED_BY)
    return Candidate(
        row.id,
        row.expected_total,
        row.new_total,
        answered=row.answered or (decided and row.state is OperationState.APPLIED),
        waiting=row.state is OperationState.PREPARED,
        absent=row.state is OperationState.ABSENT,
        decided=decided,
        executed_within=(row.prepared_at - LOG_MARGIN, row.prepared_at + LATE_FOR) if relative else None,
    )


def _log_order(entry: RemoteAdjustment, known: Mapping[str, Any]) -> tuple[datetime, int, str]:
    """Entries of one instant stand in the order of the feed, where the feed has shown them."""
    row = known.get(entry.adjustment_id)
    sequence = row.sequence if row is not None and row.sequence is not None else 2**63
    return (entry.at, sequence, entry.adjustment_id)


def _entry(entry: RemoteAdjustment, known: Any) -> Entry:
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


def _anchor_positions(held: Any, ordered: Sequence[RemoteAdjustment]) -> Sequence[int]:
    """Where in the log the anchor may stand: right after its adjustment, or anywhere when it was only a read.

    What happened in one instant may have been ordered in another way when the anchor was taken (the feed had not shown
    it yet), so the anchor may stand after any of that instant.
    """
    if not held.anchor_certain or held.anchor_at is None:
        return range(len(ordered) + 1)
    anchor = next((entry for entry in ordered if entry.adjustment_id == held.anchor_adjustment), None)
    if anchor is None:
        # Its adjustment is older than what was read of the log: the anchor stands before all of it.
        return (0,)
    return [position for position, entry in enumerate(ordered, start=1) if entry.at == anchor.at]


def _earliest_total(
    transaction: Transaction,
    listing_id: str,
    since: datetime,
    ordered: Sequence[RemoteAdjustment],
    known: Mapping[str, Any],
) -> tuple[int, Sequence[int]] | None:
    """The earliest running total known of a log that was read since then, and its place in it."""
    before = repository.total_before(transaction, listing_id, since)
    if before is not None:
        return before, (0,)
    for position, entry in enumerate(ordered, start=1):
        row = known.get(entry.adjustment_id)
        if row is not None and row.total_after is not None:
            return row.total_after, (position,)
    return None


def _revoked(row: Any) -> Finding:
    return Finding(
        Kind.ABSENT_REVOKED,
        f"A write to listing {row.listing_id} ({row.expected_total} to {row.new_total}) that had been taken for absent"
        " was executed late. It counts now, and the surplus is given back by itself.",
        listing_id=row.listing_id,
        detail={"operation": row.id},
    )


def _orphan(listing_id: str, adjustment: str) -> Finding:
    return Finding(
        Kind.ORPHAN,
        f"Adjustment {adjustment} of listing {listing_id} was made with our credentials, but no operation of ours fits"
        " it. Nothing is written to this listing until a person has looked: is another program using these"
        f" credentials, or was the database restored? Then `trueup holds lift listing {listing_id}`.",
        listing_id=listing_id,
        key=adjustment,
        detail={"adjustment": adjustment},
    )


def _unexplained(listing_id: str, reason: str) -> Finding:
    return Finding(
        Kind.UNEXPLAINED_TOTAL,
        f"The stock of listing {listing_id} cannot be explained: {reason}. trueup goes on looking; compare with the"
        " marketplace's own history.",
        listing_id=listing_id,
        detail={"reason": reason},
    )
