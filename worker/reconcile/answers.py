"""What the marketplace answered is written down: applied, not executed, or unknown; and when each is tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from connectors.clock import Clock
from connectors.contract import Adjusted, StockKind
from connectors.errors import (
    ConnectorError,
    InsufficientStock,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    StockMismatch,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from worker.alerts import Anomalies
from worker.reconcile import findings, repository
from worker.reconcile.planning import Item, Planner, Record
from worker.reconcile.settle import Settler
from worker.store import AnyRow, StorageUnavailable, Store, Transaction
from worker.store.tables import OperationState

log = structlog.get_logger(__name__)

REJECTED_AGAIN_AFTER = timedelta(minutes=15)
FIRST_BACKOFF_SECONDS = 2.0
LONGEST_BACKOFF = timedelta(minutes=5)
NOT_SENT = ("lease", "resting")
"""Codes of failures that say nothing about the listing: nobody was called."""


@dataclass(slots=True)
class Counts:
    """What this process has done since it started."""

    sent: int = 0
    applied: int = 0
    mismatches: int = 0
    unknown: int = 0
    reads: int = 0
    looks: int = 0


class Answers:
    """Records what a round of calls brought. Recording is conditional on the operation's state, so it may come late."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settler: Settler,
        anomalies: Anomalies,
        planner: Planner,
        counts: Counts,
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._clock = clock
        self._settler = settler
        self._anomalies = anomalies
        self._planner = planner
        self.counts = counts
        self._jitter = jitter

    def record(self, items: Sequence[Item], answers: Sequence[tuple[Item, Adjusted | Exception]]) -> None:
        """Write the answers of one round down."""
        applied = [(item, answer) for item, answer in answers if isinstance(answer, Adjusted)]
        failed = [(item, answer) for item, answer in answers if isinstance(answer, Exception)]
        record = Record()
        with self._store.write() as transaction:
            repository.facts(transaction, [item.listing_id for item in items])
            self._record_applied(transaction, applied, record)
            for item, error in failed:
                self._record_failure(transaction, item, error, record)
            self._planner.write(transaction, record)
        for item, error in failed:
            self._after_failure(item, error)

    def _record_applied(
        self, transaction: Transaction, applied: Sequence[tuple[Item, Adjusted]], record: Record
    ) -> None:
        operations = [item.operation_id for item, _ in applied if item.operation_id is not None]
        ended = self._end(transaction, operations, OperationState.APPLIED, record, answered=True)
        self.counts.applied += len(ended)
        named = {item.operation_id: answer.adjustment_id for item, answer in applied}
        self._settler.claim_answered_in(transaction, [(row, named[row.id]) for row in ended])
        in_time = {row.id for row in ended if row.listing_id not in record.known}
        for item, answer in applied:
            record.listing(item.listing_id, total=answer.total, attempts=0, stock_kind=StockKind.COUNTED)
            if item.operation_id in in_time:
                assert item.plan is not None  # noqa: S101  only planned items are sent
                self._planner.conclude(item, item.plan, record)
            else:
                # Others have gone on from there while this one stood still: what its plan left open is theirs to tell.
                item.done, item.again_at = True, self._clock.now()

    def _end(
        self,
        transaction: Transaction,
        operations: Sequence[int],
        state: OperationState,
        record: Record,
        *,
        answered: bool = False,
        outcome: str | None = None,
    ) -> Sequence[AnyRow]:
        """Settle operations by their answers; returns those that this settled. Others may have found them unknown, or
        absent, while the one who sent them stood still.
        """
        ended: list[AnyRow] = []
        others = (OperationState.UNKNOWN, OperationState.ABSENT) if answered else (OperationState.UNKNOWN,)
        for from_states in ((OperationState.PREPARED,), others):
            if len(ended) == len(operations):
                break
            settled = repository.settle(
                transaction,
                operations,
                state,
                now=self._clock.now(),
                from_states=from_states,
                answered=answered,
                outcome=outcome,
            )
            ended += settled
            if from_states is others:
                record.known += [row.listing_id for row in settled]
                for row in settled:
                    # What was planned meanwhile knew nothing of it, and where there is no feed nobody else would tell.
                    record.listing(row.listing_id, next_attempt_at=self._clock.now())
                if answered:
                    self._settler.late_answers_in(transaction, settled)
        return ended

    def _record_failure(self, transaction: Transaction, item: Item, error: Exception, record: Record) -> None:
        """An operation that was not executed is rejected; one that may have been is unknown."""
        assert item.operation_id is not None  # noqa: S101  only prepared items are sent
        certain = isinstance(error, ConnectorError) and not isinstance(error, OutcomeUnknown)
        now = self._clock.now()
        if certain:
            self._end(transaction, [item.operation_id], OperationState.REJECTED, record, outcome=_outcome(error))
        else:
            repository.settle(
                transaction,
                [item.operation_id],
                OperationState.UNKNOWN,
                now=now,
                from_states=(OperationState.PREPARED, OperationState.UNKNOWN),
                outcome=_outcome(error),
            )
        if not certain:
            self.counts.unknown += 1
            item.done, item.again_at = True, now + timedelta(seconds=FIRST_BACKOFF_SECONDS)
            record.listing(item.listing_id, attempts=0)
        elif isinstance(error, StockMismatch | InsufficientStock):
            self.counts.mismatches += 1
            item.read = True
        elif isinstance(error, NotFound):
            item.read = True
        elif isinstance(error, Rejected):
            item.done, item.again_at = True, now + REJECTED_AGAIN_AFTER
            record.findings.append(findings.write_rejected(item.listing_id, str(error)))
        item.fresh = None

    def _after_failure(self, item: Item, error: Exception) -> None:
        if isinstance(error, Unauthorized | RateLimited | Unavailable):
            self.call_failed(item, error)
        elif not isinstance(error, ConnectorError):
            log.error("adjust_failed_unexpectedly", listing_id=item.listing_id, exc_info=error)

    def call_failed(self, item: Item, error: Exception) -> None:
        """A call that was not executed, or a read that brought nothing: wait."""
        now = self._clock.now()
        if isinstance(error, NotFound):
            item.gone = True
            return
        item.done = True
        item.again_at = now + self.backoff(0)
        if isinstance(error, RateLimited):
            if error.retry_after_seconds is not None:
                item.again_at = max(item.again_at, now + timedelta(seconds=error.retry_after_seconds))
        elif isinstance(error, Unavailable):
            # The breaker decides when the marketplace is called again; one listing that alone gets no answer must not
            # be the one that tries it every time.
            item.again_at = now + self.backoff(item.attempts)
            item.unanswered = error.code not in NOT_SENT
        elif isinstance(error, Unreadable):
            item.again_at = now + REJECTED_AGAIN_AFTER
            self._anomalies.open(findings.unreadable_listing(item.listing_id, str(error)))
        elif isinstance(error, Unauthorized):
            log.warning("reconcile_stopped", listing_id=item.listing_id, error=str(error))
        elif isinstance(error, ConnectorError | StorageUnavailable):
            log.warning("reconcile_postponed", listing_id=item.listing_id, error=str(error))
        else:
            log.error("reconcile_failed_unexpectedly", listing_id=item.listing_id, exc_info=error)

    def backoff(self, attempts: int) -> timedelta:
        """Doubling with jitter: between half and the whole of 2, 4, 8, ... seconds, at most five minutes."""
        seconds = FIRST_BACKOFF_SECONDS * 2.0 ** min(attempts, 10) * (0.5 + self._jitter() / 2)
        return min(LONGEST_BACKOFF, timedelta(seconds=seconds))


def _outcome(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
