"""One way to the database, the same on SQLite and PostgreSQL.

SQLite runs in WAL mode with `synchronous=FULL`: what is committed survives the machine. It takes one writer at a time,
so writers of this process queue on a lock of ours, which is fair, instead of on SQLite's busy time-out, which is not;
a write transaction begins IMMEDIATE, so that it never fails half-way because another process wrote first.

On PostgreSQL rows are locked in one order for everybody, so that no two transactions wait for each other: channel,
orders by id, listings by id, then what hangs on them (pairs, operations, adjustments, holds), anomalies by fingerprint
last; each kind once in a transaction. Work queues are claimed with SKIP LOCKED, which waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, Engine, Row, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

Transaction = Connection
"""A connection inside a transaction of a `Store`."""

AnyRow = Row[*tuple[Any, ...]]
"""A row of any columns."""

BUSY_TIMEOUT_SECONDS = 15
CONNECT_TIMEOUT_SECONDS = 5


class StorageUnavailable(Exception):
    """The database cannot be reached or cannot write (down, read-only, disk full), or made this transaction give way to
    another. Nothing of the transaction stands, unless the connection broke in the commit itself: every step of trueup
    bears being repeated, and the schedule repeats it.
    """


class Store:
    """Transactions on one database. Thread-safe; build it after a fork, one per process."""

    def __init__(self, url: str | URL, *, pool_size: int = 16) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writer: AbstractContextManager[Any] = threading.Lock() if self.is_sqlite else nullcontext()
        self.engine = self._sqlite_engine(pool_size) if self.is_sqlite else self._postgresql_engine(pool_size)

    def _sqlite_engine(self, pool_size: int) -> Engine:
        engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            # The connection used last is used next: each has a page cache of its own, and few stay few.
            pool_use_lifo=True,
            connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )

        @event.listens_for(engine, "connect")
        def _prepare(connection: Any, _record: Any) -> None:
            # The driver's own transaction handling begins DEFERRED and at odd moments; we begin by ourselves below.
            connection.isolation_level = None
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                "temp_store=MEMORY",
                "cache_size=-512",
            ):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            write = connection.get_execution_options().get("trueup_write", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

        return engine

    def _postgresql_engine(self, pool_size: int) -> Engine:
        return create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS},
        )

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that may write; commits at the end, rolls back on any exception. Never hold it over a call."""
        with self._writer, _storage_errors(), self.engine.connect() as connection:
            transaction = connection.execution_options(trueup_write=True)
            with transaction.begin():
                yield transaction

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads; on SQLite it sees one snapshot and never waits for a writer."""
        with _storage_errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def migrate(self) -> Iterator[Transaction]:
        """A transaction that may change tables.

        SQLite changes most things of a table by making it anew, which foreign keys refuse while they are watched: so
        they are checked once, before the commit.
        """
        if not self.is_sqlite:
            with self.write() as connection:
                yield connection
            return
        with self._writer, _storage_errors(), self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA foreign_keys=OFF")
            try:
                transaction = connection.execution_options(trueup_write=True)
                with transaction.begin():
                    yield transaction
                    broken = transaction.exec_driver_sql("PRAGMA foreign_key_check").first()
                    if broken is not None:
                        message = f"a migration left a row of {broken[0]} that refers to no row of {broken[2]}"
                        raise RuntimeError(message)
            finally:
                driver.execute("PRAGMA foreign_keys=ON")

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (OperationalError, PoolTimeoutError) as error:
        message = f"the database cannot be used: {_reason(error)}"
        raise StorageUnavailable(message) from error
    except DBAPIError as error:
        if error.connection_invalidated or _is_read_only(error):
            message = f"the database cannot be used: {_reason(error)}"
            raise StorageUnavailable(message) from error
        raise


def _is_read_only(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == "25006"


def _reason(error: Exception) -> str:
    """The driver's own words, without the statement and its parameters."""
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split())[:200]
