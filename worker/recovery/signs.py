"""The signs of a restored database, and the first thing to do about them: hold what was written without it.

An operation is committed before it is sent (P3), so a database that was never set back knows every adjustment of ours.
When the first reading of the feed after a start shows own adjustments from before that start that fit no operation,
the rows are gone: the database was restored from a copy. (Or another program used our credentials while we were away;
whether the lost units match the order lines tells the two apart.) A process that finds the database further back than
it remembers takes that for a start.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.clock import Clock
from worker.alerts import Anomalies, Finding, Kind
from worker.holds import Holds
from worker.reconcile import repository as operations
from worker.recovery import repository
from worker.store import Transaction
from worker.store.tables import HoldReason, HoldScope
from worker.upkeep import repository as upkeep

log = structlog.get_logger(__name__)

CLOCKS_DIFFER = timedelta(minutes=2)
"""By how much the clocks of hosts and vendors may disagree before it means something."""


class Signs:
    """Sees a restore. One per process."""

    def __init__(self, clock: Clock, holds: Holds, anomalies: Anomalies, started_at: Callable[[], datetime]) -> None:
        self._clock = clock
        self._holds = holds
        self._anomalies = anomalies
        self._started_at = started_at
        self._furthest: datetime | None = None
        self._set_back_at: datetime | None = None

    @property
    def _begun_at(self) -> datetime:
        started_at = self._started_at()
        return started_at if self._set_back_at is None else max(started_at, self._set_back_at)

    def is_current(self, read_to_head_at: datetime | None) -> bool:
        """Whether the feed, last read to its head at that moment, has been so since this process began."""
        if read_to_head_at is None:
            return False
        if self._furthest is not None and read_to_head_at < self._furthest - CLOCKS_DIFFER:
            log.warning("database_was_set_back", read_at=read_to_head_at, remembered=self._furthest)
            self._set_back_at = self._clock.now()
            self._furthest = None
        else:
            self._furthest = max(read_to_head_at, self._furthest or read_to_head_at)
        return read_to_head_at >= self._begun_at

    def hold_in(self, transaction: Transaction, read_to_head_at: datetime | None) -> None:
        """The first reading since we began has reached the head: hold every listing that was written without this
        database, in the same transaction, so that nobody writes there before its account is made up.

        `read_to_head_at` is when the feed had been read to its head before. Idempotent.
        """
        rows = repository.own_unclaimed(transaction, after=read_to_head_at, until=self._begun_at + CLOCKS_DIFFER)
        known = operations.unclaimed(transaction, {row.listing_id for row in rows})
        held = self._holds.active_in(transaction)
        lost = {row.listing_id for row in rows if not _is_an_operations(row, known.get(row.listing_id, []))}
        listings = sorted(name for name in lost if not held.has(HoldReason.ORPHAN, HoldScope.LISTING, name))
        for listing_id in listings:
            self._holds.place_in(
                transaction,
                HoldReason.RESTORED,
                HoldScope.LISTING,
                listing_id,
                "it was written with our credentials, and the database knows nothing of it",
            )
        if listings:
            # Where the anchor was wrong, the log finds operations for them after all.
            upkeep.lock(transaction, listings)
            upkeep.doubt(transaction, listings, self._clock.now())
            self._anomalies.open_in(transaction, [_restored(len(listings))])


def _is_an_operations(row: Any, known: list[Any]) -> bool:
    """Whether an operation that the database knows fits it, claimed for it or not yet: each fits one."""
    for operation in known:
        before = None if row.total_after is None else row.total_after - row.quantity
        if (operation.expected_total, operation.new_total) == (before, row.total_after):
            known.remove(operation)
            return True
    return False


def _restored(listings: int) -> Finding:
    return Finding(
        Kind.RESTORED,
        f"{listings} listings were written with our credentials while this database was not looking: it seems to have"
        " been restored from a copy. They are held; the channels are read again, and what matches their order lines"
        " is booked by itself. What remains is told listing by listing: see `trueup holds list`.",
        detail={"listings": listings},
    )
