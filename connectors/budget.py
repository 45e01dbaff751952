"""Rate budgets: how often, and how many at once, we may call what a vendor limits.

A connector names the scopes a call draws on; whoever opens the connector hands in the budgets. `LocalBudgets` serves
one process; `connectors.redis_budget.RedisBudgets` is shared by every process that shares the vendor's limit.

When a budget is short, a waiting stock write goes before a read and a read before a sweep; among equals, first come,
first served. Waiting is bounded: a caller that would wait longer than `max_wait_seconds` gets `RateLimited` and comes
back later, instead of blocking a worker thread.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from connectors.clock import Clock
from connectors.errors import RateLimited


class Priority(IntEnum):
    """Who goes first when a budget is short."""

    WRITE = 0
    READ = 1
    SWEEP = 2


@dataclass(frozen=True, slots=True)
class Scope:
    """One limit the vendor enforces."""

    key: str
    """Shared by all callers that share the vendor's limit, e.g. `sharetribe:commands:<host>`."""
    per_second: float | None
    """The average rate; None where the vendor limits none."""
    burst: int = 1
    """How many units may be spent at once after a quiet time."""
    in_flight: int | None = None
    """How many requests may be under way at once; None where the vendor limits none."""


class Budgets(Protocol):
    """Where calls wait for their turn. Safe for use from several threads."""

    def spend(self, scope: Scope, *, priority: Priority, cost: float = 1.0) -> AbstractContextManager[None]:
        """Wait for a turn on entering, hold one in-flight place until leaving.

        Raises `RateLimited`, on entering, when the wait would exceed the bound. A cost above the scope's burst is
        granted from a full budget and leaves it in debt. A caller that spends from several scopes takes them in one
        order everywhere, those with `in_flight` last, so that nobody holds a place while waiting for another.
        """

    def penalise(self, scope: Scope, seconds: float) -> None:
        """The vendor said to stay away: nobody spends from `scope` for that long. Never shortens a longer penalty."""

    def left(self) -> Mapping[str, float]:
        """How much of each scope that has been spent from is left, by key, from 0 to 1; 0 while a penalty lasts."""


@dataclass(frozen=True, slots=True)
class Denied:
    """No turn yet. `wait_seconds` until another try makes sense; None: when somebody gives a place back."""

    wait_seconds: float | None


class Line:
    """The callers of one process that wait for the same scope, in order of priority, then of arrival.

    Only the first in line tries. It waits for time to pass with the clock's own sleep, so that a virtual clock moves on
    instead of blocking; everybody else waits for the line to move. A caller of higher priority that arrives in the
    meantime becomes the first, and the former first notices when it wakes.
    """

    def __init__(self, key: str, clock: Clock, max_wait_seconds: float) -> None:
        self._key = key
        self._clock = clock
        self._max_wait_seconds = max_wait_seconds
        self._moved = threading.Condition()
        self._waiting: list[tuple[Priority, int]] = []
        self._arrivals = 0

    def pass_through(self, priority: Priority, attempt: Callable[[], Denied | None]) -> None:
        """Return once `attempt` was granted (None); raise `RateLimited` when that takes too long."""
        with self._moved:
            if not self._waiting and attempt() is None:
                return
            self._arrivals += 1
            place = (priority, self._arrivals)
            insort(self._waiting, place)
        try:
            self._wait_for_turn(place, attempt)
        finally:
            with self._moved:
                self._waiting.remove(place)
                self._moved.notify_all()

    def moved(self) -> None:
        """Somebody gave a place back."""
        with self._moved:
            if self._waiting:
                self._moved.notify_all()

    def _wait_for_turn(self, place: tuple[Priority, int], attempt: Callable[[], Denied | None]) -> None:
        deadline = self._clock.monotonic() + self._max_wait_seconds
        while True:
            # Tried under the lock, so that a place given back after the attempt cannot notify before we wait for it.
            with self._moved:
                denied = attempt() if self._waiting[0] == place else Denied(None)
                if denied is None:
                    return
                if denied.wait_seconds is None:
                    self._wait_for_a_move(deadline)
                    continue
            if self._clock.monotonic() + denied.wait_seconds > deadline:
                raise self._too_long(denied.wait_seconds)
            self._clock.sleep(denied.wait_seconds)

    def _wait_for_a_move(self, deadline: float) -> None:
        remaining_seconds = deadline - self._clock.monotonic()
        # A condition waits in real time: on a virtual clock that stands still, its own time-out is the bound.
        if remaining_seconds <= 0 or not self._moved.wait(remaining_seconds):
            raise self._too_long(None)

    def _too_long(self, wait_seconds: float | None) -> RateLimited:
        return RateLimited(
            f"no turn within {self._max_wait_seconds:g} s in the budget {self._key}; nothing was sent",
            code="budget",
            retry_after_seconds=wait_seconds,
        )


class LocalBudgets:
    """Budgets of one process: a token bucket and in-flight places per scope key."""

    def __init__(self, clock: Clock, *, max_wait_seconds: float = 30.0) -> None:
        self._clock = clock
        self._max_wait_seconds = max_wait_seconds
        self._lock = threading.Lock()
        self._accounts: dict[str, _Bucket] = {}

    def spend(self, scope: Scope, *, priority: Priority, cost: float = 1.0) -> AbstractContextManager[None]:
        """See `Budgets.spend`."""
        return _Turn(self._bucket(scope), priority, cost)

    def penalise(self, scope: Scope, seconds: float) -> None:
        """See `Budgets.penalise`."""
        self._bucket(scope).penalise(seconds)

    def left(self) -> Mapping[str, float]:
        """See `Budgets.left`; of this process alone."""
        with self._lock:
            buckets = dict(self._accounts)
        return {key: bucket.left() for key, bucket in buckets.items()}

    def _bucket(self, scope: Scope) -> _Bucket:
        bucket = self._accounts.get(scope.key)
        if bucket is None or bucket.scope is not scope:
            with self._lock:
                bucket = self._accounts.get(scope.key)
                if bucket is None:
                    bucket = self._accounts[scope.key] = _Bucket(scope, self._clock, self._max_wait_seconds)
                elif bucket.scope != scope:
                    # Two connectors on one key disagree, or a vendor raised its limit: the newest word counts.
                    bucket.scope = scope
        return bucket


def share_left(scope: Scope, tokens: float, in_flight: int) -> float:
    """What is left of the scarcer of a scope's two limits, from 0 to 1."""
    rate = 1.0 if scope.per_second is None else max(0.0, tokens) / scope.burst
    places = 1.0 if scope.in_flight is None else max(0, scope.in_flight - in_flight) / scope.in_flight
    return min(1.0, rate, places)


class _Bucket:
    """What is left of one scope."""

    def __init__(self, scope: Scope, clock: Clock, max_wait_seconds: float) -> None:
        self.scope = scope
        self.line = Line(scope.key, clock, max_wait_seconds)
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(scope.burst)
        self._counted_at = clock.monotonic()
        self._blocked_until = self._counted_at
        self._in_flight = 0

    def take(self, cost: float) -> Denied | None:
        scope = self.scope
        with self._lock:
            now = self._clock.monotonic()
            if now < self._blocked_until:
                return Denied(self._blocked_until - now)
            if scope.per_second is not None:
                self._earn(scope.per_second, now)
                missing = min(cost, float(scope.burst)) - self._tokens
                # Less than a billionth of a unit is the rounding of the sleep that was just slept.
                if missing > 1e-9:
                    return Denied(missing / scope.per_second)
            if scope.in_flight is not None and self._in_flight >= scope.in_flight:
                return Denied(None)
            if scope.per_second is not None:
                self._tokens -= cost
            self._in_flight += 1
            return None

    def left(self) -> float:
        scope = self.scope
        with self._lock:
            now = self._clock.monotonic()
            if now < self._blocked_until:
                return 0.0
            if scope.per_second is not None:
                self._earn(scope.per_second, now)
            return share_left(scope, self._tokens, self._in_flight)

    def _earn(self, per_second: float, now: float) -> None:
        earned = (now - self._counted_at) * per_second
        self._tokens = min(float(self.scope.burst), self._tokens + earned)
        self._counted_at = now

    def give_back(self) -> None:
        with self._lock:
            self._in_flight -= 1
        self.line.moved()

    def penalise(self, seconds: float) -> None:
        with self._lock:
            self._blocked_until = max(self._blocked_until, self._clock.monotonic() + seconds)


class _Turn(AbstractContextManager[None]):
    """One caller's turn at one bucket. A class rather than a generator: it stands in the way of every call."""

    __slots__ = ("_bucket", "_cost", "_priority")

    def __init__(self, bucket: _Bucket, priority: Priority, cost: float) -> None:
        self._bucket = bucket
        self._priority = priority
        self._cost = cost

    def __enter__(self) -> None:
        bucket, cost = self._bucket, self._cost
        bucket.line.pass_through(self._priority, lambda: bucket.take(cost))

    def __exit__(self, *_: object) -> None:
        self._bucket.give_back()
