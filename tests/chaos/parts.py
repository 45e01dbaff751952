"""The processes of a run: started, killed, paused, and started again, each by its own pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

READY_WITHIN_SECONDS = 120.0
STOP_WITHIN_SECONDS = 60.0
LOOK_SECONDS = 0.05

TRUEUP = (sys.executable, "-c", "from worker.cli import main; main()")


class Part:
    """One process. What it writes is appended to `NAME.log`, over all its lives."""

    def __init__(
        self,
        name: str,
        folder: Path,
        command: Sequence[str | Path],
        *,
        ready: Callable[[], bool] | None = None,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        """`ready` tells whether it answers: then `start` waits for that. `directory` is where it works."""
        self.name = name
        self.log_path = folder / f"{name}.log"
        self.fault = threading.Lock()
        """Held for as long as a fault has this part."""
        self.ended_by_itself: list[int] = []
        """Exit codes of lives that nobody took."""
        self.did_not_end = 0
        """How often it had to be killed although it was only asked to end."""
        self._directory = directory
        self._command = command
        self._ready = ready
        self._user = user
        # Whatever configures the user's own trueup must not reach this one.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TRUEUP_", "CELERY_"))}
        self._environment = {**inherited, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it unless it runs; return once it answers, where that can be asked."""
        if not self.runs:
            with self.log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._directory,
                    user=self._user,
                    env=self._environment,
                    # Ctrl-C reaches the whole process group of a terminal; who stops when is for the run to say.
                    start_new_session=True,
                )
        if self._ready is not None:
            wait_until(self._ready, self.name, self.check_running)

    def check_running(self) -> None:
        """Raises RuntimeError, with the end of its log, when it has ended."""
        if not self.runs:
            tail = self.log_path.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} ended instead of becoming ready; its log ends:\n{tail}")

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "asked before `start`"
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, by the signal it understands, and insist after a while. Idempotent."""
        self._end(number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        self._signal(process.pid, number)
        self._signal(process.pid, signal.SIGCONT)
        try:
            process.wait(STOP_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.did_not_end += 1
            self._signal(process.pid, signal.SIGKILL)
            process.wait()

    def _signal(self, pid: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def pause(self) -> None:
        """SIGSTOP, to it and its children."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT, likewise."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        if self.runs:
            for pid in (self.pid, *children(self.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def restart_if_ended(self) -> None:
        """What an init system does. A part that a fault has is left to the fault."""
        if self.runs or not self.fault.acquire(blocking=False):
            return
        try:
            # Looked at again: a fault may have had it in between.
            process = self._process
            if process is not None and (code := process.poll()) is not None:
                self.ended_by_itself.append(code)
                self.start()
        finally:
            self.fault.release()


class Warden:
    """Looks whether parts have ended by themselves, and starts them again."""

    def __init__(self, parts: Sequence[Part], every_seconds: float = 1.0) -> None:
        self._parts = parts
        self._every_seconds = every_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="warden", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_seconds):
            for part in self._parts:
                part.restart_if_ended()


def wait_until(true: Callable[[], bool], what: str, check: Callable[[], None] = lambda: None) -> None:
    """Poll a condition. Raises RuntimeError when it takes too long, and whatever `check` raises."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not true():
        check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} was not ready within {READY_WITHIN_SECONDS:.0f} seconds")
        time.sleep(LOOK_SECONDS)


def children(parent: int) -> list[int]:
    """The processes that this one has started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in brackets, may hold anything; what comes after it is fixed.
            _state, its_parent = entry.read_text().rpartition(")")[2].split()[:2]
            if int(its_parent) == parent:
                found.append(int(entry.parent.name))
    return found
