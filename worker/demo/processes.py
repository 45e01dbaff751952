"""Servers in processes of their own: started, waited for, stopped by their handle."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

READY_SECONDS = 60.0
STOP_SECONDS = 40.0
LOG_TAIL_CHARACTERS = 2000


class ProcessFailureError(Exception):
    """A server process did not start, or ended early. The message holds the end of its log."""


class ServerProcess:
    """A Python module that prints one JSON line when it is ready, and ends on SIGTERM."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        """Start it; its standard error goes to `NAME.log` in `folder`."""
        self.name = name
        self.log_path = folder / f"{name}.log"
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and modules
                [sys.executable, "-m", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C reaches the whole process group of a terminal; who stops when is for the demo to say.
                start_new_session=True,
                # Whatever configures the user's own trueup must not reach this one.
                env={name: value for name, value in os.environ.items() if not name.startswith("TRUEUP_")},
            )
        self.ready: Mapping[str, Any] = {}

    def wait_until_ready(self) -> Mapping[str, Any]:
        """The line it printed. Raises `ProcessFailureError`."""
        self.ready = self.read_line(READY_SECONDS)
        return self.ready

    def read_line(self, within_seconds: float) -> Mapping[str, Any]:
        """The next JSON line. Raises `ProcessFailureError` when it ends or stays silent."""
        output = self._process.stdout
        assert output is not None  # noqa: S101  it was started with a pipe
        deadline = time.monotonic() + within_seconds
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(output.fileno(), 65536) if readable else b""
            if not piece:
                what = "ended" if readable else f"said nothing for {within_seconds:.0f} seconds"
                raise ProcessFailureError(f"{self.name} {what}; its log ends:\n{self._log_tail()}")
            line += piece
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    def ask(self, question: str, within_seconds: float = READY_SECONDS) -> Mapping[str, Any]:
        """Write one line to its standard input and read one back. Raises `ProcessFailureError`."""
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101  it was started with a pipe
        try:
            stdin.write(f"{question}\n".encode())
            stdin.flush()
        except OSError as error:
            raise ProcessFailureError(f"{self.name} ended; its log ends:\n{self._log_tail()}") from error
        return self.read_line(within_seconds)

    @property
    def pid(self) -> int:
        return self._process.pid

    def check_running(self) -> None:
        """Raises `ProcessFailureError` when it has ended."""
        if self._process.poll() is not None:
            raise ProcessFailureError(f"{self.name} ended; its log ends:\n{self._log_tail()}")

    def stop(self) -> None:
        """Ask it to end, and insist after a while. Idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _log_tail(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:]
