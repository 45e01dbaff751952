"""Room for what waits on the accounts of others: who is slow stands aside, and nobody waits for who hangs.

Each visit of a channel has a thread of its own, because nothing but the visit itself can end the wait for an answer. So
their number is bounded, and the bound must not be what a few accounts use up: a visit that takes long, or that goes to
an account in trouble, moves from the quick lane to the slow one, and one whose call never comes back to neither.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import structlog

from connectors.clock import Clock

log = structlog.get_logger(__name__)

SLOW_AFTER_SECONDS = 3.0
"""A visit that has taken so long leaves the quick lane."""
SLOW_PLACES = 3
"""How many the slow lane holds, for each place in the quick one."""
END_SECONDS = 10.0
"""How long the end of the process waits for visits; what they have not brought to an end is begun again by others."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a visit is for, and whom it visits. There is one at a time of each."""

    purpose: str
    channel: str


@dataclass(frozen=True, slots=True)
class Room:
    """How many visits may begin now."""

    quick: int
    """To accounts that work."""
    slow: int
    """To accounts that did not answer the last time."""


@dataclass(slots=True)
class _Visit:
    began_at: float
    slow: bool


class Lanes:
    """The visits of one process."""

    def __init__(self, places: int, clock: Clock, executor: Executor) -> None:
        """`places`: of the quick lane."""
        self._places = places
        self._clock = clock
        self._executor = executor
        self._visits: dict[Key, _Visit] = {}
        self._lock = threading.Lock()

    def under_way(self) -> frozenset[Key]:
        """What is being visited."""
        with self._lock:
            return frozenset(self._visits)

    def room(self, stuck: Collection[str] = ()) -> Room:
        """How much room there is, when visits of the channels in `stuck` never end."""
        now = self._clock.monotonic()
        with self._lock:
            counted = [visit for key, visit in self._visits.items() if key.channel not in stuck]
        slow = sum(visit.slow or now - visit.began_at >= SLOW_AFTER_SECONDS for visit in counted)
        room_for_slow = self._places * SLOW_PLACES - slow
        # Who finds the slow lane full stays in the quick one.
        quick = len(counted) - slow + max(0, -room_for_slow)
        return Room(max(0, self._places - quick), max(0, room_for_slow))

    def begin(self, key: Key, visit: Callable[[], None], *, slow: bool) -> None:
        """Begin a visit, unless there is one of this key."""
        with self._lock:
            if key in self._visits:
                return
            self._visits[key] = _Visit(self._clock.monotonic(), slow)
        try:
            self._executor.submit(self._run, key, visit)
        except BaseException:
            self._end(key)
            raise

    def _run(self, key: Key, visit: Callable[[], None]) -> None:
        try:
            with structlog.contextvars.bound_contextvars(channel=key.channel, visit=key.purpose):
                visit()
        except SystemExit:
            raise
        except BaseException:
            log.exception("visit_failed", channel=key.channel, visit=key.purpose)
            raise
        finally:
            self._end(key)

    def _end(self, key: Key) -> None:
        with self._lock:
            del self._visits[key]


class Threads(Executor):
    """A thread for whatever is submitted, that does not keep the process from ending."""

    def __init__(self) -> None:
        self._running: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `Executor.submit`; whoever submits bounds how many."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  as an executor does; a visit tells its failures by itself
                future.set_exception(error)
            finally:
                with self._lock:
                    self._running.discard(threading.current_thread())

        thread = threading.Thread(target=run, name="visit", daemon=True)
        with self._lock:
            if self._closed:
                message = "this process is ending"
                raise RuntimeError(message)
            self._running.add(thread)
        thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT002  as its base has it
        """Take nothing more; wait a little for what runs, and no longer: a thread in a call may never come back."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        if not wait:
            return
        deadline = time.monotonic() + END_SECONDS
        for thread in running:
            thread.join(max(0.0, deadline - time.monotonic()))
