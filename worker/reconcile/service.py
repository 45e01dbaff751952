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
from connectors.contract import Adjusted, Guard, Listing, Marketplace, StockKind
from connectors.errors import (
    Unavailable,
)
from worker.alerts import Anomalies
from worker.holds import Holds
from worker.holds.accounts import Accounts
from worker.reconcile import findings, leases, repository
from worker.reconcile.answers import Answers, Counts
from worker.reconcile.large import LargePlans
from worker.reconcile.logs import LATE_FOR
from worker.reconcile.planning import Item, Planner, Record
from worker.reconcile.repository import Intent
from worker.reconcile.settle import Settled, Settler
from worker.store import Store
from worker.store.tables import (
    HoldScope,
    OperationKind,
)
from worker.tracing import Tracing

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices that reconciling obeys."""

    settle_after: timedelta = timedelta(seconds=60)
    lease: timedelta = timedelta(seconds=60)
    batch_listings: int = 32
    write_attempts: int = 5


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
        large_plans: LargePlans,
        executor: Executor,
        policy: Policy,
        *,
        marketplace_name: str = "marketplace",
        jitter: Callable[[], float] = lambda: 0.5,
        tracing: Tracing | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._marketplace = marketplace
        self._settler = settler
        self._anomalies = anomalies
        self._holds = holds
        self._accounts = accounts
        self._large_plans = large_plans
        self._executor = executor
        self._policy = policy
        self._name = marketplace_name
        self._tracing = tracing or Tracing()
        # What becomes of a write that sets a number is judged by the number alone: the one from before it must have
        # been there, or an older edit would look like the write of a process that was killed before it sent it.
        self._reads_first = marketplace.guard is Guard.ABSOLUTE
        self._planner = Planner(clock, anomalies)
        self.counts = Counts()
        self._answers = Answers(store, clock, settler, anomalies, self._planner, self.counts, jitter)

    def drain(self) -> int:
        """One pass over one batch of due listings; returns how many there were.

        Safe to run several at once, in one process or many, and to repeat at any time.
        """
        owner = uuid.uuid4().hex[:16]
        with self._store.read() as transaction:
            nothing_due = not leases.any_due(transaction, self._clock.now())
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
                self._answers.record(sending, self._send(sending))
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
            leased = leases.claim_due(
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
            item.read = row.total is None or row.stock_kind is not StockKind.COUNTED or self._reads_first
            items.append(item)
        return items

    def _release(self, items: Sequence[Item], owner: str) -> None:
        """Give the leases back, unless somebody else holds them by now."""
        now = self._clock.now()
        again_at = {
            # One that is not done met a mismatch in every round: somebody else is busy there.
            item.listing_id: item.again_at or (now if item.done else now + self._answers.backoff(0))
            for item in items
        }
        with self._store.write() as transaction:
            unanswered = [item for item in items if item.unanswered]
            repository.update_listings(
                transaction, [{"row": item.listing_id, "new_attempts": item.attempts + 1} for item in unanswered]
            )
            leases.release(transaction, owner, again_at, leased_until=items[0].lease_until)

    # --- read -------------------------------------------------------------------------------------------------

    def _consult(self, items: Sequence[Item]) -> None:
        """Read what the next plan needs: the log where an outcome is open, the listing where a total is not known.

        Where a write that was taken for absent may have been executed since, the total alone would hide it.
        """
        reading = [item for item in items if item.read and not item.look]
        if reading:
            with self._store.read() as transaction:
                since = repository.late_since(transaction, self._clock.now(), LATE_FOR)
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
                self._answers.call_failed(item, settled)
            if item.unsettled:
                self._wait_for_evidence(item)
        for item, listing in self._side_by_side(self._read, reading):
            item.read = False
            self.counts.reads += 1
            if isinstance(listing, Listing):
                item.fresh = listing
            else:
                self._answers.call_failed(item, listing)

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
            item.again_at = now + self._answers.backoff(row.attempts)

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
            if due and (judged := self._large_plans.judge_in(transaction, due, holds)) is not holds:
                holds = judged
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
            with (
                self._tracing.span(
                    "write stock", item.correlation_id, listing=item.listing_id, operation=item.operation_id or 0
                ),
                self._accounts.calling(HoldScope.MARKETPLACE, self._name),
            ):
                return self._marketplace.adjust(item.listing_id, seen=intent.expected_total, delta=delta)
