"""Every query about received webhooks: what is kept of them, which wait, and what became of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, select, update

from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks, insert_missing
from worker.store.tables import Delivery, DeliveryState


def store_deliveries(transaction: Transaction, deliveries: Sequence[Mapping[str, Any]]) -> int:
    """Store what is new of these; a repeated one (same id, same body) is left as it is. Returns how many are new."""
    return insert_missing(transaction, Delivery, deliveries)


def claim_deliveries(transaction: Transaction, now: datetime, limit: int) -> Sequence[AnyRow]:
    """Take waiting deliveries of one channel: the one that has waited longest."""
    waiting = and_(Delivery.state == DeliveryState.NEW, Delivery.next_attempt_at <= now)
    oldest = (
        select(Delivery.channel)
        .where(waiting)
        .order_by(Delivery.next_attempt_at, Delivery.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    channel = transaction.scalar(oldest)
    if channel is None:
        return ()
    return transaction.execute(
        select(Delivery.id, Delivery.channel, Delivery.topic, Delivery.kept, Delivery.attempts, Delivery.correlation_id)
        .where(waiting, Delivery.channel == channel)
        .order_by(Delivery.next_attempt_at, Delivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()


def finish_deliveries(
    transaction: Transaction, ids: Collection[int], state: DeliveryState, outcome: str, now: datetime
) -> None:
    """These have been handled, or given up."""
    for chunk in in_chunks(ids):
        transaction.execute(
            update(Delivery)
            .where(Delivery.id.in_(chunk))
            .values(state=state, outcome=outcome, next_attempt_at=None, handled_at=now, attempts=Delivery.attempts + 1)
        )


def postpone_delivery(transaction: Transaction, delivery_row: int, until: datetime, outcome: str) -> None:
    """This one could not be handled now: it waits until then."""
    transaction.execute(
        update(Delivery)
        .where(Delivery.id == delivery_row)
        .values(next_attempt_at=until, attempts=Delivery.attempts + 1, outcome=outcome)
    )


def list_deliveries(
    transaction: Transaction, *, channel: str | None, state: DeliveryState | None, limit: int
) -> Sequence[AnyRow]:
    """Newest first."""
    statement = (
        select(
            Delivery.id,
            Delivery.channel,
            Delivery.topic,
            Delivery.delivery_id,
            Delivery.state,
            Delivery.received_at,
            Delivery.attempts,
            Delivery.outcome,
            Delivery.correlation_id,
        )
        .order_by(Delivery.id.desc())
        .limit(limit)
    )
    if channel is not None:
        statement = statement.where(Delivery.channel == channel)
    if state is not None:
        statement = statement.where(Delivery.state == state)
    return transaction.execute(statement).all()


def replay_deliveries(transaction: Transaction, ids: Sequence[int], now: datetime) -> Sequence[AnyRow]:
    """Make deliveries that still have their body new again; returns those it did."""
    return transaction.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.kept.is_not(None))
        .values(state=DeliveryState.NEW, next_attempt_at=now, attempts=0, outcome=None, handled_at=None)
        .returning(Delivery.id, Delivery.channel)
    ).all()


def drop_raw_bodies(transaction: Transaction, received_before: datetime, limit: int) -> Sequence[AnyRow]:
    """Drop bodies that could not be read: they may hold anything. Returns whose."""
    raw = and_(Delivery.raw, Delivery.kept.is_not(None), Delivery.received_at < received_before)
    return transaction.execute(
        update(Delivery)
        .where(Delivery.id.in_(_free_deliveries(transaction, raw, limit)))
        .values(kept=None)
        .returning(Delivery.id, Delivery.channel)
    ).all()


def forget_deliveries(transaction: Transaction, received_before: datetime, limit: int) -> int:
    """Delete handled deliveries: a repeated one would be harmless all the same. Returns how many."""
    old = and_(Delivery.state == DeliveryState.HANDLED, Delivery.received_at < received_before)
    return transaction.execute(
        delete(Delivery).where(Delivery.id.in_(_free_deliveries(transaction, old, limit)))
    ).rowcount


def _free_deliveries(transaction: Transaction, condition: Any, limit: int) -> Sequence[int]:
    """Some that nobody is working on."""
    return transaction.scalars(
        select(Delivery.id)
        .where(condition)
        .order_by(Delivery.received_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
