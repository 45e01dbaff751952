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
from worker.alerts import Anomalies, Kind
from worker.alerts.anomalies import fingerprint
from worker.holds import Holds
from worker.reconcile import adjustments, findings, repository
from worker.reconcile.by_number import (
    HELD_AGAINST_FOR,
    doubted_absence,
    judge_by_number,
    overtaken,
    suspected_late,
)
from worker.reconcile.evidence import Evidence as LogEvidence
from worker.reconcile.evidence import Verdict, contradicted, examine
from worker.reconcile.logs import (
    LATE_FOR,
    LOG_MARGIN,
    LogRead,
    anchor_positions,
    candidate_of,
    earliest_total,
    entry_of,
    has_moved,
    log_order,
    read_log,
)
from worker.store import Store, Transaction
from worker.store.tables import HoldReason, HoldScope, OperationState
from worker.store.totals import note_totals

log = structlog.get_logger(__name__)


PATIENT_LOOKS = 8
"""How many looks a log may fail to meet the total before operators are told: feeds and logs lag."""

LATE = (OperationState.PREPARED, OperationState.UNKNOWN, OperationState.ABSENT)
"""From where evidence or a late answer still makes an operation applied."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What one look at the log brought."""

    open_question: bool
    """Whether an operation of the listing is still unsettled."""
    listing: Listing
    """The fresh read that the look ended with."""


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
        adjustments.insert_claims(transaction, matches, now)
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
        self._anomalies.open_in(transaction, [findings.absent_revoked(row) for row in revoked])
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
        adjustments.remember_adjustments(
            transaction,
            [adjustments.adjustment_values(each, sequence=None, total_after=None, claimed=True) for each in made],
        )
        known = adjustments.known_adjustments(transaction, list(named))
        matches = {name: row.id for name, row in named.items() if known[name].operation_id is None}
        adjustments.insert_claims(transaction, matches, now)

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

        The log, the total, the log again: three calls, up to five where logs are not kept for so long; no transaction
        is open across them. Idempotent. Raises what the connector raises.
        """
        looked_at = self._clock.now()
        with self._store.read() as transaction:
            held = repository.facts_unlocked(transaction, listing_id)
        if not isinstance(self._marketplace, Ledger) or self._marketplace.evidence is Evidence.NONE:
            log_read, in_between = None, False
            listing = self._marketplace.listing(listing_id)
        else:
            with self._store.read() as transaction:
                candidates = repository.unclaimed(transaction, [listing_id]).get(listing_id, [])
                unclaimed_since = adjustments.oldest_open_claim(transaction, listing_id)
            since = min([held.anchor_at or held.first_seen_at, *(row.prepared_at for row in candidates)])
            since = min(since, unclaimed_since or since)
            log_read = read_log(self._marketplace, listing_id, since - LOG_MARGIN)
            listing = self._marketplace.listing(listing_id)
            # Where in the log an anchor stands may be known by the sums alone (it was only a read, or one of several
            # changes of one instant), and what happened between the log and the total can make a wrong place right:
            # that total must be this very log's.
            in_between = has_moved(self._marketplace, listing_id, log_read)
        with self._store.write() as transaction:
            open_question = self._judge(transaction, listing, log_read, held, looked_at, in_between=in_between)
        return Settled(open_question, listing)

    def _judge(
        self,
        transaction: Transaction,
        listing: Listing,
        log_read: LogRead | None,
        before: Any,
        looked_at: datetime,
        *,
        in_between: bool,
    ) -> bool:
        """Settle what can be; returns whether an operation is still unsettled. `before` is the row before the look,
        `looked_at` when it began, and `in_between` whether something was seen to happen between the log and the total.
        """
        listing_id = listing.listing_id
        held = repository.facts(transaction, [listing_id])[listing_id]
        open_operation = repository.unsettled(transaction, [listing_id]).get(listing_id)
        counted = listing.stock.kind is StockKind.COUNTED
        if log_read is None:
            repository.update_listings(transaction, [as_read(listing, doubted=False)])
            if not counted or self._marketplace.guard is not Guard.ABSOLUTE:
                return open_operation is not None
            return self._judge_by_number(transaction, listing, open_operation, looked_at)
        if counted and (held.anchor_adjustment, held.anchor_total) != (before.anchor_adjustment, before.anchor_total):
            # The feed moved the anchor while we looked, maybe beyond what we saw of the log: look again.
            repository.update_listings(transaction, [{"row": listing_id, "new_doubted": True}])
            return open_operation is not None
        known = adjustments.known_adjustments(transaction, [entry.adjustment_id for entry in log_read.entries])
        ordered = sorted(log_read.entries, key=lambda entry: log_order(entry, known))
        entries = [entry_of(entry, known.get(entry.adjustment_id)) for entry in ordered]
        operations = repository.unclaimed(transaction, [listing_id]).get(listing_id, [])
        relative = self._marketplace.guard is Guard.RELATIVE
        candidates = [candidate_of(row, relative=relative) for row in operations]
        if not counted:
            known_totals = {name: row.total_after for name, row in known.items() if row.total_after is not None}
            doubtful = contradicted(candidates, entries, known_totals)
            left_in_doubt = self._doubt_absent(transaction, listing_id, doubtful)
            repository.update_listings(transaction, [as_read(listing, doubted=left_in_doubt)])
            self._resolve(transaction, listing_id, "the listing has no number now")
            return bool(repository.unsettled(transaction, [listing_id]))
        if in_between and held.anchor_certain:
            # The log does not end where the total was read: nobody is told of that, it is read again.
            self._look_again(transaction, listing, held, waiting=open_operation is not None)
            return open_operation is not None
        anchor_total = listing.stock.total if held.anchor_total is None else held.anchor_total
        evidence = examine(anchor_total, anchor_positions(held, ordered), entries, candidates, listing.stock.total)
        if evidence.verdict is Verdict.OPEN and held.anchor_certain:
            # The feed carries the anchor along; should it hide a write of ours, the anchor is wrong ever since. The
            # earliest total known of what was read of the log is not: that begins before every open write.
            earliest = earliest_total(transaction, listing_id, log_read.since, ordered, known)
            if earliest is not None:
                evidence = examine(*earliest, entries, candidates, listing.stock.total)
        if in_between or evidence.verdict is Verdict.OPEN:
            self._log_does_not_meet(transaction, listing, held, ordered, waiting=open_operation is not None)
            return open_operation is not None
        self._remember(transaction, ordered, known, evidence)
        self.claim_in(transaction, {match.adjustment_id: match.operation_id for match in evidence.matches})
        self._believe_absent(transaction, evidence, operations, looked_at)
        self._hold_orphans(transaction, listing_id, evidence)
        left_in_doubt = self._doubt_absent(transaction, listing_id, evidence.doubtful)
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
        self._resolve(transaction, listing_id, "the log explains the total again")
        return bool(repository.unsettled(transaction, [listing_id]))

    def _judge_by_number(self, transaction: Transaction, listing: Listing, operation: Any, looked_at: datetime) -> bool:
        """Settle the unsettled operation, if there is one, by the number read; returns whether it still is open."""
        now = self._clock.now()
        total = listing.stock.total
        if operation is None:
            asked = repository.asked_since(transaction, listing.listing_id, now - LATE_FOR)
            since = repository.late_since(transaction, asked or now, LATE_FOR)
            writes = repository.stock_writes_since(transaction, listing.listing_id, since)
            doubted = doubted_absence(writes, total)
            if doubted is not None:
                why = "the number from before it is gone, after it had been taken for absent"
                self._ask_again(transaction, listing.listing_id, doubted, why)
                return True
            lately = repository.late_since(transaction, asked or now, HELD_AGAINST_FOR)
            reason = suspected_late(writes, total, lately=lately)
            if reason is not None:
                self._anomalies.open_in(transaction, [findings.unexplained_total(listing.listing_id, reason)])
            return False
        waited = looked_at - operation.prepared_at
        judged = judge_by_number(operation, total, waited=waited, settle_after=self._settle_after)
        if judged is None:
            return True
        state, outcome = judged
        repository.settle(
            transaction, [operation.id], state, now=now, from_states=(OperationState.UNKNOWN,), outcome=outcome
        )
        self.known_in(transaction, [listing.listing_id])
        return False

    def late_answers_in(self, transaction: Transaction, answered: Sequence[Any]) -> None:
        """These stock writes were answered after they had been given up. One that sets a number has undone whatever
        was written meanwhile, which is due again, and what was sold meanwhile, so that a person compares (P4).
        """
        if self._marketplace.guard is not Guard.ABSOLUTE:
            return
        now = self._clock.now()
        since = repository.late_since(transaction, now, LATE_FOR)
        for row in answered:
            writes = repository.stock_writes_since(transaction, row.listing_id, since)
            lost = overtaken(row, writes)
            if lost:
                repository.undo(transaction, lost, now=now, reason=f"overwritten by operation {row.id}")
                reason = f"operation {row.id} was answered late, and has overwritten what was written since"
                self._anomalies.open_in(transaction, [findings.unexplained_total(row.listing_id, reason)])

    def _log_does_not_meet(
        self,
        transaction: Transaction,
        listing: Listing,
        held: Any,
        ordered: Sequence[RemoteAdjustment],
        *,
        waiting: bool,
    ) -> None:
        """The anchor plus the log is not the total now (`waiting` as below).

        An anchor that was only ever a read may have been wrong (search indexes lag): take the total just read as the
        anchor and look again later. A certain anchor cannot: an adjustment is missing, so wait, and say so.
        """
        if held.anchor_certain:
            anchor = f"the log from {held.anchor_total} does not lead to the total of {listing.stock.total} read now"
            log.warning("log_does_not_meet_total", listing_id=listing.listing_id, reason=anchor)
            if held.attempts >= PATIENT_LOOKS:
                self._anomalies.open_in(transaction, [findings.unexplained_total(listing.listing_id, anchor)])
            self._look_again(transaction, listing, held, waiting=waiting)
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

    @staticmethod
    def _look_again(transaction: Transaction, listing: Listing, held: Any, *, waiting: bool) -> None:
        """Nothing is concluded yet. `waiting` for an outcome, whoever waits counts the looks."""
        looks = {} if waiting else {"new_attempts": held.attempts + 1}
        repository.update_listings(transaction, [as_read(listing, doubted=True) | looks])

    def _remember(
        self,
        transaction: Transaction,
        ordered: Sequence[RemoteAdjustment],
        known: Mapping[str, Any],
        evidence: LogEvidence,
    ) -> None:
        """Keep what the log showed and the feed has not: the feed will not count it a second time. Running totals that
        the feed counted past a write that it does not show are put right.
        """
        totals = evidence.totals_after
        adjustments.learn_adjustments(
            transaction,
            [
                {"row": name, "new_total_after": totals[name]}
                for name, row in known.items()
                if name in totals and row.total_after != totals[name]
            ],
        )
        adjustments.remember_adjustments(
            transaction,
            [
                adjustments.adjustment_values(
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

    def _doubt_absent(self, transaction: Transaction, listing_id: str, doubtful: Sequence[int]) -> bool:
        """An absence that an adjustment without an author contradicts: its outcome is unknown again, and a person is
        asked, because the log never will tell. Returns whether one must wait, because another write is unsettled.
        """
        for operation in doubtful:
            if repository.unsettled(transaction, [listing_id]):
                return True
            why = "an adjustment without an author fits it, after it had been taken for absent"
            self._ask_again(transaction, listing_id, operation, why)
        return False

    def _ask_again(self, transaction: Transaction, listing_id: str, operation: int, why: str) -> None:
        """The outcome of a write that was taken for absent is unknown again, and a person is asked."""
        reopened = repository.settle(
            transaction,
            [operation],
            OperationState.UNKNOWN,
            now=self._clock.now(),
            from_states=(OperationState.ABSENT,),
            outcome=why,
        )
        rows = repository.unsettled(transaction, [row.listing_id for row in reopened])
        self._anomalies.open_in(transaction, [findings.outcome_unknown(listing_id, row) for row in rows.values()])

    def _hold_orphans(self, transaction: Transaction, listing_id: str, evidence: LogEvidence) -> None:
        if not evidence.orphans:
            return
        if self._holds.active_in(transaction).has(HoldReason.RESTORED, HoldScope.LISTING, listing_id):
            # Written by us before the database was restored, it seems: recovery makes up its account.
            return
        for adjustment in evidence.orphans:
            note = f"adjustment {adjustment} is ours and fits no operation"
            self._holds.place_in(transaction, HoldReason.ORPHAN, HoldScope.LISTING, listing_id, note)
            self._anomalies.open_in(transaction, [findings.orphan(listing_id, adjustment)])

    def _resolve(self, transaction: Transaction, listing_id: str, why: str) -> None:
        self._anomalies.resolve_in(
            transaction,
            [fingerprint(kind, listing_id=listing_id) for kind in (Kind.UNEXPLAINED_TOTAL, Kind.UNREADABLE_CHANGE)],
            why,
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
