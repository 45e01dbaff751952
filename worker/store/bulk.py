"""Statements over many rows at once, the same on both databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase

from worker.store.engine import Transaction

T = TypeVar("T")

CHUNK_ROWS = 500
"""Rows named in one statement: below every bound on parameters, above where larger pays."""


def in_chunks(values: Iterable[T], size: int = CHUNK_ROWS) -> Iterator[Sequence[T]]:
    """The values, some hundreds at a time."""
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk


def next_keys(transaction: Transaction, key: Any, after: Any, limit: int) -> Sequence[Any]:
    """The next keys of a walk through a whole table."""
    return transaction.scalars(select(key).where(key > after).order_by(key).limit(limit)).all()


def table_of(row: type[DeclarativeBase]) -> Table:
    """The table behind a row class."""
    table = row.__table__
    assert isinstance(table, Table)  # noqa: S101  every row class here maps one plain table
    return table


def insert_missing(transaction: Transaction, row: type[DeclarativeBase], values: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows, leaving alone those that already exist by any unique constraint. Returns how many were new."""
    if not values:
        return 0
    table = table_of(row)
    insert = sqlite.insert(table) if transaction.dialect.name == "sqlite" else postgresql.insert(table)
    # Executed many times, not compiled once for each number of rows. Both drivers add the row counts up, and SQLAlchemy
    # hands the sum on when it is asked to.
    return transaction.execute(
        insert.on_conflict_do_nothing(), list(values), execution_options={"preserve_rowcount": True}
    ).rowcount


def insert_rows(transaction: Transaction, row: type[DeclarativeBase], values: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that must be new."""
    if values:
        transaction.execute(table_of(row).insert(), list(values))
