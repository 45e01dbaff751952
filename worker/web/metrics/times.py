"""How long it takes from a sale to the stock, as a histogram that grows with the journal.

Nothing is measured while stock is written: the journal says when a unit was taken, and its pair when it was sold.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prometheus_client.core import Metric
from prometheus_client.utils import INF

from worker.store import Store
from worker.web.metrics.families import histogram
from worker.web.metrics.names import Name
from worker.web.repository import last_journal_entry, taken_after

BOUNDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, INF)
"""Seconds."""
SETTLES = timedelta(seconds=10)
"""An entry is read so long after it was made: one with a lower number, of another process, is committed by then."""
MOST_ENTRIES = 5000
"""In one read. More than that wait for the next one."""


@dataclass(slots=True)
class _Times:
    counts: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    total: float = 0.0


class SaleTimes:
    """Counts what was taken since this process was first asked. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._times: defaultdict[str, _Times] = defaultdict(_Times)
        self._read_to: int | None = None
        self._lock = threading.Lock()

    def read(self, now: datetime) -> Metric:
        """Take in what is new, and show all. Costs what is new."""
        with self._lock:
            self._take_in(now)
            return histogram(
                Name.SALE_TO_STOCK_SECONDS,
                [([channel], _cumulative(times), times.total) for channel, times in sorted(self._times.items())],
            )

    def _take_in(self, now: datetime) -> None:
        with self._store.read() as transaction:
            last = last_journal_entry(transaction, now - SETTLES)
            if self._read_to is None:
                self._read_to = last
            rows = taken_after(transaction, self._read_to, now - SETTLES, MOST_ENTRIES)
        self._read_to = rows[-1].id if len(rows) == MOST_ENTRIES else max(last, self._read_to)
        for row in rows:
            # A vendor's clock may be a little ahead of ours.
            seconds = max(0.0, (row.at - row.placed_at).total_seconds())
            times = self._times[row.channel]
            times.counts[bisect_left(BOUNDS, seconds)] += 1
            times.total += seconds


def _cumulative(times: _Times) -> list[tuple[str, float]]:
    sums, buckets = 0, []
    for bound, count in zip(BOUNDS, times.counts, strict=True):
        sums += count
        buckets.append(("+Inf" if bound == INF else str(bound), float(sums)))
    return buckets
