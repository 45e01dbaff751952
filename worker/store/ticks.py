"""When something on the schedule may run next: claimed in the database, so that two beats are harmless."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update

from worker.store.bulk import in_chunks, insert_missing
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


def ensure_ticks(transaction: Transaction, first_at: Mapping[str, datetime]) -> int:
    """Put on the schedule what is not there yet; returns how many."""
    return insert_missing(
        transaction, Tick, [{"name": name, "next_at": at, "ran_at": None} for name, at in sorted(first_at.items())]
    )


def due_ticks(transaction: Transaction, names: Iterable[str], now: datetime) -> list[tuple[datetime, str]]:
    """Those of `names` whose time has come, each with since when."""
    found: list[tuple[datetime, str]] = []
    for chunk in in_chunks(names):
        rows = transaction.execute(select(Tick.next_at, Tick.name).where(Tick.name.in_(chunk), Tick.next_at <= now))
        found += [(row.next_at, row.name) for row in rows]
    return found


def lease_ticks(transaction: Transaction, names: Sequence[str], now: datetime, until: datetime) -> list[str]:
    """Take those of `names` that are still due: nobody else may run them before `until`, or before they are given back
    by `end_lease`. In the order of `names`.
    """
    due = select(Tick.name).where(Tick.name.in_(names), Tick.next_at <= now)
    taken = set(transaction.scalars(due.order_by(Tick.name).with_for_update(skip_locked=True)))
    transaction.execute(update(Tick).where(Tick.name.in_(taken)).values(next_at=until, ran_at=now))
    return [name for name in names if name in taken]


def end_lease(transaction: Transaction, name: str, leased_until: datetime, next_at: datetime) -> None:
    """Give a tick back, to run at `next_at`. One that was pulled meanwhile, or taken by another, stays as it is."""
    transaction.execute(update(Tick).where(Tick.name == name, Tick.next_at == leased_until).values(next_at=next_at))
