"""The one database that all processes of a history share, and what goes wrong with it.

A real SQLite file, on a file system in memory where there is one, copied from a migrated template for each history.
Transactions do not interleave with each other here; what lies between them does, at every one of their two ends.
"""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from worker.store import StorageUnavailable, Store, Transaction
from worker.store.migrate import upgrade

IN_MEMORY = Path("/dev/shm")


class SimulatedStore(Store):
    """A store whose transactions begin and end at boundaries of the scheduler."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"sqlite:///{path}", pool_size=2)
        self.before: Callable[[bool], None] = lambda _write: None
        """Called before every transaction: may park the task, raise `Crashed` or `StorageUnavailable`."""
        self.committed: Callable[[], None] = lambda: None
        """Called after every commit, before its caller learns of it: likewise."""

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """See `Store.write`."""
        self.before(True)
        with super().write() as transaction:
            yield transaction
        self.committed()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """See `Store.read`."""
        self.before(False)
        with super().read() as transaction:
            yield transaction

    def dispose(self) -> None:
        """A process that ends leaves the database to the others."""


class Database:
    """One file, made anew for every history; its engine and compiled statements are kept over all of them."""

    def __init__(self) -> None:
        where = IN_MEMORY if IN_MEMORY.is_dir() else None
        self._folder = Path(tempfile.mkdtemp(prefix="trueup-simulation-", dir=where))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self._template = self._folder / "template.db"
        self._path = self._folder / "history.db"
        migrated = Store(f"sqlite:///{self._template}")
        upgrade(migrated)
        with migrated.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.rollback()
        migrated.dispose()
        self.store = SimulatedStore(self._path)
        self._looker: sqlite3.Connection | None = None

    def fresh(self) -> SimulatedStore:
        """The store, empty."""
        self.store.engine.dispose()
        if self._looker is not None:
            self._looker.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(self._template, self._path)
        # Read by the checker, past everything that the code under test uses.
        self._looker = sqlite3.connect(self._path, isolation_level=None)
        return self.store

    def rows(self, sql: str, *parameters: Any) -> list[Any]:
        """What a query shows now, as plain tuples."""
        assert self._looker is not None, "no history has begun"
        return self._looker.execute(sql, parameters).fetchall()

    def dump(self) -> Iterator[str]:
        """Every row there is, as text."""
        assert self._looker is not None, "no history has begun"
        return self._looker.iterdump()


def unavailable(why: str) -> StorageUnavailable:
    """What a caller gets when the database does not answer."""
    return StorageUnavailable(f"the database cannot be used: {why}")
