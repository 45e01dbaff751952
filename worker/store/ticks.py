"""When something on the schedule may run next: claimed in the database, so that two beats are harmless."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update

from worker.store.bulk import insert_missing
from worker.store.engine import Transaction
from worker.store.tables import Tick

# Asked at every ring, so built once.
_NEXT_AT = select(Tick.next_at).where(Tick.name == bindparam("tick"))


def claim_tick(transaction: Transaction, name: str, now: datetime, interval: timedelta) -> bool:
    """Whether the caller may run `name` now; nobody else may until `interval` has passed."""
    if insert_missing(transaction, Tick, [{"name": name, "next_at": now + interval, "ran_at": now}]):
        return True
    return bool(
        transaction.execute(
            update(Tick).where(Tick.name == name, Tick.next_at <= now).values(next_at=now + interval, ran_at=now)
        ).rowcount
    )


def tick_is_due(transaction: Transaction, name: str, now: datetime) -> bool:
    """Whether a claim would succeed: a read, for the many times it would not."""
    next_at = transaction.scalar(_NEXT_AT, {"tick": name})
    return next_at is None or next_at <= now


def pull_tick(transaction: Transaction, name: str, at: datetime) -> None:
    """Let `name` run at the next occasion after `at`, unless it runs earlier anyhow."""
    transaction.execute(update(Tick).where(Tick.name == name, Tick.next_at > at).values(next_at=at))
