"""The seeded scheduler: many processes in one thread, on time that passes only here.

A task is a greenlet of some process. It runs until it meets a *boundary* (a transaction, a call, a sleep) and parks
there; the scheduler then goes on with whatever is due first. What lies between two boundaries is never interrupted,
exactly as a database transaction or one request at a vendor is not. Nothing here asks the machine for time or chance,
so one seed gives one history.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from greenlet import getcurrent, greenlet

from connectors.sandbox.clock import VirtualClock

LOOKS_AGAIN_SECONDS = 0.05
"""How often a parked waiter looks whether a lock is free."""


class Crashed(SystemExit):
    """The process of this task is dead: nothing of it may run on."""


class Process:
    """One life of one process. After a crash a new one is made."""

    def __init__(self, name: str, *, skew_seconds: float = 0.0) -> None:
        self.name = name
        self.skew_seconds = skew_seconds
        """Its host's clock less the true time."""
        self.dead = False
        self.stopped_until = 0.0
        """While it is stopped (SIGSTOP, a machine that is moved), none of its tasks goes on."""

    def live(self) -> None:
        """Raises `Crashed` when it is dead."""
        if self.dead:
            raise Crashed


class Task:
    """One thread of work of one process."""

    def __init__(self, process: Process, run: Callable[[], object], hub: greenlet) -> None:
        self.process = process
        # Wherever it was begun, it ends where the scheduler is.
        self.strand = greenlet(run, hub)


class Signal:
    """Something a task waits for: set once, with what it brings."""

    def __init__(self) -> None:
        self.is_set = False
        self.value: Any = None
        self.waiting: Task | None = None


class Scheduler:
    """Time, and everything that is going to happen in it."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._hub = getcurrent()
        self._task: Task | None = None
        self._parked: dict[int, Task] = {}
        self.failures: list[tuple[str, BaseException]] = []
        """What tasks raised that nobody handles: the process's name, and the error."""
        self.switches = 0

    @property
    def now(self) -> float:
        """Seconds since the beginning, by the true time."""
        return self.clock.monotonic()

    @property
    def process(self) -> Process | None:
        """Whose task is running; None for people and vendors."""
        return self._task.process if self._task else None

    # --- what is to happen ------------------------------------------------------------------------------------

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let `action` happen then, outside of any task."""
        heapq.heappush(self._coming, (self.now + seconds, next(self._order), action))

    def spawn(self, process: Process, run: Callable[[], object]) -> None:
        """Begin a task now, or as soon as its process is not stopped."""

        def guarded() -> None:
            try:
                process.live()
                run()
            except Crashed:
                pass
            except Exception as error:  # noqa: BLE001  a verdict about the code under test, not an accident here
                self.failures.append((process.name, error))

        task = Task(process, guarded, self._hub)
        self.after(0.0, lambda: self._switch(task))

    def run_until(self, moment: float) -> None:
        """Let everything happen that is due up to `moment`."""
        while self._coming and self._coming[0][0] <= moment:
            at, _, action = heapq.heappop(self._coming)
            if at > self.now:
                self.clock.advance(at - self.now)
            action()
        if moment > self.now:
            self.clock.advance(moment - self.now)

    # --- within a task ----------------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """Park the running task for that long. Raises `Crashed` when its process died meanwhile."""
        task = self._running()
        task.process.live()
        self.after(seconds, lambda: self._switch(task))
        self._park(task)

    def wait(self, signal: Signal) -> Any:
        """Park the running task until the signal is set; returns its value. Raises `Crashed`."""
        task = self._running()
        if not signal.is_set:
            signal.waiting = task
            self._park(task)
        task.process.live()
        return signal.value

    def set(self, signal: Signal, value: Any) -> None:
        """Set a signal once; who waits for it goes on at this moment."""
        if signal.is_set:
            return
        signal.is_set, signal.value = True, value
        if signal.waiting is not None:
            task = signal.waiting
            self.after(0.0, lambda: self._switch(task))

    def _running(self) -> Task:
        if self._task is None:
            raise RuntimeError("only a task can park")
        return self._task

    def _park(self, task: Task) -> None:
        self._parked[id(task)] = task
        self._hub.switch()
        del self._parked[id(task)]
        task.process.live()

    def close(self) -> None:
        """End every task that is still parked, as if all processes crashed."""
        self._coming.clear()
        for task in list(self._parked.values()):
            task.process.dead = True
            task.strand.switch()
        self._coming.clear()

    def _switch(self, task: Task) -> None:
        process = task.process
        if process.stopped_until > self.now and not process.dead:
            self.after(process.stopped_until - self.now, lambda: self._switch(task))
            return
        self.switches += 1
        outer, self._task = self._task, task
        try:
            task.strand.switch()
        finally:
            self._task = outer


class ProcessClock:
    """Time as one process sees it: off by its host's skew; sleeping lets others go on."""

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        self._scheduler = scheduler
        self._process = process

    def now(self) -> datetime:
        """The host's idea of now."""
        skew = self._process.skew_seconds
        now = self._scheduler.clock.now()
        return now + timedelta(seconds=skew) if skew else now

    def monotonic(self) -> float:
        """A monotonic clock has no skew."""
        return self._scheduler.now

    def sleep(self, seconds: float) -> None:
        """Park for that long; zero or less returns at once."""
        if seconds > 0:
            self._scheduler.sleep(seconds)


class SideBySide(Executor):
    """Runs what is submitted as tasks of the same process, under the scheduler."""

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        self._scheduler = scheduler
        self._process = process

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `Executor.submit`."""
        future = _Parking(self._scheduler)

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except Crashed as crash:
                future.set_exception(crash)
            except Exception as error:  # noqa: BLE001  as an executor does
                future.set_exception(error)
            self._scheduler.set(future.ended, None)

        self._scheduler.spawn(self._process, run)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing to end."""


class ParkingLock:
    """A lock whose waiter parks instead of blocking the thread."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._held = False

    def __enter__(self) -> None:
        while self._held:
            self._scheduler.sleep(LOOKS_AGAIN_SECONDS)
        self._held = True

    def __exit__(self, *exception: object) -> None:
        self._held = False


class _Parking(Future[Any]):
    """A future whose waiter parks instead of blocking the thread."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self.ended = Signal()

    def result(self, timeout: float | None = None) -> Any:
        """See `Future.result`."""
        if not self.done():
            self._scheduler.wait(self.ended)
        return super().result(timeout=0)
