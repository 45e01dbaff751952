"""One at a time by name, within this process: for vendors that lose one of two changes made at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from weakref import WeakValueDictionary

Lock = Callable[[], AbstractContextManager[Any]]
"""Makes a lock; `threading.Lock` is one. What it makes can be referred to weakly."""


class Turns:
    """Safe for use from several threads. Keeps nothing of a name that nobody has, or waits for, the turn of."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._turns: WeakValueDictionary[str, AbstractContextManager[Any]] = WeakValueDictionary()
        self._queueing = threading.Lock()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Waits until nobody else in this process has the turn of this name."""
        with self._queueing:
            turn = self._turns.get(name)
            if turn is None:
                turn = self._turns[name] = self._lock()
        with turn:
            yield
