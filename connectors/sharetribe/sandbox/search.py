"""The search index behind `listings/query`: newest first, and as far behind as it is told to be."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

from connectors.clock import Clock

from .entities import IndexedListing, Listing


class SearchIndex:
    """What a query finds. Not locked by itself: the marketplace's lock covers it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._indexed: dict[str, IndexedListing] = {}
        self._by_age: list[tuple[datetime, str]] = []
        self._coming: deque[tuple[float, IndexedListing]] = deque()

    def note(self, listing: Listing, total: int | None, *, lag_seconds: float) -> None:
        """A listing or its total is now this; searches learn of it after the lag, in the order of the changes."""
        self._coming.append((self._clock.monotonic() + lag_seconds, IndexedListing(listing, total)))
        self._catch_up()

    def by_ids(self, listing_ids: Sequence[str]) -> list[IndexedListing]:
        """Newest first, like every answer."""
        self._catch_up()
        found = [self._indexed[listing_id] for listing_id in listing_ids if listing_id in self._indexed]
        return sorted(found, key=lambda entry: (entry.listing.created_at, entry.listing.listing_id), reverse=True)

    def between(self, start: datetime | None, end: datetime | None) -> Sequence[IndexedListing]:
        """Everything created from `start` (inclusive) to `end` (exclusive), newest first, looked up as it is read."""
        self._catch_up()
        first = bisect_left(self._by_age, (start, "")) if start else 0
        last = bisect_left(self._by_age, (end, "")) if end else len(self._by_age)
        return _NewestFirst(self._by_age, self._indexed.__getitem__, first, max(first, last))

    def _catch_up(self) -> None:
        now = self._clock.monotonic()
        while self._coming and self._coming[0][0] <= now:
            self._take_in(self._coming.popleft()[1])

    def _take_in(self, entry: IndexedListing) -> None:
        listing = entry.listing
        age = (listing.created_at, listing.listing_id)
        known = listing.listing_id in self._indexed
        if listing.deleted:
            if known:
                del self._indexed[listing.listing_id]
                del self._by_age[bisect_left(self._by_age, age)]
            return
        self._indexed[listing.listing_id] = entry
        if not known:
            insort(self._by_age, age)


class _NewestFirst(Sequence[IndexedListing]):
    """A window on the index that costs only what is read of it: a page of it is no scan."""

    def __init__(
        self, by_age: list[tuple[datetime, str]], find: Callable[[str], IndexedListing], first: int, last: int
    ) -> None:
        self._by_age = by_age
        self._find = find
        self._first = first
        self._last = last

    def __len__(self) -> int:
        return self._last - self._first

    def __getitem__(self, index: int | slice) -> IndexedListing | list[IndexedListing]:  # type: ignore[override]
        if isinstance(index, slice):
            return [self._find(self._by_age[self._last - 1 - at][1]) for at in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._find(self._by_age[self._last - 1 - index][1])
