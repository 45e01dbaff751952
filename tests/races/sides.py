"""Processes racing each other, made deterministic: each side is a thread with its own connections, which can be stopped
between two statements of a transaction while the other side runs until it is done or waits for a lock.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import psycopg
from sqlalchemy import event
from sqlalchemy.engine import make_url

from connectors.sandbox.clock import VirtualClock
from tests.doubles import ModelMarketplace
from tests.servers import for_libpq
from tests.world import World
from worker.services import Services
from worker.store import Store

T = TypeVar("T")

WITHIN_SECONDS = 30.0

MARKETPLACE_CALLS = (
    "listing",
    "adjust",
    "adjustments",
    "changes",
    "close",
    "open",
    "trail",
    "edit",
    "set_state",
    "add",
)


class SharedMarketplace(ModelMarketplace):
    """The model marketplace for several threads: one call at a time, as its own database would have it."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._one_at_a_time = threading.RLock()
        for name in MARKETPLACE_CALLS:
            setattr(self, name, self._locked(getattr(self, name)))

    def _locked(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def locked(*arguments: Any, **named: Any) -> Any:
            with self._one_at_a_time:
                return call(*arguments, **named)

        return locked

    def listings(self) -> Iterator[Any]:
        with self._one_at_a_time:
            pages = list(super().listings())
        yield from pages


class Stop:
    """A place where a thread stops, once, until it is let go."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._let_go = threading.Event()
        self._armed = True

    def here(self) -> None:
        """Called by the thread that is to be stopped."""
        if self._armed:
            self._armed = False
            self._reached.set()
            assert self._let_go.wait(WITHIN_SECONDS), "nobody let this side go"

    def await_reached(self) -> None:
        assert self._reached.wait(WITHIN_SECONDS), "this side did not come to where it was to stop"

    def let_go(self) -> None:
        self._let_go.set()


class Side:
    """One process: its rooms, its connections, its thread."""

    def __init__(self, name: str, world: World, url: str) -> None:
        self.name = name
        self.store = Store(make_url(url).update_query_dict({"application_name": name}))
        self.services: Services = world.rooms(self.store)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._observer = for_libpq(url)

    def start(self, action: Callable[[], T]) -> Future[T]:
        return self._thread.submit(action)

    @contextmanager
    def stopping(self, *, before: str = "", after: str = "") -> Iterator[Stop]:
        """Stops this side before (or after) its next statement that matches."""
        stop, pattern = Stop(), re.compile(before or after, re.DOTALL)

        def look(_connection: Any, _cursor: Any, statement: str, *_ignored: Any) -> None:
            if pattern.search(" ".join(statement.split())):
                stop.here()

        moment = "before_cursor_execute" if before else "after_cursor_execute"
        event.listen(self.store.engine, moment, look)
        try:
            yield stop
        finally:
            stop.let_go()
            event.remove(self.store.engine, moment, look)

    def await_standstill(self, running: Future[Any]) -> None:
        """Until what runs here is done, or waits for a lock that somebody else has."""
        deadline = time.monotonic() + WITHIN_SECONDS
        while not running.done() and not self._waits_for_a_lock():
            assert time.monotonic() < deadline, f"{self.name} neither ends nor waits for a lock"
            threading.Event().wait(0.01)

    def _waits_for_a_lock(self) -> bool:
        with psycopg.connect(self._observer, autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'", (self.name,)
            )
            return found.fetchone() is not None

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self.store.dispose()


class Race:
    """Two sides on one database, in one world."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.a = Side("side-a", world, url)
        self.b = Side("side-b", world, url)

    def run(
        self, first: Callable[[], Any], second: Callable[[], Any], *, before: str = "", after: str = ""
    ) -> tuple[Any, Any]:
        """`first` on side A up to the place named; then `second` on side B as far as it comes; then both to their end.

        Returns what both returned; raises what one of them raised: a deadlock, for one.
        """
        with self.a.stopping(before=before, after=after) as stop:
            one = self.a.start(first)
            stop.await_reached()
            other = self.b.start(second)
            self.b.await_standstill(other)
            stop.let_go()
            return one.result(WITHIN_SECONDS), other.result(WITHIN_SECONDS)

    def close(self) -> None:
        self.a.close()
        self.b.close()
