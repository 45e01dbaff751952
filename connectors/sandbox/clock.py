"""Clocks that can be moved: for tests, and for a sandbox told to live a quarter of an hour later."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connectors.clock import Clock


class MovableClock(Clock, Protocol):
    """A clock whose owner may let time pass."""

    def advance(self, seconds: float) -> None:
        """Let `seconds` (0 or more) pass at once."""


class VirtualClock:
    """Time stands still until it is moved. Sleeping moves it, so code under test never really waits. Thread-safe."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._elapsed_seconds = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Where it stands."""
        return self._now

    def monotonic(self) -> float:
        """All that has passed on it."""
        return self._elapsed_seconds

    def sleep(self, seconds: float) -> None:
        """Move on by `seconds`, without waiting."""
        if seconds > 0:
            self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, 0 or more."""
        if seconds < 0:
            raise ValueError(f"a clock cannot advance by {seconds} seconds; use set() for a step back")
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._elapsed_seconds += seconds

    def set(self, moment: datetime) -> None:
        """Step to `moment`, which may lie in the past, as a wall clock does when it is corrected.

        The monotonic reading follows a step forward and ignores a step back.
        """
        with self._lock:
            self._elapsed_seconds += max(0.0, (moment - self._now).total_seconds())
            self._now = moment


class OffsetClock:
    """Another clock, running ahead by what `advance` has added up. Thread-safe."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._offset_seconds = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The other clock's time, plus the offset."""
        return self._base.now() + timedelta(seconds=self._offset_seconds)

    def monotonic(self) -> float:
        """The other clock's reading, plus the offset."""
        return self._base.monotonic() + self._offset_seconds

    def sleep(self, seconds: float) -> None:
        """Wait as the other clock does."""
        self._base.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Run ahead by `seconds` more, 0 or more."""
        if seconds < 0:
            raise ValueError(f"a clock cannot advance by {seconds} seconds")
        with self._lock:
            self._offset_seconds += seconds


def movable(clock: Clock) -> MovableClock:
    """The clock itself when it can be moved already, else an offset laid over it."""
    if isinstance(clock, (VirtualClock, OffsetClock)):
        return clock
    return OffsetClock(clock)
