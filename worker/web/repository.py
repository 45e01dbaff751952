"""Every query of the web room: few, cheap, and answered from an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text

from worker.store import Transaction
from worker.store.tables import Alert, Cursor, Delivery, DeliveryState, ListingRow, Operation, OperationState


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, as one read of the database saw it."""

    deliveries: int
    """Stored and not handled yet."""
    oldest_delivery_at: datetime | None
    listings_due: int
    operations: Mapping[OperationState, int]
    """Unsettled ones."""
    alerts: int
    current_at: Mapping[str, datetime]
    """When each cursor last reached its head; one that never did is missing."""


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
        listings_due=transaction.scalar(
            select(func.count()).select_from(ListingRow).where(ListingRow.next_attempt_at <= now)
        )
        or 0,
        operations={row[0]: row[1] for row in operations},
        alerts=transaction.scalar(select(func.count()).select_from(Alert).where(text("alerts.state = 'waiting'"))) or 0,
        current_at={name: at for name, at in cursors if at is not None},
    )
