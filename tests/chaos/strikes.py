"""Carrying faults out: each in a thread of its own, logged with its time, and undone when it ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.chaos.backing import Postgres, RabbitServer, RedisServer
from tests.chaos.disk import SmallDisk
from tests.chaos.parts import Part
from tests.chaos.plan import Fault, Kind
from tests.chaos.proxy import Line


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault as it happened. Moments are monotonic seconds."""

    fault: Fault
    at: datetime
    began: float
    ended: float


@dataclass(frozen=True)
class Targets:
    """What there is to strike, by name."""

    parts: Mapping[str, Part]
    lines: Mapping[str, Line]
    paused_only: Mapping[str, int]
    """Pids of processes that are never killed: a vendor forgets nothing when a customer has trouble."""
    postgres: Postgres | None = None
    disk: SmallDisk | None = None


class Strikes:
    """Carries out the faults of one round."""

    def __init__(self, targets: Targets, tell: Callable[[str], None]) -> None:
        """`tell` takes one line for each fault as it begins."""
        self._targets = targets
        self._tell = tell
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self.struck: list[Struck] = []

    def run(self, faults: Sequence[Fault], round_began: float) -> None:
        """Begin each at its moment and return when all have ended. Raises what went wrong with carrying them out."""
        for fault in faults:
            time.sleep(max(0.0, round_began + fault.at_seconds - time.monotonic()))
            thread = threading.Thread(target=self._strike, args=(fault,), name=f"{fault.kind} {fault.target}")
            thread.start()
            self._threads.append(thread)
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _strike(self, fault: Fault) -> None:
        at, began = datetime.now(UTC), time.monotonic()
        self._tell(f"{at:%H:%M:%S.%f}"[:-3] + f"  {fault.kind}  {fault.target}  {fault.seconds:.1f} s")
        try:
            with self._under(fault):
                time.sleep(fault.seconds)
        except BaseException as failure:  # noqa: BLE001  raised again by `run`, in the thread that waits
            self._failures.append(failure)
        self.struck.append(Struck(fault, at, began, time.monotonic()))

    @contextmanager
    def _under(self, fault: Fault) -> Iterator[None]:
        """The fault holds inside the block."""
        match fault.kind:
            case Kind.CUT | Kind.SLOW | Kind.SILENCE | Kind.REFUSE:
                with self._on_line(fault):
                    yield
            case Kind.PAUSE if fault.target in self._targets.paused_only:
                with self._still(self._targets.paused_only[fault.target]):
                    yield
            case Kind.FULL:
                disk = self._targets.disk
                assert disk is not None
                disk.fill()
                try:
                    yield
                finally:
                    disk.free()
            case _:
                part = self._targets.parts[fault.target]
                with part.fault, self._on_part(fault.kind, part):
                    yield

    @contextmanager
    def _on_line(self, fault: Fault) -> Iterator[None]:
        line = self._targets.lines[fault.target]
        {Kind.CUT: line.cut, Kind.SLOW: line.slow, Kind.SILENCE: line.silence, Kind.REFUSE: line.refuse}[fault.kind]()
        try:
            yield
        finally:
            line.mend()

    @contextmanager
    def _still(self, pid: int) -> Iterator[None]:
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def _on_part(self, kind: Kind, part: Part) -> Iterator[None]:
        match kind:
            case Kind.PAUSE:
                part.pause()
            case Kind.KILL:
                part.kill()
            case Kind.IMMEDIATE | Kind.KILL_BACKEND:
                assert isinstance(part, Postgres)
                part.stop_immediately() if kind is Kind.IMMEDIATE else part.kill_a_session()
            case Kind.RESTART | Kind.FLUSH:
                assert isinstance(part, RedisServer | RabbitServer)
                if kind is Kind.FLUSH:
                    part.flush()
                else:
                    part.end()
                    part.forget()
            case _:
                raise AssertionError(kind)
        try:
            yield
        finally:
            if kind is Kind.PAUSE:
                part.resume()
            part.start()
