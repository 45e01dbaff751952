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
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog

from connectors.clock import Clock
from connectors.contract import Adjusted, Listing, ListingState, Marketplace, StockKind
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
)
from worker.alerts import Anomalies, Finding
from worker.alerts.anomalies import fingerprint
from worker.holds import ActiveHolds, Holds
from worker.holds.accounts import Accounts
from worker.reconcile import findings, repository
from worker.reconcile.plan import DuePair, Plan, plan
from worker.reconcile.repository import Intent
from worker.reconcile.settle import LATE, Settled, Settler, as_read
from worker.store import Store, Transaction
from worker.store.tables import (
    HoldReason,
    HoldScope,
    JournalKind,
    OperationKind,
    OperationState,
    WaiveReason,
)
from worker.store.totals import note_totals

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")

HELD_AGAIN_AFTER = timedelta(seconds=60)
SHORT_AGAIN_AFTER = timedelta(minutes=15)
"""A shortage is looked at again when the feed shows new stock; this is for marketplaces without one."""
REJECTED_AGAIN_AFTER = timedelta(minutes=15)
FIRST_BACKOFF_SECONDS = 2.0
LONGEST_BACKOFF = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices that reconciling obeys."""

    settle_after: timedelta = timedelta(seconds=60)
    lease: timedelta = timedelta(seconds=60)
    batch_listings: int = 32
    write_attempts: int = 5


@dataclass(slots=True)
class _Item:
    """One leased listing on its way through a pass."""

    listing_id: str
    look: bool = False
    """Read its log first."""
    read: bool = False
    """Read it first."""
    fresh: Listing | None = None
    """The read of this round; facts older than a round are not fresh."""
    gone: bool = False
    intent: Intent | None = None
    plan: Plan | None = None
    operation_id: int | None = None
    again_at: datetime | None = None
    done: bool = False
    correlation_id: str = ""
    lease_until: datetime = datetime.max.replace(tzinfo=UTC)
    """Nothing is sent after this moment."""


@dataclass(slots=True)
class Counts:
    """What this process has done since it started."""

    sent: int = 0
    applied: int = 0
    mismatches: int = 0
    unknown: int = 0
    reads: int = 0
    looks: int = 0


@dataclass(slots=True)
class _Record:
    """What one transaction of a round writes, gathered."""

    listings: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    moves: list[dict[str, int]] = field(default_factory=list)
    waives: list[dict[str, int]] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    complete: list[str] = field(default_factory=list)

    def listing(self, listing_id: str, **columns: Any) -> None:
        row = self.listings.setdefault(listing_id, {"row": listing_id})
        row.update({f"new_{name}": value for name, value in columns.items()})


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
        self._failures_in_a_row = 0
        self.counts = Counts()

    def drain(self) -> int:
        """One pass over one batch of due listings; returns how many there were.

        Safe to run several at once, in one process or many, and to repeat at any time.
        """
        owner = uuid.uuid4().hex[:16]
        with self._store.read() as transaction:
            if self._holds.active_in(transaction).marketplace is not None:
                return 0
        items = self._lease(owner)
        if not items:
            return 0
        waiting = items
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

    def _lease(self, owner: str) -> list[_Item]:
        now = self._clock.now()
        lease_until = now + self._policy.lease
        with self._store.write() as transaction:
            leased = repository.claim_due(
                transaction,
                owner=owner,
                now=now,
                lease_until=lease_until,
                limit=self._policy.batch_listings,
            )
            # Whoever prepared an operation and let the lease run out will not record its answer before we look.
            repository.doubt_prepared(transaction, leased)
            open_operations = repository.unsettled(transaction, leased)
            rows = repository.facts(transaction, leased)
        items = []
        for listing_id in leased:
            row = rows[listing_id]
            item = _Item(listing_id, correlation_id=row.correlation_id or f"listing-{owner}", lease_until=lease_until)
            operation = open_operations.get(listing_id)
            if operation is not None and operation.kind in (OperationKind.CLOSE, OperationKind.OPEN):
                item.done, item.again_at = True, now + timedelta(seconds=5)
            item.look = row.doubted or operation is not None
            item.read = row.total is None or row.stock_kind is not StockKind.COUNTED
            items.append(item)
        return items

    def _release(self, items: Sequence[_Item], owner: str) -> None:
        """Give the leases back, unless somebody else holds them by now."""
        now = self._clock.now()
        again_at = {
            # One that is not done met a mismatch in every round: somebody else is busy there.
            item.listing_id: item.again_at or (now if item.done else now + self._backoff(0))
            for item in items
        }
        with self._store.write() as transaction:
            repository.release(transaction, owner, again_at, leased_until=items[0].lease_until)

    # --- read -------------------------------------------------------------------------------------------------

    def _consult(self, items: Sequence[_Item]) -> None:
        """Read what the next plan needs: the log where an outcome is open, the listing where a total is not known."""
        looking = [item for item in items if item.look]
        reading = [item for item in items if item.read and not item.look]
        for item, settled in self._side_by_side(self._look, looking):
            item.look = False
            self.counts.looks += 1
            if isinstance(settled, Settled):
                item.fresh = settled.listing
                if settled.open_question:
                    self._wait_for_evidence(item)
            else:
                self._call_failed(item, settled)
        for item, listing in self._side_by_side(self._read, reading):
            item.read = False
            self.counts.reads += 1
            if isinstance(listing, Listing):
                item.fresh = listing
            else:
                self._call_failed(item, listing)

    def _look(self, item: _Item) -> Settled:
        return self._settler.look(item.listing_id)

    def _read(self, item: _Item) -> Listing:
        return self._marketplace.listing(item.listing_id)

    def _wait_for_evidence(self, item: _Item) -> None:
        """The outcome is still open: look again, soon at first, and tell operators when it stays so."""
        with self._store.write() as transaction:
            row = repository.facts(transaction, [item.listing_id])[item.listing_id]
            operation = repository.unsettled(transaction, [item.listing_id]).get(item.listing_id)
            now = self._clock.now()
            repository.update_listings(transaction, [{"row": item.listing_id, "new_attempts": row.attempts + 1}])
            if operation is not None and now - operation.prepared_at > 5 * self._policy.settle_after:
                self._anomalies.open_in(transaction, [findings.outcome_unknown(item.listing_id, operation)])
        item.done = True
        item.again_at = now + self._backoff(row.attempts)

    def _side_by_side(self, call: Callable[[_Item], R], items: Sequence[_Item]) -> list[tuple[_Item, R | Exception]]:
        """Make one call for each item, several at a time; an exception is an answer like any other."""

        def attempt(item: _Item) -> R | Exception:
            try:
                return call(item)
            except Exception as error:
                return error

        if len(items) == 1:
            return [(items[0], attempt(items[0]))]
        return list(zip(items, self._executor.map(attempt, items), strict=True))

    # --- plan -------------------------------------------------------------------------------------------------

    def _prepare(self, items: Sequence[_Item], owner: str) -> None:
        """Plan every item from what is known now, and write the intents down."""
        if not items:
            return
        record = _Record()
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
                    self._plan_item(item, row, due.get(item.listing_id, []), holds, record)
                if item.intent is not None:
                    intents.append(item.intent)
            prepared = repository.prepare(transaction, intents, self._clock.now())
            for item in items:
                if item.intent is not None:
                    item.operation_id = prepared.get(item.listing_id)
                    if item.operation_id is None:
                        item.done, item.again_at = True, self._clock.now() + timedelta(seconds=1)
            self._write(transaction, record)

    def _plan_item(self, item: _Item, row: Any, due: Sequence[Any], holds: ActiveHolds, record: _Record) -> None:
        now = self._clock.now()
        if item.fresh is not None:
            fresh_columns = as_read(item.fresh, doubted=False)
            record.listings.setdefault(item.listing_id, {"row": item.listing_id}).update(fresh_columns)
            if row.anchor_total is None and item.fresh.stock.kind is StockKind.COUNTED:
                record.listing(item.listing_id, anchor_total=item.fresh.stock.total, anchor_at=now)
        if holds.on_listing(item.listing_id) is not None:
            item.done, item.again_at = True, now + HELD_AGAIN_AFTER
            return
        if not due:
            # What may still be pending belongs to held channels.
            item.done, item.again_at = True, now + HELD_AGAIN_AFTER
            record.complete.append(item.listing_id)
            return
        if item.gone or (item.fresh is None and row.state is ListingState.DELETED):
            self._plan_gone(item, due, record)
            return
        if item.fresh is not None and item.fresh.stock.kind is not StockKind.COUNTED:
            reason = WaiveReason(item.fresh.stock.kind.value)
            self._waive(item, due, reason, record)
            item.done = True
            record.complete.append(item.listing_id)
            return
        self._plan_counted(item, row, due, record)

    def _plan_counted(self, item: _Item, row: Any, due: Sequence[Any], record: _Record) -> None:
        total = row.total if item.fresh is None else item.fresh.stock.total
        pairs = [DuePair(pair.id, pair.committed - pair.waived - pair.applied, pair.placed_at) for pair in due]
        planned = plan(total, pairs)
        if item.fresh is None and not planned.is_complete:
            # A shortage must not be concluded from a cached total: read in the next round.
            item.read = True
            return
        item.plan = planned
        if planned.delta == 0:
            self._move_without_call(item, planned, record)
            self._conclude(item, planned, record)
            return
        item.intent = Intent(
            listing_id=item.listing_id,
            kind=OperationKind.STOCK,
            expected_total=planned.seen,
            new_total=planned.seen + planned.delta,
            correlation_id=item.correlation_id,
            moves=[(move.pair_id, move.units) for move in planned.moves],
        )

    def _move_without_call(self, item: _Item, planned: Plan, record: _Record) -> None:
        """Sales and returns that cancel out need no call; each is journalled all the same."""
        now = self._clock.now()
        for move in planned.moves:
            record.moves.append({"row": move.pair_id, "moved": move.units})
            record.journal.append(_entry(item.listing_id, move.pair_id, JournalKind.OFFSET, move.units, now))

    def _conclude(self, item: _Item, planned: Plan, record: _Record) -> None:
        """Nothing more to send for this item now: complete, or short."""
        item.done = True
        if planned.is_complete:
            record.complete.append(item.listing_id)
            return
        item.again_at = self._clock.now() + SHORT_AGAIN_AFTER
        total = planned.seen + planned.delta
        if planned.short_units:
            record.findings.append(findings.oversold(item.listing_id, planned.short_units, total))
        if planned.waiting_units:
            record.findings.append(findings.return_waiting(item.listing_id, planned.waiting_units, total))

    def _plan_gone(self, item: _Item, due: Sequence[Any], record: _Record) -> None:
        """The listing was deleted: returns owed to it are written off, sales wait for a person."""
        item.done = True
        record.listing(item.listing_id, state=ListingState.DELETED)
        returns = [pair for pair in due if pair.committed - pair.waived < pair.applied]
        sales = sum(pair.committed - pair.waived - pair.applied for pair in due if pair not in returns)
        self._waive(item, returns, WaiveReason.DELETED, record)
        if sales:
            item.again_at = self._clock.now() + SHORT_AGAIN_AFTER
            record.findings.append(findings.listing_gone(item.listing_id, sales))
        else:
            record.complete.append(item.listing_id)

    def _waive(self, item: _Item, due: Sequence[Any], reason: WaiveReason, record: _Record) -> None:
        """Units that are not ours to take (or to give back) here."""
        now = self._clock.now()
        for pair in due:
            units = pair.committed - pair.waived - pair.applied
            record.waives.append({"row": pair.id, "moved": units})
            record.journal.append(_entry(item.listing_id, pair.id, JournalKind.WAIVED, units, now, waive_reason=reason))

    def _write(self, transaction: Transaction, record: _Record) -> None:
        repository.move_applied(transaction, record.moves)
        repository.move_waived(transaction, record.waives)
        repository.write_journal(transaction, record.journal)
        repository.update_listings(transaction, list(record.listings.values()))
        note_totals(transaction, list(record.listings), self._clock.now())
        self._anomalies.open_in(transaction, record.findings)
        self._anomalies.resolve_in(
            transaction,
            [
                fingerprint(kind, listing_id=listing_id)
                for listing_id in record.complete
                for kind in findings.RESOLVED_WHEN_COMPLETE
            ],
            "nothing is pending on this listing any more",
        )

    # --- send -------------------------------------------------------------------------------------------------

    def _send(self, items: Sequence[_Item]) -> list[tuple[_Item, Adjusted | Exception]]:
        self.counts.sent += len(items)
        return self._side_by_side(self._adjust, items)

    def _adjust(self, item: _Item) -> Adjusted:
        intent = item.intent
        assert intent is not None  # noqa: S101  only items with an intent are sent
        if self._clock.now() >= item.lease_until:
            message = "the lease ran out before sending; nothing was sent"
            raise Unavailable(message, account=self._name)
        with structlog.contextvars.bound_contextvars(
            correlation_id=item.correlation_id, listing_id=item.listing_id, operation=item.operation_id
        ):
            return self._marketplace.adjust(
                item.listing_id, seen=intent.expected_total, delta=intent.new_total - intent.expected_total
            )

    def _record(self, items: Sequence[_Item], answers: Sequence[tuple[_Item, Adjusted | Exception]]) -> None:
        """Write the answers of one round down."""
        applied = [(item, answer) for item, answer in answers if isinstance(answer, Adjusted)]
        failed = [(item, answer) for item, answer in answers if isinstance(answer, Exception)]
        record = _Record()
        with self._store.write() as transaction:
            repository.facts(transaction, [item.listing_id for item in items])
            self._record_applied(transaction, applied, record)
            for item, error in failed:
                self._record_failure(transaction, item, error, record)
            self._write(transaction, record)
        for item, error in failed:
            self._after_failure(item, error)
        if applied:
            self._failures_in_a_row = 0

    def _record_applied(
        self, transaction: Transaction, applied: Sequence[tuple[_Item, Adjusted]], record: _Record
    ) -> None:
        operations = {item.operation_id: item for item, _ in applied if item.operation_id is not None}
        settled = repository.settle(
            transaction,
            list(operations),
            OperationState.APPLIED,
            now=self._clock.now(),
            from_states=LATE,
            answered=True,
        )
        self.counts.applied += len(settled)
        for item, answer in applied:
            record.listing(item.listing_id, total=answer.total, attempts=0, stock_kind=StockKind.COUNTED)
            assert item.plan is not None  # noqa: S101  only planned items are sent
            self._conclude(item, item.plan, record)

    def _record_failure(self, transaction: Transaction, item: _Item, error: Exception, record: _Record) -> None:
        """An operation that was not executed is rejected; one that may have been is unknown."""
        assert item.operation_id is not None  # noqa: S101  only prepared items are sent
        certain = isinstance(error, ConnectorError) and not isinstance(error, OutcomeUnknown)
        repository.settle(
            transaction,
            [item.operation_id],
            OperationState.REJECTED if certain else OperationState.UNKNOWN,
            now=self._clock.now(),
            from_states=(OperationState.PREPARED, OperationState.UNKNOWN),
            outcome=_outcome(error),
        )
        now = self._clock.now()
        if not certain:
            self.counts.unknown += 1
            item.done, item.again_at = True, now + timedelta(seconds=FIRST_BACKOFF_SECONDS)
            record.listing(item.listing_id, attempts=0)
        elif isinstance(error, StockMismatch | InsufficientStock):
            self.counts.mismatches += 1
            # A late execution of ours may have moved the total: where one is possible, the log is read first.
            late = repository.unclaimed(transaction, [item.listing_id]).get(item.listing_id, [])
            item.look = any(operation.state is OperationState.ABSENT for operation in late)
            item.read = not item.look
        elif isinstance(error, NotFound):
            item.read = True
        elif isinstance(error, Rejected):
            item.done, item.again_at = True, now + REJECTED_AGAIN_AFTER
            record.findings.append(findings.write_rejected(item.listing_id, str(error)))
        item.fresh = None

    def _after_failure(self, item: _Item, error: Exception) -> None:
        if isinstance(error, Unauthorized | RateLimited | Unavailable):
            self._call_failed(item, error)
        elif not isinstance(error, ConnectorError):
            log.error("adjust_failed_unexpectedly", listing_id=item.listing_id, exc_info=error)

    def _call_failed(self, item: _Item, error: Exception) -> None:
        """A call that was not executed, or a read that brought nothing: wait, hold or trip the breaker."""
        now = self._clock.now()
        if isinstance(error, NotFound):
            item.gone = True
            return
        item.done = True
        item.again_at = now + self._backoff(self._failures_in_a_row)
        if isinstance(error, Unauthorized):
            self._accounts.refused(HoldScope.MARKETPLACE, self._name, error)
        elif isinstance(error, RateLimited):
            if error.retry_after_seconds is not None:
                item.again_at = max(item.again_at, now + timedelta(seconds=error.retry_after_seconds))
        elif isinstance(error, Unavailable):
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= BREAKER_FAILURES:
                self._trip_breaker(error)
        elif not isinstance(error, ConnectorError):
            log.error("reconcile_failed_unexpectedly", listing_id=item.listing_id, exc_info=error)
        else:
            log.warning("reconcile_postponed", listing_id=item.listing_id, error=str(error))

    def _trip_breaker(self, error: Exception) -> None:
        """The marketplace is down: due rows wait together instead of failing one by one."""
        pause = min(LONGEST_BREAK, timedelta(seconds=FIRST_BACKOFF_SECONDS * 2 ** (self._failures_in_a_row - 3)))
        with self._store.write() as transaction:
            self._holds.place_in(
                transaction,
                HoldReason.BREAKER,
                HoldScope.MARKETPLACE,
                self._name,
                f"the marketplace does not answer: {error}",
                until=self._clock.now() + pause,
            )

    def _backoff(self, attempts: int) -> timedelta:
        """Doubling with jitter: between half and the whole of 2, 4, 8, ... seconds, at most five minutes."""
        seconds = FIRST_BACKOFF_SECONDS * 2.0 ** min(attempts, 10) * (0.5 + self._jitter() / 2)
        return min(LONGEST_BACKOFF, timedelta(seconds=seconds))


BREAKER_FAILURES = 3
LONGEST_BREAK = timedelta(seconds=60)


def _outcome(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _entry(
    listing_id: str,
    pair_id: int,
    kind: JournalKind,
    units: int,
    now: datetime,
    *,
    waive_reason: WaiveReason | None = None,
) -> dict[str, Any]:
    return {
        "at": now,
        "listing_id": listing_id,
        "pair_id": pair_id,
        "kind": kind,
        "units": units,
        "operation_id": None,
        "reason": waive_reason,
        "note": None,
    }
