"""Due listings become writes.

A pass leases a batch of due listings and takes them through rounds of: read what must be read, plan, write the intents
down in one commit (P3), send them side by side, record the answers in one commit. No transaction is open across a call.
A crash between any two steps leaves either no intent or an intent to settle; a lease that runs out while its holder
sleeps costs work, never a unit, because recording an answer is conditional on the operation's state.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog

from connectors.clock import Clock
from connectors.contract import Adjusted, Listing, Marketplace, StockKind
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
from worker.holds import Holds
from worker.holds.accounts import Accounts
from worker.reconcile import findings, repository
from worker.reconcile.planning import Item, Planner, Record
from worker.reconcile.repository import Intent
from worker.reconcile.settle import LATE_FOR, Settled, Settler
from worker.store import AnyRow, StorageUnavailable, Store, Transaction
from worker.store.tables import (
    HoldScope,
    OperationKind,
    OperationState,
)

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")

REJECTED_AGAIN_AFTER = timedelta(minutes=15)
FIRST_BACKOFF_SECONDS = 2.0
LONGEST_BACKOFF = timedelta(minutes=5)
NOT_SENT = ("lease", "resting")
"""Codes of failures that say nothing about the listing: nobody was called."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices that reconciling obeys."""

    settle_after: timedelta = timedelta(seconds=60)
    lease: timedelta = timedelta(seconds=60)
    batch_listings: int = 32
    write_attempts: int = 5


@dataclass(slots=True)
class Counts:
    """What this process has done since it started."""

    sent: int = 0
    applied: int = 0
    mismatches: int = 0
    unknown: int = 0
    reads: int = 0
    looks: int = 0


class Reconciler:
    """Reconciles due listings with the marketplace."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        marketplace: Marketplace,
        settler: Settler,
        anomalies: Anomalies,
        holds: Holds,
        accounts: Accounts,
        executor: Executor,
        policy: Policy,
        *,
        marketplace_name: str = "marketplace",
        jitter: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self._store = store
        self._clock = clock
        self._marketplace = marketplace
        self._settler = settler
        self._anomalies = anomalies
        self._holds = holds
        self._accounts = accounts
        self._executor = executor
        self._policy = policy
        self._name = marketplace_name
        self._jitter = jitter
        self._planner = Planner(clock, anomalies)
        self.counts = Counts()

    def drain(self) -> int:
        """One pass over one batch of due listings; returns how many there were.

        Safe to run several at once, in one process or many, and to repeat at any time.
        """
        owner = uuid.uuid4().hex[:16]
        with self._store.read() as transaction:
            nothing_due = not repository.any_due(transaction, self._clock.now())
            if nothing_due or self._holds.active_in(transaction).marketplace is not None:
                return 0
        granted = self._accounts.grant(HoldScope.MARKETPLACE, self._name, self._policy.batch_listings)
        items = self._lease(owner, granted) if granted else []
        if not items:
            return 0
        waiting = [item for item in items if not item.done]
        for _ in range(self._policy.write_attempts):
            self._consult(waiting)
            waiting = [item for item in waiting if not item.done]
            self._prepare(waiting, owner)
            sending = [item for item in waiting if item.operation_id is not None]
            if sending:
                self._record(sending, self._send(sending))
            waiting = [item for item in waiting if not item.done]
            if not waiting:
                break
        self._release(items, owner)
        return len(items)

    # --- lease ------------------------------------------------------------------------------------------------

    def _lease(self, owner: str, limit: int) -> list[Item]:
        now = self._clock.now()
        lease_until = now + self._policy.lease
        with self._store.write() as transaction:
            leased = repository.claim_due(
                transaction,
                owner=owner,
                now=now,
                lease_until=lease_until,
                limit=limit,
            )
            # Whoever prepared an operation and let the lease run out will not record its answer before we look.
            repository.doubt_prepared(transaction, leased)
            open_operations = repository.unsettled(transaction, leased)
            rows = repository.facts(transaction, leased)
        items = []
        for listing_id in leased:
            row = rows[listing_id]
            item = Item(
                listing_id,
                correlation_id=row.correlation_id or f"listing-{owner}",
                lease_until=lease_until,
                attempts=row.attempts,
            )
            operation = open_operations.get(listing_id)
            if operation is not None and operation.kind in (OperationKind.CLOSE, OperationKind.OPEN):
                item.done, item.again_at = True, now + timedelta(seconds=5)
            item.unsettled = operation is not None
            item.look = row.doubted or item.unsettled
            item.read = row.total is None or row.stock_kind is not StockKind.COUNTED
            items.append(item)
        return items

    def _release(self, items: Sequence[Item], owner: str) -> None:
        """Give the leases back, unless somebody else holds them by now."""
        now = self._clock.now()
        again_at = {
            # One that is not done met a mismatch in every round: somebody else is busy there.
            item.listing_id: item.again_at or (now if item.done else now + self._backoff(0))
            for item in items
        }
        with self._store.write() as transaction:
            unanswered = [item for item in items if item.unanswered]
            repository.update_listings(
                transaction, [{"row": item.listing_id, "new_attempts": item.attempts + 1} for item in unanswered]
            )
            repository.release(transaction, owner, again_at, leased_until=items[0].lease_until)

    # --- read -------------------------------------------------------------------------------------------------

    def _consult(self, items: Sequence[Item]) -> None:
        """Read what the next plan needs: the log where an outcome is open, the listing where a total is not known.

        Where a write that was taken for absent may have been executed since, the total alone would hide it.
        """
        reading = [item for item in items if item.read and not item.look]
        if reading:
            with self._store.read() as transaction:
                since = self._clock.now() - LATE_FOR
                late = repository.may_be_late(transaction, [item.listing_id for item in reading], since)
            for item in reading:
                item.look = item.listing_id in late
        looking = [item for item in items if item.look]
        reading = [item for item in reading if not item.look]
        for item, settled in self._side_by_side(self._look, looking):
            item.look = item.read = False
            self.counts.looks += 1
            if isinstance(settled, Settled):
                item.fresh = settled.listing
                item.unsettled = settled.open_question
            else:
                self._call_failed(item, settled)
            if item.unsettled:
                self._wait_for_evidence(item)
        for item, listing in self._side_by_side(self._read, reading):
            item.read = False
            self.counts.reads += 1
            if isinstance(listing, Listing):
                item.fresh = listing
            else:
                self._call_failed(item, listing)

    def _look(self, item: Item) -> Settled:
        with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
            return self._settler.look(item.listing_id)

    def _read(self, item: Item) -> Listing:
        with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
            return self._marketplace.listing(item.listing_id)

    def _wait_for_evidence(self, item: Item) -> None:
        """The outcome is still open, or its evidence cannot be read: look again, soon at first, and tell operators when
        it stays so.
        """
        with self._store.write() as transaction:
            row = repository.facts(transaction, [item.listing_id])[item.listing_id]
            operation = repository.unsettled(transaction, [item.listing_id]).get(item.listing_id)
            now = self._clock.now()
            repository.update_listings(transaction, [{"row": item.listing_id, "new_attempts": row.attempts + 1}])
            if operation is not None and now - operation.prepared_at > 5 * self._policy.settle_after:
                self._anomalies.open_in(transaction, [findings.outcome_unknown(item.listing_id, operation)])
        if not item.done:
            item.done = True
            item.again_at = now + self._backoff(row.attempts)

    def _side_by_side(self, call: Callable[[Item], R], items: Sequence[Item]) -> list[tuple[Item, R | Exception]]:
        """Make one call for each item, several at a time; an exception is an answer like any other."""

        def attempt(item: Item) -> R | Exception:
            try:
                return call(item)
            except Exception as error:  # noqa: BLE001  sorted by the caller
                return error

        if len(items) == 1:
            return [(items[0], attempt(items[0]))]
        return list(zip(items, self._executor.map(attempt, items), strict=True))

    # --- plan -------------------------------------------------------------------------------------------------

    def _prepare(self, items: Sequence[Item], owner: str) -> None:
        """Plan every item from what is known now, and write the intents down."""
        if not items:
            return
        record = Record()
        with self._store.write() as transaction:
            rows = repository.facts(transaction, [item.listing_id for item in items])
            holds = self._holds.active_in(transaction)
            due = repository.due_pairs(transaction, list(rows), holds.held_channels())
            intents: list[Intent] = []
            for item in items:
                item.operation_id, item.intent, item.plan = None, None, None
                row = rows[item.listing_id]
                if row.lease_owner != owner:
                    item.done = True
                else:
                    self._planner.plan_item(item, row, due.get(item.listing_id, []), holds, record)
                if item.intent is not None:
                    intents.append(item.intent)
            prepared = repository.prepare(transaction, intents, self._clock.now())
            for item in items:
                if item.intent is not None:
                    item.operation_id = prepared.get(item.listing_id)
                    if item.operation_id is None:
                        item.done, item.again_at = True, self._clock.now() + timedelta(seconds=1)
            self._planner.write(transaction, record)

    # --- send -------------------------------------------------------------------------------------------------

    def _send(self, items: Sequence[Item]) -> list[tuple[Item, Adjusted | Exception]]:
        self.counts.sent += len(items)
        return self._side_by_side(self._adjust, items)

    def _adjust(self, item: Item) -> Adjusted:
        intent = item.intent
        assert intent is not None  # noqa: S101  only items with an intent are sent
        if self._clock.now() >= item.lease_until:
            message = "the lease ran out before sending; nothing was sent"
            raise Unavailable(message, account=self._name, code="lease")
        with structlog.contextvars.bound_contextvars(
            correlation_id=item.correlation_id, listing_id=item.listing_id, operation=item.operation_id
        ):
            delta = intent.new_total - intent.expected_total
            with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
                return self._marketplace.adjust(item.listing_id, seen=intent.expected_total, delta=delta)

    def _record(self, items: Sequence[Item], answers: Sequence[tuple[Item, Adjusted | Exception]]) -> None:
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
        for item, answer in applied:
            record.listing(item.listing_id, total=answer.total, attempts=0, stock_kind=StockKind.COUNTED)
            assert item.plan is not None  # noqa: S101  only planned items are sent
            self._planner.conclude(item, item.plan, record)

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
            self._call_failed(item, error)
        elif not isinstance(error, ConnectorError):
            log.error("adjust_failed_unexpectedly", listing_id=item.listing_id, exc_info=error)

    def _call_failed(self, item: Item, error: Exception) -> None:
        """A call that was not executed, or a read that brought nothing: wait."""
        now = self._clock.now()
        if isinstance(error, NotFound):
            item.gone = True
            return
        item.done = True
        item.again_at = now + self._backoff(0)
        if isinstance(error, RateLimited):
            if error.retry_after_seconds is not None:
                item.again_at = max(item.again_at, now + timedelta(seconds=error.retry_after_seconds))
        elif isinstance(error, Unavailable):
            # The breaker decides when the marketplace is called again; one listing that alone gets no answer must not
            # be the one that tries it every time.
            item.again_at = now + self._backoff(item.attempts)
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

    def _backoff(self, attempts: int) -> timedelta:
        """Doubling with jitter: between half and the whole of 2, 4, 8, ... seconds, at most five minutes."""
        seconds = FIRST_BACKOFF_SECONDS * 2.0 ** min(attempts, 10) * (0.5 + self._jitter() / 2)
        return min(LONGEST_BACKOFF, timedelta(seconds=seconds))


def _outcome(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
