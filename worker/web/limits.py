"""What keeps a flood from outside out of the log and off the vendors."""

from __future__ import annotations

from collections.abc import Hashable

from connectors.clock import Clock


class Seldom:
    """Lets one of many like events through in a while, and counts the others. For one thread."""

    def __init__(self, clock: Clock, every_seconds: float) -> None:
        self._clock = clock
        self._every_seconds = every_seconds
        self._last: dict[Hashable, float] = {}
        self._kept_back: dict[Hashable, int] = {}

    def lets_through(self, kind: Hashable) -> int | None:
        """How many events this one stands for, itself included; None when it is kept back.

        Kinds must come from a bounded set: they are remembered.
        """
        now = self._clock.monotonic()
        last = self._last.get(kind)
        if last is not None and now - last < self._every_seconds:
            self._kept_back[kind] = self._kept_back.get(kind, 0) + 1
            return None
        self._last[kind] = now
        return self._kept_back.pop(kind, 0) + 1
