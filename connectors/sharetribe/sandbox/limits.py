"""Rate and concurrency limits, per client address (docs, "Rate limiting in Sharetribe APIs")."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from connectors.clock import Clock

from .options import Options, Profile


class OverLimitError(Exception):
    """The request is refused and not executed. `retry_after_seconds` is when the next one would pass."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("Too many requests.")
        self.retry_after_seconds = retry_after_seconds


@dataclass(slots=True)
class _Bucket:
    per_second: float
    burst: int
    level: float
    read_at: float

    def take(self, now: float) -> None:
        self.level = min(self.burst, self.level + (now - self.read_at) * self.per_second)
        self.read_at = now
        if self.level < 1:
            raise OverLimitError(max(1, math.ceil((1 - self.level) / self.per_second)))
        self.level -= 1


class Limits:
    """Every limit of one profile. Used from the event loop only."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._clock = clock
        self._concurrent = options.concurrent
        self._in_flight: Counter[str] = Counter()
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._rates: dict[str, tuple[float, int]] = {
            "listings/create": (options.creations_per_minute / 60, options.creations_per_minute)
        }
        if options.profile is Profile.DEV:
            self._rates |= {"GET": (1.0, options.query_burst), "POST": (0.5, options.command_burst)}

    @contextmanager
    def admit(self, address: str, method: str, operation: str) -> Iterator[None]:
        """Hold one request's place for the length of the block. Raises `OverLimitError`."""
        if self._concurrent is not None and self._in_flight[address] >= self._concurrent:
            raise OverLimitError(1)
        for rate in (method, operation):
            if rate in self._rates:
                self._bucket(address, rate).take(self._clock.monotonic())
        self._in_flight[address] += 1
        try:
            yield
        finally:
            self._in_flight[address] -= 1

    def _bucket(self, address: str, rate: str) -> _Bucket:
        bucket = self._buckets.get((address, rate))
        if bucket is None:
            per_second, burst = self._rates[rate]
            bucket = self._buckets[address, rate] = _Bucket(per_second, burst, burst, self._clock.monotonic())
        return bucket
