"""Messages that would find nothing to do are mostly lost on the way: harmless by P2, and most of the cost of playing.

A glance at the rows, past the code under test, tells whether anything is due; where that is not sure, the message goes
through.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random

from connectors.sandbox.clock import VirtualClock
from tests.simulation.broker import Message
from tests.simulation.database import Database
from worker import schedule

GOES_THROUGH = 0.05
"""The share of idle messages that arrive all the same."""
MARGIN = timedelta(0)
"""Hosts may be that far ahead of the true time, and a tick may be claimed a little early."""

DUE = {
    schedule.INTAKE: "SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'new' AND next_attempt_at <= :now)"
    " OR EXISTS (SELECT 1 FROM orders WHERE fetch_at <= :now)",
    schedule.RECONCILE: "SELECT EXISTS (SELECT 1 FROM listings WHERE next_attempt_at <= :now)",
    schedule.UPKEEP: "SELECT EXISTS (SELECT 1 FROM listings WHERE next_upkeep_at <= :now)",
    schedule.ALERTS: "SELECT :now IS NULL",
    schedule.FEED: "SELECT NOT EXISTS (SELECT 1 FROM ticks WHERE name = 'feed' AND next_at > :now)",
    schedule.SWEEP: "SELECT NOT EXISTS (SELECT 1 FROM ticks WHERE name = 'sweep' AND next_at > :now)",
    schedule.AUDIT: "SELECT NOT EXISTS (SELECT 1 FROM ticks WHERE name = 'audit' AND next_at > :now)",
    schedule.POLL: "SELECT EXISTS (SELECT 1 FROM channels c WHERE NOT EXISTS"
    " (SELECT 1 FROM ticks t WHERE t.name = 'poll:' || c.name AND t.next_at > :now))"
    " OR EXISTS (SELECT 1 FROM orders WHERE fetch_at <= :now)",
    schedule.HOUSEKEEPING: "SELECT EXISTS (SELECT 1 FROM orders WHERE look_at <= :now)"
    " OR EXISTS (SELECT 1 FROM deliveries WHERE raw AND kept IS NOT NULL AND received_at < datetime(:now, '-7 days'))",
}


OVERWRITING = (
    "EXISTS (SELECT 1 FROM operations WHERE kind = 'stock' AND id >"
    " coalesce((SELECT CAST(value AS INTEGER) FROM cursors WHERE name = 'overwrites'), 0))"
    " OR EXISTS (SELECT 1 FROM cursors WHERE name = 'overwrites-late' AND value <> '[]')"
)


class Idle:
    """Tells which messages are worth delivering."""

    def __init__(self, database: Database, clock: VirtualClock, random: Random, *, overwrites: bool) -> None:
        """`overwrites`: whether a stock write is looked at once more later, because it may have met a sale."""
        self._database = database
        self._clock = clock
        self._random = random
        self._due = {**DUE, schedule.UPKEEP: f"{DUE[schedule.UPKEEP]} OR {OVERWRITING}"} if overwrites else DUE

    def would_find_something(self, message: Message) -> bool:
        """Whether this message finds work; sometimes also of one that does not."""
        due = self._due.get(message.task)
        if due is None or self._random.random() < GOES_THROUGH:
            return True
        now = (self._clock.now() + MARGIN).strftime("%Y-%m-%d %H:%M:%S.%f")
        return bool(self._database.rows(due.replace(":now", "?1"), now)[0][0])
