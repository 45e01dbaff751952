"""Every query about breakers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import bindparam, delete, or_, select, update

from worker.breaker.rules import Breaker
from worker.store import Transaction
from worker.store.bulk import insert_missing
from worker.store.tables import BreakerRow

_FACTS = (
    BreakerRow.failures,
    BreakerRow.failed_at,
    BreakerRow.pauses,
    BreakerRow.open_until,
    BreakerRow.probe_until,
    BreakerRow.ramp_from,
    BreakerRow.granted,
)

# Asked before every call, so built once.
_ONE = select(*_FACTS).where(BreakerRow.account == bindparam("account"))
_ONE_LOCKED = _ONE.with_for_update()


def breaker(transaction: Transaction, account: str, *, lock: bool = False) -> Breaker | None:
    row = transaction.execute(_ONE_LOCKED if lock else _ONE, {"account": account}).one_or_none()
    return None if row is None else Breaker(*row)


def all_breakers(transaction: Transaction) -> Mapping[str, Breaker]:
    rows = transaction.execute(select(BreakerRow.account, *_FACTS).order_by(BreakerRow.account))
    return {row[0]: Breaker(*row[1:]) for row in rows}


def insert(transaction: Transaction, account: str, held: Breaker) -> bool:
    """Returns False when another process was first."""
    return bool(insert_missing(transaction, BreakerRow, [{"account": account, **asdict(held)}]))


def write(transaction: Transaction, account: str, held: Breaker) -> None:
    transaction.execute(update(BreakerRow).where(BreakerRow.account == account).values(asdict(held)))


def forget(transaction: Transaction, account: str) -> None:
    transaction.execute(delete(BreakerRow).where(BreakerRow.account == account))


def claim_probe(transaction: Transaction, account: str, now: datetime, until: datetime) -> bool:
    """Whether the caller is the one who tries a half-open account."""
    return bool(
        transaction.execute(
            update(BreakerRow)
            .where(BreakerRow.account == account, BreakerRow.open_until <= now)
            .where(or_(BreakerRow.probe_until.is_(None), BreakerRow.probe_until <= now))
            .values(probe_until=until)
        ).rowcount
    )
