"""Real processes, killed while they work: at the end every number is what it must be, by the demo's own proof."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from tests.integration.conftest import build_schema
from tests.servers import PostgresServer, free_port
from worker.demo import replay, sales, setting
from worker.demo.main import Options, Scene
from worker.demo.processes import ServerProcess

CODE = Path(__file__).parents[2]
LINES = 1500
WITHIN_SECONDS = 120.0

pytestmark = pytest.mark.timeout(400)


class KilledScene(Scene):
    """The demo, but trueup's processes are killed and started again while orders come in."""

    def __init__(self, options: Options, folder: Path) -> None:
        super().__init__(options, replay.plan(sales.read(None), limit=options.limit), folder)
        self.port = free_port()
        self.kills = 0

    def _write_port(self, more: str = "") -> None:
        text = self._configuration.read_text(encoding="utf-8")
        text = text.replace("[web]\nport = 0", f"[web]\nport = {self.port}")
        # What the killed one had leased is taken over soon.
        text = text.replace("[policy]", "[policy]\nlease_seconds = 5")
        self._configuration.write_text(text + more, encoding="utf-8")

    def _kill_twice(self) -> None:
        """Once a tenth and once a half of what will be written has been written."""
        for share in (0.1, 0.5):
            wanted = share * len(self._catalogue.listings)
            deadline = time.monotonic() + WITHIN_SECONDS
            while self._applied() < wanted and time.monotonic() < deadline:
                time.sleep(0.02)
            self._kill()
            self.kills += 1

    def _applied(self) -> int:
        return self._marketplace.writes(self._marketplace.counts()).applied

    def _check_trueup(self) -> None:
        """That it ends is the point here."""

    def _kill(self) -> None:
        raise AssertionError

    def _kill_meanwhile(self) -> None:
        killer = threading.Thread(target=self._kill_twice, daemon=True)
        killer.start()
        self._stack_of_trueup.callback(killer.join)


class EmbeddedScene(KilledScene):
    """Embedded: one process on SQLite."""

    def _start_trueup(self) -> None:
        self._write_port()
        super()._start_trueup()
        self._kill_meanwhile()

    def _kill(self) -> None:
        os.kill(self._trueup.pid, signal.SIGKILL)
        again = ServerProcess("trueup", ("worker.demo.service", str(self._configuration)), self._folder)
        self._stack_of_trueup.enter_context(again)
        again.wait_until_ready()
        self._trueup = again


class Silent:
    """Stands where the demo's own trueup process would answer questions."""

    pid = 0

    def ask(self, question: str) -> Mapping[str, Any]:
        return {"cpu_seconds": 0.0, "peak_rss_mb": 0.0, "calls": 0}


class ServiceScene(KilledScene):
    """Service mode: PostgreSQL, Redis, two workers, beat and web. One worker at a time is killed."""

    def __init__(self, options: Options, folder: Path, redis_url: str) -> None:
        super().__init__(options, folder)
        self._redis_url = redis_url
        self._workers: list[subprocess.Popen[bytes]] = []

    def _start_trueup(self) -> None:
        self._write_port(f'\n[broker]\nurl = "{self._redis_url}"\n')
        self._workers = [self._run("worker"), self._run("worker")]
        self.beat, self.web = self._run("beat"), self._run("web")
        self._trueup = Silent()  # type: ignore[assignment]
        self._receiver_url = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + WITHIN_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, "the receiver does not listen"
            time.sleep(0.1)
        setting.subscribe(self._configuration, self._receiver_url)
        self._kill_meanwhile()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self._receiver_url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def _run(self, command: str, *, code: Path = CODE) -> subprocess.Popen[bytes]:
        with (self._folder / f"{command}-{time.monotonic_ns()}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", "from worker.cli import main; main()", command, "--config", self._configuration],
                cwd=code,
                env=os.environ | {"PYTHONPATH": str(code)},
                stdout=log,
                stderr=log,
            )
        self._stack_of_trueup.callback(_end, process)
        return process

    def _kill(self) -> None:
        victim = self._workers.pop(0)
        victim.kill()
        victim.wait()
        self._workers.append(self._run("worker"))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def prove(scene: KilledScene) -> None:
    with scene:
        outcome = scene.play()
    assert scene.kills == 2
    assert outcome.differences == []
    assert outcome.proof.units_applied > 0


def test_the_embedded_process_is_killed_twice_and_every_number_is_right(tmp_path: Path) -> None:
    prove(EmbeddedScene(Options(limit=LINES, seed=11, console=Console(quiet=True)), tmp_path))


def test_workers_are_killed_in_service_mode_and_every_number_is_right(
    tmp_path: Path, postgres_server: PostgresServer, redis_url: str
) -> None:
    database = postgres_server.fresh(build_schema)
    options = Options(limit=LINES, seed=12, console=Console(quiet=True), database=database)
    prove(ServiceScene(options, tmp_path, redis_url))
