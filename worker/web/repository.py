"""Every query of the web room: few, cheap, and answered from an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, case, func, literal, select, text

from worker.store import Transaction
from worker.store.tables import (
    Alert,
    Cursor,
    Delivery,
    DeliveryState,
    JournalEntry,
    JournalKind,
    ListingRow,
    Operation,
    OperationState,
    Pair,
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, as one read of the database saw it."""

    deliveries: int
    """Stored and not handled yet."""
    oldest_delivery_at: datetime | None
    listings_due: Mapping[str, int]
    """By for how long, as `AGES` has it; every age is there."""
    operations: Mapping[OperationState, int]
    """Unsettled ones."""
    alerts: int
    current_at: Mapping[str, datetime]
    """When each cursor last reached its head; one that never did is missing."""


AGES = {"1m": timedelta(minutes=1), "10m": timedelta(minutes=10), "1h": timedelta(hours=1), "more": None}
"""How long something waits at most, by how it is called, shortest first."""


def backlog(transaction: Transaction, now: datetime) -> Backlog:
    waiting = transaction.execute(
        select(func.count(), func.min(Delivery.received_at)).where(Delivery.state == DeliveryState.NEW)
    ).one()
    # Conditions of partial indexes are written out: with bound values the planner cannot know that they fit.
    operations = transaction.execute(
        select(Operation.state, func.count())
        .where(text("operations.state IN ('prepared', 'unknown')"))
        .group_by(Operation.state)
    )
    cursors = transaction.execute(select(Cursor.name, Cursor.current_at).where(Cursor.current_at.is_not(None)))
    return Backlog(
        deliveries=waiting[0],
        oldest_delivery_at=waiting[1],
        listings_due=_listings_due(transaction, now),
        operations={row[0]: row[1] for row in operations},
        alerts=transaction.scalar(select(func.count()).select_from(Alert).where(text("alerts.state = 'waiting'"))) or 0,
        current_at={name: at for name, at in cursors if at is not None},
    )


def _listings_due(transaction: Transaction, now: datetime) -> Mapping[str, int]:
    age = case(
        *((ListingRow.next_attempt_at > now - most, literal(name)) for name, most in AGES.items() if most is not None),
        else_=literal("more"),
    )
    due = transaction.execute(
        select(age.label("age"), func.count()).where(ListingRow.next_attempt_at <= now).group_by(text("age"))
    )
    return dict.fromkeys(AGES, 0) | {row[0]: row[1] for row in due}


def last_journal_entry(transaction: Transaction, until: datetime) -> int:
    """The number of the last entry made until then; 0 when there is none."""
    last = select(JournalEntry.id).where(JournalEntry.at <= until).order_by(JournalEntry.at.desc()).limit(1)
    return transaction.scalar(last) or 0


def taken_after(
    transaction: Transaction, entry: int, until: datetime, limit: int
) -> Sequence[Row[int, datetime, datetime, str]]:
    """Units taken by entries after that one and made until then, in order: when they were sold, and when taken."""
    return transaction.execute(
        select(JournalEntry.id, JournalEntry.at, Pair.placed_at, Pair.channel)
        .join(Pair, Pair.id == JournalEntry.pair_id)
        .where(JournalEntry.id > entry, JournalEntry.at <= until)
        .where(JournalEntry.kind == JournalKind.APPLIED, JournalEntry.units > 0)
        .order_by(JournalEntry.id)
        .limit(limit)
    ).all()
