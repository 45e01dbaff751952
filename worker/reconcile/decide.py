"""What only a person can decide: an outcome that nothing else can tell (P4), and whose number is the true one.

Where the marketplace offers no evidence, or not the missing piece of it, trueup waits and says so; this is the way on.
Only an *unknown* operation can be decided, once, and the journal keeps by whom and why. Either way the listing's total
is doubted, so the next pass reads the log or the listing before it writes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog

from connectors.clock import Clock
from worker.alerts import Anomalies, Kind
from worker.alerts.anomalies import fingerprint
from worker.reconcile import repository
from worker.reconcile.findings import RESOLVED_WHEN_COMPLETE
from worker.store import Store, Transaction
from worker.store.tables import JournalKind, OperationKind, OperationState, WaiveReason

log = structlog.get_logger(__name__)

Decision = Literal["applied", "absent"]


class DecisionRefusedError(Exception):
    """This operation is not for a person to decide; nothing was changed. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class OperationView:
    """One operation, for people and programs."""

    id: int
    listing_id: str
    kind: OperationKind
    state: OperationState
    expected_total: int
    new_total: int
    prepared_at: datetime
    settled_at: datetime | None
    outcome: str | None


class Decisions:
    """Unsettled operations, and people's decisions about them."""

    def __init__(self, store: Store, clock: Clock, anomalies: Anomalies) -> None:
        self._store = store
        self._clock = clock
        self._anomalies = anomalies

    def list(
        self, *, unsettled_only: bool = True, listing_id: str | None = None, limit: int = 100
    ) -> Sequence[OperationView]:
        """Newest first."""
        with self._store.read() as transaction:
            rows = repository.listed_operations(
                transaction, unsettled_only=unsettled_only, listing_id=listing_id, limit=limit
            )
            return [OperationView(*row) for row in rows]

    def get(self, operation_id: int) -> OperationView | None:
        """One operation; None when there is none of this id."""
        with self._store.read() as transaction:
            row = repository.operation(transaction, operation_id)
            return None if row is None else OperationView(*row)

    def settle(self, operation_id: int, decision: Decision, *, by: str, reason: str) -> OperationView:
        """Settle an unknown operation as a person says. Raises `DecisionRefusedError` when it is not unknown."""
        with self._store.write() as transaction:
            return self.settle_in(transaction, operation_id, decision, by=by, reason=reason)

    def settle_in(
        self, transaction: Transaction, operation_id: int, decision: Decision, *, by: str, reason: str
    ) -> OperationView:
        """`settle`, inside the caller's transaction."""
        now = self._clock.now()
        held = self._held(transaction, operation_id)
        repository.facts(transaction, [held.listing_id])
        settled = repository.settle(
            transaction,
            [operation_id],
            OperationState(decision),
            now=now,
            from_states=(OperationState.UNKNOWN,),
            outcome=f"{repository.DECIDED_BY}{by}: {reason}",
        )
        if not settled:
            raise DecisionRefusedError(_why_not(self._held(transaction, operation_id)))
        note = f"operation {operation_id} settled as {decision} by {by}: {reason}"
        repository.write_journal(transaction, [_entry(held, now, note)])
        repository.update_listings(transaction, [_doubted(held, decision, now)])
        self._anomalies.resolve_in(
            transaction, [fingerprint(Kind.OUTCOME_UNKNOWN, listing_id=held.listing_id)], f"decided by {by}"
        )
        log.warning("operation_decided", operation=operation_id, decision=decision, by=by, reason=reason)
        return self._held(transaction, operation_id)

    def accept_total(self, listing_id: str, *, by: str, reason: str) -> int:
        """Let the marketplace's number stand: every pending unit of the listing is waived, and journalled as such.

        For when somebody typed in a counted stock while sales were pending, or settled an oversell with the buyers.
        Returns the units that are not taken any more (below zero: not given back). Later changes of the same order
        lines count again. Raises `DecisionRefusedError` while a write of the listing is unsettled.
        """
        with self._store.write() as transaction:
            return self.accept_total_in(transaction, listing_id, by=by, reason=reason)

    def accept_total_in(self, transaction: Transaction, listing_id: str, *, by: str, reason: str) -> int:
        """`accept_total`, inside the caller's transaction."""
        self._lock(transaction, listing_id)
        if open_one := repository.unsettled(transaction, [listing_id]).get(listing_id):
            message = f"Operation {open_one.id} on listing {listing_id} is not settled: settle it first, or wait."
            raise DecisionRefusedError(message)
        due = repository.due_pairs(transaction, [listing_id], ()).get(listing_id, [])
        units = {pair.id: pair.committed - pair.waived - pair.applied for pair in due}
        repository.move_units(transaction, "waived", [{"row": pair, "moved": moved} for pair, moved in units.items()])
        now = self._clock.now()
        note = f"the marketplace's number accepted by {by}: {reason}"
        repository.write_journal(
            transaction, [_waived(listing_id, pair, moved, now, note) for pair, moved in units.items()]
        )
        why = f"the marketplace's number was accepted by {by}"
        self._anomalies.resolve_in(
            transaction, [fingerprint(kind, listing_id=listing_id) for kind in RESOLVED_WHEN_COMPLETE], why
        )
        self._anomalies.resolve_on_listing_in(transaction, Kind.SALE_AT_RISK, listing_id, why)
        log.warning("total_accepted", listing_id=listing_id, units=sum(units.values()), by=by, reason=reason)
        return sum(units.values())

    def retry_in(self, transaction: Transaction, listing_id: str) -> None:
        """Look at this listing now instead of when its turn comes. Raises `DecisionRefusedError` for an unknown one."""
        self._lock(transaction, listing_id)
        now = self._clock.now()
        due = {"row": listing_id, "new_attempts": 0, "new_next_attempt_at": now, "new_next_upkeep_at": now}
        repository.update_listings(transaction, [due])

    @staticmethod
    def _lock(transaction: Transaction, listing_id: str) -> None:
        if listing_id not in repository.facts(transaction, [listing_id]):
            message = f"There is no listing {listing_id}. `trueup sweep` reads every listing of the marketplace."
            raise DecisionRefusedError(message)

    def _held(self, transaction: Transaction, operation_id: int) -> OperationView:
        row = repository.operation(transaction, operation_id)
        if row is None:
            message = f"There is no operation {operation_id}. `trueup operations list` shows those to decide."
            raise DecisionRefusedError(message)
        return OperationView(*row)


def _why_not(operation: OperationView) -> str:
    if operation.state is OperationState.PREPARED:
        return (
            f"Operation {operation.id} is being sent, or its sender has just stopped: wait until `trueup operations"
            " list` shows it as unknown."
        )
    return f"Operation {operation.id} is settled already: {operation.state.value}."


def _entry(operation: OperationView, now: datetime, note: str) -> dict[str, Any]:
    """Moves no unit by itself (settling as applied writes those entries): it keeps who decided, and why."""
    return {
        "at": now,
        "listing_id": operation.listing_id,
        "pair_id": None,
        "kind": JournalKind.APPLIED,
        "units": 0,
        "operation_id": operation.id,
        "reason": None,
        "note": note,
    }


def _waived(listing_id: str, pair_id: int, units: int, now: datetime, note: str) -> dict[str, Any]:
    return {
        "at": now,
        "listing_id": listing_id,
        "pair_id": pair_id,
        "kind": JournalKind.WAIVED,
        "units": units,
        "operation_id": None,
        "reason": WaiveReason.ACCEPTED,
        "note": note,
    }


def _doubted(operation: OperationView, decision: Decision, now: datetime) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "row": operation.listing_id,
        "new_doubted": True,
        "new_attempts": 0,
        "new_next_attempt_at": now,
    }
    if operation.kind is OperationKind.STOCK:
        return columns
    columns["new_next_upkeep_at"] = now
    if decision == "applied":
        # Only a listing that we closed may we open again.
        closed = operation.kind is OperationKind.CLOSE
        columns["new_closed_by_us_at"] = now if closed else None
        if closed:
            columns["new_close_done"] = True
    return columns
