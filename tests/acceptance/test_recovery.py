"""Real processes whose database is set back, or whose Redis is gone for good: at the end every number is what it must
be, by the demo's own proof.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.progress import Progress

from tests.acceptance.test_killed import EmbeddedScene, ServiceScene, prove
from tests.integration.conftest import build_schema
from tests.servers import PostgresServer, free_port, redis_binary
from worker.demo import quiet
from worker.demo.main import Options
from worker.demo.processes import ServerProcess
from worker.demo.proof import Difference

LINES = 1200
WITHIN_SECONDS = 60.0

pytestmark = pytest.mark.timeout(600)


class RestoredScene(EmbeddedScene):
    """The first time, the running database is copied; the second time, all is killed and the copy put in its place.

    Before that the shop pauses until nothing moves: units that were cancelled, but not yet given back, of an order that
    the copy does not know, would be held for a person, as they should.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        super().__init__(options, folder)
        self._pausing = False
        self._restored = threading.Event()

    def _has_room(self) -> bool:
        return not self._pausing and super()._has_room()

    def _settle(self, progress: Progress) -> list[Difference]:
        assert self._restored.wait(WITHIN_SECONDS * 3), "the copy was not put back in time"
        return super()._settle(progress)

    def _kill(self) -> None:
        database, copy = self._folder / "trueup.db", self._folder / "copy.db"
        if not copy.exists():
            with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            return
        self._pausing = True
        quiet.wait_until_quiet(self._database, self._shop, self._marketplace, orders=0, clock=self._clock)
        os.kill(self._trueup.pid, signal.SIGKILL)
        # Into the same file: whoever watches from outside has it open.
        with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(database)) as target:
            source.backup(target)
        again = ServerProcess("trueup", ("worker.demo.service", str(self._configuration)), self._folder)
        self._stack_of_trueup.enter_context(again)
        again.wait_until_ready()
        self._trueup = again
        self._pausing = False
        self._restored.set()


def test_a_database_restored_from_a_copy_books_what_was_written_since_and_nothing_twice(tmp_path: Path) -> None:
    prove(RestoredScene(Options(limit=LINES, seed=21, console=Console(quiet=True)), tmp_path))


class OwnRedis:
    """A Redis of the test's own, on one port for good."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        arguments = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._folder / "redis.log").open("ab") as log:
            self._server = subprocess.Popen([redis_binary(), *arguments, "--dir", self._folder], stdout=log, stderr=log)
        deadline = time.monotonic() + WITHIN_SECONDS
        with Redis(port=self._port) as client:
            while not _pongs(client):
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()


def _pongs(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


class RedisLostScene(ServiceScene):
    """Redis dies with everything in it; after a while there is a new, empty one."""

    def __init__(self, options: Options, folder: Path, redis: OwnRedis) -> None:
        super().__init__(options, folder, redis.url)
        self._redis = redis

    def _kill(self) -> None:
        self._redis.kill()
        applied, deadline = self._applied(), time.monotonic() + 5
        # Without it work goes on where a process has something in hand already, and otherwise waits.
        while self._applied() == applied and time.monotonic() < deadline:
            time.sleep(0.1)
        self._redis.start()


def test_redis_is_lost_for_good_and_every_number_is_right(tmp_path: Path, postgres_server: PostgresServer) -> None:
    redis = OwnRedis(tmp_path)
    redis.start()
    database = postgres_server.fresh(build_schema)
    try:
        options = Options(limit=LINES, seed=22, console=Console(quiet=True), database=database)
        prove(RedisLostScene(options, tmp_path, redis))
    finally:
        redis.kill()
