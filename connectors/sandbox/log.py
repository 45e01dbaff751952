"""The log of everything that happened in a sandbox: one global sequence, and pages found without a scan."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from random import Random
from typing import Any

from connectors.clock import Clock


class Shown(StrEnum):
    """What the log tells of an author."""

    ATTRIBUTED = "attributed"
    ANONYMOUS = "anonymous"
    """The event is there, its author is not."""
    MISSING = "missing"
    """There is no event at all."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who caused a change, in truth; `shown` says how much of it the log gives away."""

    source: str
    """The way it came in, e.g. `source/integration-api`."""
    client_id: str | None = None
    user_id: str | None = None
    admin_id: str | None = None
    shown: Shown = Shown.ATTRIBUTED


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    sequence: int
    """Strictly increasing over the whole log, with gaps."""
    at: datetime
    """Never before the entry in front of it; may be equal."""
    kind: str
    """Resource type, slash, verb, e.g. `stockAdjustment/created`."""
    about: tuple[str, ...]
    """The id of the resource itself, then those it points to."""
    subject: Any
    """What the resource was right after it; immutable."""
    origin: Origin


class Log:
    """Append-only. Not locked by itself: the model that writes to it holds its own lock over every use."""

    def __init__(self, clock: Clock, random: Random, *, largest_gap: int = 4) -> None:
        self._clock = clock
        self._random = random
        self._largest_gap = largest_gap
        self._last_sequence = random.randrange(1_000, 10_000)
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._entries: list[Entry] = []
        self._sequences: list[int] = []
        self._times: list[datetime] = []
        self._kinds: dict[str, list[int]] = {}
        self._positions: dict[tuple[str, str], list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last_sequence(self) -> int:
        """The newest sequence number, or the one before the first."""
        return self._last_sequence

    def moment(self) -> datetime:
        """Now, in whole milliseconds as vendors stamp it, and never before an earlier moment."""
        now = self._clock.now()
        self._latest = max(self._latest, now.replace(microsecond=now.microsecond // 1000 * 1000))
        return self._latest

    def append(self, kind: str, subject: Any, origin: Origin, about: tuple[str, ...]) -> Entry | None:
        """Write one entry; None when its origin leaves no trace."""
        if origin.shown is Shown.MISSING:
            return None
        self._last_sequence += 1 + self._random.randint(0, self._largest_gap)
        entry = Entry(self._last_sequence, self.moment(), kind, about, subject, origin)
        position = len(self._entries)
        self._entries.append(entry)
        self._sequences.append(entry.sequence)
        self._times.append(entry.at)
        self._kinds.setdefault(kind, []).append(position)
        for resource_id in about:
            self._positions[resource_id, kind].append(position)
        return entry

    def page(
        self,
        *,
        until: datetime,
        since: datetime | None = None,
        after_sequence: int | None = None,
        kinds: Collection[str] = (),
        about: str | None = None,
        itself_only: bool = False,
        limit: int = 100,
    ) -> list[Entry]:
        """The first `limit` entries in order, from `since` (inclusive) to `until` (inclusive).

        `kinds` holds whole kinds or bare resource types; empty means all. `about` keeps what concerns one resource:
        itself, and unless `itself_only` also what points to it. Costs the page and a few binary searches, whatever
        the length of the log.
        """
        first = bisect_left(self._times, since) if since else 0
        if after_sequence is not None:
            first = max(first, bisect_right(self._sequences, after_sequence))
        end = bisect_right(self._times, until)
        if about is None and not kinds:
            return self._entries[first : min(end, first + limit)]
        runs = [self._run(positions, first, end) for positions in self._selected(kinds, about, itself_only)]
        return [self._entries[position] for position in islice(heapq.merge(*runs), limit)]

    def _selected(self, kinds: Collection[str], about: str | None, itself_only: bool) -> Iterator[list[int]]:
        for kind, everywhere in self._kinds.items():
            if kinds and kind not in kinds and kind.partition("/")[0] not in kinds:
                continue
            positions = everywhere if about is None else self._positions.get((about, kind))
            if not positions:
                continue
            # All entries of one kind concern one type of resource, so the first tells whether `about` names it.
            if itself_only and self._entries[positions[0]].about[0] != about:
                continue
            yield positions

    @staticmethod
    def _run(positions: list[int], first: int, end: int) -> Iterator[int]:
        for index in range(bisect_left(positions, first), len(positions)):
            if positions[index] >= end:
                return
            yield positions[index]
