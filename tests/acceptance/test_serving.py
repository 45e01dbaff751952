"""`trueup run`, `worker`, `beat` and `web` as processes of their own: they start, work, and end well on SIGTERM."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from worker.store import Store
from worker.store.migrate import upgrade

WITHIN_SECONDS = 60.0

CONFIGURATION = """
[database]
url = "sqlite:///{folder}/trueup.db"
[broker]
url = "{broker}"
[marketplace]
connector = "sharetribe"
client_id = "id"
client_secret = "env:ST_SECRET"
base_url = "http://127.0.0.1:9"
[web]
port = 0
[console]
port = 0
[log]
format = "json"
"""

Start = Callable[..., "Process"]


class Process:
    """One `trueup` process, whose standard error is a file."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        """`variables` are further ones of its environment."""
        self._log = folder / f"{arguments[0]}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from worker.cli import main; main()", *arguments],
                cwd=Path(__file__).parents[2],
                env={
                    "ST_SECRET": "secret",
                    "PATH": "/usr/bin:/bin",
                    "TRUEUP_CONFIG": str(folder / "trueup.toml"),
                    **variables,
                },
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def until(self, pattern: str) -> str:
        """Wait for a line of the log; returns what the pattern's group found."""
        deadline = time.monotonic() + WITHIN_SECONDS
        while not (found := re.search(pattern, self.log)):
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)
        return found[found.re.groups]

    def end(self, within_seconds: float = WITHIN_SECONDS) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self.wait(within_seconds)

    def wait(self, within_seconds: float = WITHIN_SECONDS) -> int:
        return self._process.wait(within_seconds)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def migrate(folder: Path) -> None:
    store = Store(f"sqlite:///{folder}/trueup.db")
    upgrade(store)
    store.dispose()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes; whatever is left of them at the end is killed."""
    started: list[Process] = []

    def run(*arguments: str, broker: str = "memory://") -> Process:
        (tmp_path / "trueup.toml").write_text(CONFIGURATION.format(folder=tmp_path, broker=broker))
        migrate(tmp_path)
        started.append(Process(tmp_path, *arguments))
        return started[-1]

    yield run
    for process in started:
        process.kill()


def test_run_receives_until_it_is_told_to_end(start: Start) -> None:
    process = start("run")
    address = process.until(r"Receiving on (http://\S+)\. ")
    assert httpx.get(f"{address}/healthz").status_code == 200
    assert process.end() == 0, process.log
    assert "embedded_stopped" in process.log
    assert "Traceback" not in process.log


def test_run_says_in_a_sentence_that_its_database_cannot_be_used(tmp_path: Path) -> None:
    nowhere = tmp_path / "no-such-folder"
    (tmp_path / "trueup.toml").write_text(CONFIGURATION.format(folder=nowhere, broker="memory://"))
    process = Process(tmp_path, "run")
    assert process.wait() == 3, process.log
    assert "The database cannot be used" in process.log
    assert "Traceback" not in process.log


@pytest.mark.parametrize("command", ["run", "web"])
def test_an_address_that_is_taken_ends_the_start_before_anything_is_received(
    tmp_path: Path, redis_url: str, command: str
) -> None:
    migrate(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configuration = CONFIGURATION.format(folder=tmp_path, broker=redis_url if command == "web" else "memory://")
        (tmp_path / "trueup.toml").write_text(configuration.replace("[console]\nport = 0", f"[console]\nport = {port}"))
        process = Process(tmp_path, command)
        assert process.wait() == 3, process.log
    assert f"Cannot listen on 127.0.0.1:{port}" in process.log
    assert "Receiving on" not in process.log
    assert "beat: Starting" not in process.log
    assert "Traceback" not in process.log


def test_worker_beat_and_web_share_a_broker_and_end_when_told(start: Start, redis_url: str) -> None:
    worker, beat, web = (start(name, broker=redis_url) for name in ("worker", "beat", "web"))
    # Beat rings, and the worker answers.
    beat.until("beat: Starting")
    worker.until(r"trueup\.\w+")
    address = web.until(r"Receiving on (http://\S+)\. ")
    assert httpx.get(f"{address}/healthz").status_code == 200
    # The console is another address, and neither is the other.
    console = web.until(r"Console on (http://\S+)\.\s")
    assert (httpx.get(f"{console}/sign-in").status_code, httpx.get(f"{address}/sign-in").status_code) == (200, 404)
    assert httpx.get(f"{console}/healthz").status_code == 404
    for process in (beat, web, worker):
        assert process.end() == 0, process.log
        assert "Traceback" not in process.log
