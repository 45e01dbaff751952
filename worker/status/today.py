"""What has been taken today, how fast, and since when stock is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from connectors.clock import Clock
from worker.status import repository
from worker.store import Store
from worker.store.bulk import insert_rows
from worker.store.tables import Verdict

MOST_TIMED = 5000
"""Sales from which the times are told: the latest ones, so that a page costs the same on a busy day."""


@dataclass(frozen=True, slots=True)
class ChannelSales:
    """What one channel's sales did to the stock."""

    channel: str
    units_taken: int
    units_given_back: int
    lines: int
    """Order lines concerned."""


@dataclass(frozen=True, slots=True)
class Today:
    """Since midnight, UTC."""

    since: datetime
    sales: Sequence[ChannelSales]
    timed: int
    """How many of the latest sales the two times are of."""
    median_seconds: float | None
    """From the moment a buyer placed the order to the moment the marketplace's number was lower; None without any."""
    worst_seconds: float | None


class TodaysSales:
    """Reads today's part of the journal."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def now(self) -> Today:
        """Costs what today has brought, not what there is."""
        since = self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        with self._store.read() as transaction:
            sales = repository.sales_since(transaction, since)
            times = repository.placed_and_taken(transaction, since, MOST_TIMED)
        # A vendor's clock may be a little ahead of ours.
        waited = [max(0.0, (taken - placed).total_seconds()) for placed, taken in times]
        return Today(
            since=since,
            sales=[ChannelSales(channel, int(taken), int(back), lines) for channel, taken, back, lines in sales],
            timed=len(waited),
            median_seconds=median(waited) if waited else None,
            worst_seconds=max(waited, default=None),
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last look found, and since when it has been so."""

    stock_is_true: bool
    since: datetime


class Verdicts:
    """Keeps since when stock is true, or is not: one row for each change."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def note(self, *, stock_is_true: bool) -> None:
        """Keep what was found now. Two at once may write it twice, which says the same."""
        held = self.last()
        if held is None or held.stock_is_true is not stock_is_true:
            with self._store.write() as transaction:
                insert_rows(transaction, Verdict, [{"since": self._clock.now(), "stock_is_true": stock_is_true}])

    def forget(self, before: datetime) -> None:
        """Drop what ended before then."""
        with self._store.write() as transaction:
            repository.forget_verdicts(transaction, before)

    def last(self) -> Standing | None:
        """None before the first look."""
        with self._store.read() as transaction:
            row = repository.last_verdict(transaction)
        return None if row is None else Standing(row.stock_is_true, row.since)
