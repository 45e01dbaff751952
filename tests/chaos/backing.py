"""What service mode stands on: PostgreSQL, Redis and RabbitMQ, each started for one run in a folder of its own.

PostgreSQL writes to disk before it says so (`fsync` on), as in production: it is killed here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from kombu import Connection
from redis import Redis
from redis.exceptions import RedisError

from tests import servers
from tests.chaos.parts import Part
from worker.app import QUEUES

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's script for the server itself; the one on the PATH would become another user."""


class MissingError(Exception):
    """A server that is not installed. The message says how to get it."""


class Postgres(Part):
    """A cluster with one database."""

    def __init__(self, folder: Path) -> None:
        """`folder` must be reachable by the user that root becomes for it."""
        self.port = servers.free_port()
        user = servers.UNPRIVILEGED if os.geteuid() == 0 else None
        binaries = servers.postgres_binaries()
        if user is not None:
            shutil.chown(folder, user)
            binaries = servers.reachable(binaries, folder, user)
        self._cluster = folder / "cluster"
        self._control = binaries / "pg_ctl"
        self._as_user = user
        where = ("-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}", "-k", folder)
        super().__init__(
            "postgresql",
            folder,
            [binaries / "postgres", "-D", self._cluster, *where, "-c", "fsync=on", "-c", "max_connections=200"],
            ready=self._answers,
            user=user,
            directory=folder,
        )
        made = subprocess.run(
            [binaries / "initdb", "-D", self._cluster, "-U", "trueup", "-A", "trust", "-E", "UTF8", "--locale=C"],
            cwd=folder,
            user=user,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stderr}")

    def url(self, port: int | None = None) -> str:
        """The database; by another port where a line leads to it."""
        return f"postgresql+psycopg://trueup@127.0.0.1:{port or self.port}/postgres"

    def stop_immediately(self) -> None:
        """`pg_ctl stop -m immediate`: no checkpoint, nothing written that was not committed."""
        subprocess.run(
            [self._control, "stop", "-m", "immediate", "-w", "-D", self._cluster],
            cwd=self._cluster.parent,
            user=self._as_user,
            capture_output=True,
            check=True,
        )
        self.end()

    def kill_a_session(self) -> None:
        """SIGKILL the session that somebody has used last."""
        with suppress(psycopg.Error), psycopg.connect(servers.for_libpq(self.url()), autocommit=True) as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                " ORDER BY state_change DESC NULLS LAST LIMIT 1"
            ).fetchone()
            if found is not None:
                with suppress(ProcessLookupError):
                    os.kill(found[0], signal.SIGKILL)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(servers.for_libpq(self.url()), connect_timeout=2):
            return True
        return False


class RedisServer(Part):
    """Keeps nothing: what it held is gone whenever it ends."""

    def __init__(self, folder: Path) -> None:
        self.port = servers.free_port()
        command: list[str | Path] = [
            servers.redis_binary(),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            folder,
        ]
        super().__init__("redis", folder, [*command, "--save", "", "--appendonly", "no"], ready=self._answers)

    def url(self, port: int | None = None) -> str:
        return f"redis://127.0.0.1:{port or self.port}/0"

    def flush(self) -> None:
        """FLUSHALL."""
        with Redis(port=self.port, socket_timeout=5) as client:
            client.flushall()

    def forget(self) -> None:
        """Nothing outlives it anyway."""

    def _answers(self) -> bool:
        with suppress(RedisError), Redis(port=self.port, socket_timeout=2) as client:
            return bool(client.ping())
        return False


class RabbitServer(Part):
    """One node."""

    def __init__(self, folder: Path, epmd_port: int) -> None:
        self.port = servers.free_port()
        self._data = folder / "data"
        environment = {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"trueup{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(servers.free_port()),
            "RABBITMQ_MNESIA_BASE": str(self._data),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "env"),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        super().__init__("rabbitmq", folder, [RABBITMQ], ready=self._answers, environment=environment, directory=folder)

    def url(self, port: int | None = None) -> str:
        return f"amqp://guest:guest@127.0.0.1:{port or self.port}//"

    def _signal(self, pid: int, number: signal.Signals) -> None:
        # What was started is a script; the server is its child, in the same group.
        with suppress(ProcessLookupError):
            os.killpg(pid, number)

    def flush(self) -> None:
        """Purge our queues."""
        with Connection(self.url(), connect_timeout=5) as connection:
            for queue in QUEUES:
                with suppress(*connection.channel_errors):
                    connection.channel().queue_purge(queue)

    def forget(self) -> None:
        """Queues are durable here: throw them away as well."""
        shutil.rmtree(self._data, ignore_errors=True)

    def _answers(self) -> bool:
        with suppress(OSError), Connection(self.url(), connect_timeout=2) as connection:
            connection.connect()
            return True
        return False


@contextmanager
def rabbitmq(folder: Path) -> Iterator[RabbitServer]:
    """A RabbitMQ that is not started yet. Raises `MissingError`."""
    epmd = shutil.which("epmd")
    if not RABBITMQ.exists() or epmd is None:
        raise MissingError("There is no RabbitMQ here. Install it (Debian: apt-get install rabbitmq-server).")
    port = servers.free_port()
    # Erlang would start this one by itself and leave it behind.
    names = Part("epmd", folder, [epmd, "-port", str(port), "-address", "127.0.0.1"], directory=folder)
    names.start()
    server = RabbitServer(folder, port)
    try:
        yield server
    finally:
        server.end()
        names.end()
