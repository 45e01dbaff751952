"""Every query about received webhooks: what is kept of them, which wait, and what became of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, and_, bindparam, delete, func, or_, select, true, union_all, update

from worker.store import AnyRow, Transaction
from worker.store.bulk import insert_missing, table_of
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
    transaction: Transaction, ended: Sequence[Mapping[str, Any]], state: DeliveryState, now: datetime
) -> None:
    """These have been handled, or given up. Each mapping: `row`, `new_outcome`, and `new_order_id`, the order that it
    tells of; None leaves what was known of that.
    """
    if not ended:
        return
    table = table_of(Delivery)
    told = bindparam("new_order_id", type_=table.c.order_id.type)
    transaction.execute(
        update(table)
        .where(table.c.id == bindparam("row"))
        .values(
            state=state,
            outcome=bindparam("new_outcome"),
            order_id=func.coalesce(told, table.c.order_id),
            next_attempt_at=None,
            handled_at=now,
            attempts=table.c.attempts + 1,
        ),
        list(ended),
    )


def postpone_delivery(transaction: Transaction, delivery_row: int, until: datetime, outcome: str) -> None:
    """This one could not be handled now: it waits until then."""
    transaction.execute(
        update(Delivery)
        .where(Delivery.id == delivery_row)
        .values(next_attempt_at=until, attempts=Delivery.attempts + 1, outcome=outcome)
    )


_SHOWN = (
    Delivery.id,
    Delivery.channel,
    Delivery.topic,
    Delivery.delivery_id,
    Delivery.order_id,
    Delivery.state,
    Delivery.received_at,
    Delivery.attempts,
    Delivery.outcome,
    Delivery.correlation_id,
    Delivery.kept.is_not(None).label("has_body"),
)


def find_deliveries(
    transaction: Transaction,
    *,
    channels: Collection[str] | None,
    state: DeliveryState | None,
    order_id: str | None,
    until: datetime | None,
    behind: tuple[datetime, int] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """The latest first; `behind` is when the last one of a page was received, and its row. An order is looked for on
    `channels`, which must be named then.
    """
    wanted: list[Any] = []
    if until is not None:
        wanted.append(Delivery.received_at <= until)
    if behind is not None:
        at, row = behind
        wanted += [Delivery.received_at <= at, or_(Delivery.received_at < at, Delivery.id < row)]
    if channels is not None:
        wanted.append(Delivery.channel.in_(channels))
    if order_id is not None:
        wanted.append(Delivery.order_id == order_id)
    # No index has the times alone: without a channel the latest of each state are taken.
    states = list(DeliveryState) if channels is None and state is None else [state]
    parts = [
        select(*_SHOWN)
        .where(*wanted, true() if each is None else Delivery.state == each)
        .order_by(Delivery.received_at.desc(), Delivery.id.desc())
        .limit(limit)
        for each in states
    ]
    found = union_all(*(select(part.subquery()) for part in parts)).subquery()
    return transaction.execute(select(found).order_by(found.c.received_at.desc(), found.c.id.desc()).limit(limit)).all()


def delivery(transaction: Transaction, row: int, most_bytes: int) -> AnyRow | None:
    """One delivery, with the beginning of its body and the length of all of it."""
    return transaction.execute(
        select(
            *_SHOWN,
            Delivery.digest,
            Delivery.raw,
            Delivery.next_attempt_at,
            Delivery.handled_at,
            func.substr(Delivery.kept, 1, most_bytes, type_=LargeBinary).label("beginning"),
            func.length(Delivery.kept).label("length"),
        ).where(Delivery.id == row)
    ).one_or_none()


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
