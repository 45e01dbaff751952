"""How far feeds and polls have been read: moved in the transaction that took in what was read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from worker.store.bulk import insert_missing
from worker.store.engine import Transaction
from worker.store.tables import Cursor

_VALUE = select(Cursor.value).where(Cursor.name == bindparam("cursor"))


def cursor(transaction: Transaction, name: str) -> str | None:
    """Where to go on; None when nothing has been read yet."""
    return transaction.scalar(_VALUE, {"cursor": name})


def read_to(transaction: Transaction, name: str) -> datetime | None:
    """When it last reached the head; None when it never has."""
    return transaction.scalar(select(Cursor.current_at).where(Cursor.name == name))


def move_cursor(transaction: Transaction, name: str, value: str, now: datetime, *, current: bool) -> None:
    """Move a cursor; `current` says that it reached the head as of `now`."""
    moved: dict[str, Any] = {"value": value, "moved_at": now}
    if current:
        moved["current_at"] = now
    if not insert_missing(transaction, Cursor, [{"name": name, "current_at": None, **moved}]):
        transaction.execute(update(Cursor).where(Cursor.name == name).values(moved))


def forget_cursor(transaction: Transaction, name: str) -> None:
    """As if nothing had ever been read."""
    transaction.execute(delete(Cursor).where(Cursor.name == name))
