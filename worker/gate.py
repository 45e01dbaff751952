"""How many threads of one process do the same work at once.

Rings come faster than drains end. Without a gate every thread would soon drain the same queue, and nobody would read
the feed. Who finds the gate closed leaves at once, and whoever is inside looks once more before leaving: no ring is
lost.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Lets a few in; remembers that others came."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0
        self._missed = False
        self._lock = threading.Lock()

    @contextmanager
    def entered(self) -> Iterator[Iterator[None]]:
        """The rounds to make: none when it is full, else one, and one more for as long as others came meanwhile."""
        visit = _Visit(self)
        try:
            yield visit.rounds()
        finally:
            visit.leave()

    def _let_in(self) -> bool:
        with self._lock:
            if self._inside >= self._most:
                self._missed = True
                return False
            self._inside += 1
            return True

    def _let_out(self, *, unless_missed: bool) -> bool:
        """Asking whether others came and leaving are one step: who comes between them would be forgotten."""
        with self._lock:
            if unless_missed and self._missed:
                self._missed = False
                return False
            self._inside -= 1
            return True


class _Visit:
    """One thread at the gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._is_inside = gate._let_in()  # noqa: SLF001  the two belong together

    def rounds(self) -> Iterator[None]:
        while self._is_inside:
            yield
            self._is_inside = not self._gate._let_out(unless_missed=True)  # noqa: SLF001

    def leave(self) -> None:
        if self._is_inside:
            self._gate._let_out(unless_missed=False)  # noqa: SLF001
            self._is_inside = False
