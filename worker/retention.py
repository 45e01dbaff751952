"""Forgetting what need not be kept (P8): a little at a time, and never what a number depends on.

What counts stays for ever: journal, claims, operations and their pairs, adjustments with their totals; of orders the
ids, states (tombstones among them), revisions, digests and times; of lines the item keys, SKUs and quantities;
committed, applied and waived. So an old webhook, a duplicate or a return after years meets the same row it would have
met.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from config.settings import PolicySettings
from connectors.clock import Clock
from worker.alerts import Anomalies
from worker.alerts import repository as alerts
from worker.intake import deliveries
from worker.intake import repository as intake
from worker.intake.inbox import parked_fingerprints
from worker.reconcile import adjustments
from worker.reconcile import repository as reconcile
from worker.store import Store, Transaction
from worker.store.cursors import cursor, move_cursor

log = structlog.get_logger(__name__)

BATCH_ROWS = 500
"""In one transaction: short enough that nobody waits for it."""
MOST_BATCHES = 100
"""Of one kind in one run; what is left then is the next run's."""

Remove = Callable[[Transaction, datetime, int], int]
Strip = Callable[[Transaction, str, datetime, int], str | None]


class Retention:
    """Drops what is older than its configured days. Every run may be repeated, and run beside others."""

    def __init__(self, store: Store, clock: Clock, policy: PolicySettings, anomalies: Anomalies) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._anomalies = anomalies

    def forget(self) -> None:
        """One run over everything that is dropped some time."""
        policy = self._policy
        self._remove("raw_bodies", self._drop_raw_bodies, policy.raw_kept_days)
        self._remove("deliveries", deliveries.forget_deliveries, policy.deliveries_kept_days)
        self._remove("alerts", alerts.forget_alerts, policy.anomalies_kept_days)
        self._remove("anomalies", alerts.forget_resolved, policy.anomalies_kept_days)
        self._strip("orders", intake.strip_orders, policy.details_kept_days)
        self._strip("operations", reconcile.strip_operations, policy.details_kept_days)
        self._strip("adjustments", adjustments.strip_adjustments, policy.details_kept_days)

    def _drop_raw_bodies(self, transaction: Transaction, before: datetime, limit: int) -> int:
        dropped = deliveries.drop_raw_bodies(transaction, before, limit)
        self._anomalies.resolve_in(
            transaction,
            parked_fingerprints(dropped),
            "its body was dropped after the configured time; polling reads the order",
        )
        return len(dropped)

    def _remove(self, what: str, remove: Remove, kept_days: int) -> None:
        """Until a batch is not full any more."""
        before = self._clock.now() - timedelta(days=kept_days)
        removed = 0
        for _ in range(MOST_BATCHES):
            with self._store.write() as transaction:
                batch = remove(transaction, before, BATCH_ROWS)
            removed += batch
            if batch < BATCH_ROWS:
                break
        if removed:
            log.info("forgotten", what=what, rows=removed)

    def _strip(self, what: str, strip: Strip, kept_days: int) -> None:
        """One walk through all rows, by key: it goes on where the last run stopped, and at the end begins anew."""
        now = self._clock.now()
        before = now - timedelta(days=kept_days)
        place = f"retention:{what}"
        for _ in range(MOST_BATCHES):
            with self._store.write() as transaction:
                reached = strip(transaction, cursor(transaction, place) or "", before, BATCH_ROWS)
                move_cursor(transaction, place, reached or "", now, current=False)
            if reached is None:
                break
