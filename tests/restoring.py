"""Setting a database back: a copy of every row, put into an empty one later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import func, select

from worker.store import Store
from worker.store.tables import Base

Copy = dict[str, Sequence[dict[str, Any]]]
NewStore = Callable[[], Store]


def copy_of(store: Store) -> Copy:
    with store.read() as transaction:
        return {
            table.name: [dict(row._mapping) for row in transaction.execute(select(table))]
            for table in Base.metadata.sorted_tables
        }


def restore(copy: Copy, store: Store) -> Store:
    """Fill an empty, migrated database with a copy."""
    with store.write() as transaction:
        for table in Base.metadata.sorted_tables:
            rows = copy[table.name]
            if not rows:
                continue
            transaction.execute(table.insert(), rows)
            if not store.is_sqlite and "id" in table.c:
                sequence = func.pg_get_serial_sequence(table.name, "id")
                transaction.execute(select(func.setval(sequence, select(func.max(table.c.id)).scalar_subquery())))
    return store
