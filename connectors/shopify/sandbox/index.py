"""What `orders(query:)` finds: a search index with keyset paging, which may lag behind the orders themselves."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import NamedTuple

from connectors.clock import Clock


class Entry(NamedTuple):
    """One order as the index knows it."""

    order_id: int
    created_at: int
    updated_at: int


Key = tuple[int, int]
"""Sort value and order id: the id makes the order of equal values firm."""

SORTS: dict[str, Callable[[Entry], int]] = {
    "CREATED_AT": lambda entry: entry.created_at,
    "PROCESSED_AT": lambda entry: entry.created_at,
    "UPDATED_AT": lambda entry: entry.updated_at,
    "ID": lambda entry: entry.order_id,
    "ORDER_NUMBER": lambda entry: entry.order_id,
}
"""The sort keys that are modelled. Orders are numbered and processed as they are placed."""

_ENDLESS = 2**63


class OrderIndex:
    """Sorted views over all orders. Each page costs its length and a binary search; used from the event loop only."""

    def __init__(self, clock: Clock, random: Random, lag_seconds: Callable[[], tuple[float, float]]) -> None:
        self._clock = clock
        self._random = random
        self._lag_seconds = lag_seconds
        self._entries: dict[int, Entry] = {}
        self._sorted: dict[str, list[Key]] = {name: [] for name in SORTS}
        self._changes = count()
        self._latest: dict[int, int] = {}
        self._coming: list[tuple[float, int, int, Entry | None]] = []

    def put(self, entry: Entry) -> None:
        """Index an order anew, once the lag has passed."""
        self._change(entry.order_id, entry)

    def drop(self, order_id: int) -> None:
        """Forget a deleted order, once the lag has passed."""
        self._change(order_id, None)

    def walk(
        self, sort: str, *, reverse: bool, after: Key | None, lowest: int | None, highest: int | None
    ) -> Iterator[tuple[Key, Entry]]:
        """Entries in order, strictly behind `after`, their sort value between `lowest` and `highest` (inclusive)."""
        self._catch_up()
        keys = self._sorted[sort]
        first = 0 if lowest is None else bisect_left(keys, (lowest, -1))
        end = len(keys) if highest is None else bisect_right(keys, (highest, _ENDLESS))
        if after is not None and reverse:
            end = min(end, bisect_left(keys, after))
        elif after is not None:
            first = max(first, bisect_right(keys, after))
        positions = range(end - 1, first - 1, -1) if reverse else range(first, end)
        for position in positions:
            key = keys[position]
            yield key, self._entries[key[1]]

    def _change(self, order_id: int, entry: Entry | None) -> None:
        least, most = self._lag_seconds()
        change = next(self._changes)
        if not most and not self._coming:
            self._apply(change, order_id, entry)
            return
        due = self._clock.monotonic() + self._random.uniform(least, most)
        heapq.heappush(self._coming, (due, change, order_id, entry))

    def _catch_up(self) -> None:
        now = self._clock.monotonic()
        while self._coming and self._coming[0][0] <= now:
            _, change, order_id, entry = heapq.heappop(self._coming)
            self._apply(change, order_id, entry)

    def _apply(self, change: int, order_id: int, entry: Entry | None) -> None:
        # With a lag that varies, an older state of an order may arrive after a newer one.
        if change < self._latest.get(order_id, -1):
            return
        self._latest[order_id] = change
        old = self._entries.pop(order_id, None)
        if entry is not None:
            self._entries[order_id] = entry
        for name, value in SORTS.items():
            keys = self._sorted[name]
            before = None if old is None else (value(old), order_id)
            behind = None if entry is None else (value(entry), order_id)
            if before == behind:
                continue
            if before is not None:
                del keys[bisect_left(keys, before)]
            if behind is not None:
                insort(keys, behind)
