"""Every query about telling destinations what has changed.

An alert is a change of an anomaly's state. It is *routed* once: a telling for each destination that wants it, written
in one transaction. From then on each destination has a life of its own: its tellings, its lease, its rest after a
failure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, text, update

from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks, insert_missing
from worker.store.tables import Alert, AlertDestination, AlertState, Anomaly, AnomalyState, Severity, Telling

# Conditions of partial indexes, written out: with a bound value the planner cannot know that they fit.
_WAITING = text("tellings.state = 'waiting'")
_UNROUTED = text("alerts.state = 'waiting'")


def anything_due(transaction: Transaction, now: datetime) -> bool:
    """Whether there may be something to do: a change that is not routed, one that is not told, a reminder."""
    unrouted = select(Alert.id).where(_UNROUTED, Alert.next_attempt_at <= now).exists()
    untold = select(Telling.alert_id).where(_WAITING).exists()
    remind = _told((Telling.alert_id,)).where(Telling.remind_at <= now, _worth_a_reminder()).exists()
    return bool(transaction.scalar(select(or_(unrouted, untold, remind))))


# --- routing ----------------------------------------------------------------------------------------------------


def claim_unrouted(transaction: Transaction, now: datetime, limit: int) -> Sequence[AnyRow]:
    """Changes that no destination has been found for yet, oldest first, locked until the transaction ends.

    Who comes second waits: would it pass over what is locked, "resolved" could be told before "opened".
    """
    ids = transaction.scalars(
        select(Alert.id)
        .where(_UNROUTED, Alert.next_attempt_at <= now)
        .order_by(Alert.id)
        .limit(limit)
        .with_for_update()
    ).all()
    rows: list[AnyRow] = []
    for chunk in in_chunks(ids):
        rows += transaction.execute(
            select(Alert.id, Anomaly.kind, Anomaly.severity, Anomaly.detail)
            .join(Anomaly, Anomaly.id == Alert.anomaly_id)
            .where(Alert.id.in_(chunk))
        ).all()
    return rows


def route(transaction: Transaction, tellings: Sequence[tuple[int, str]]) -> None:
    """Owe these alerts to these destinations."""
    values = [
        {"alert_id": alert, "destination": destination, "state": AlertState.WAITING} for alert, destination in tellings
    ]
    insert_missing(transaction, Telling, values)
    for chunk in in_chunks(sorted({alert for alert, _ in tellings})):
        transaction.execute(update(Alert).where(Alert.id.in_(chunk)).values(next_attempt_at=None))


def close(transaction: Transaction, ids: Collection[int], state: AlertState, remark: str) -> None:
    """End alerts that are owed to nobody, or to nobody any more."""
    for chunk in in_chunks(sorted(ids)):
        transaction.execute(
            update(Alert)
            .where(Alert.id.in_(chunk), Alert.state == AlertState.WAITING)
            .values(state=state, next_attempt_at=None, error=remark)
        )


# --- one destination's turn -------------------------------------------------------------------------------------


def resting(transaction: Transaction, now: datetime) -> set[str]:
    """Destinations that are somebody else's at the moment, or are left alone after a failure."""
    busy = or_(AlertDestination.leased_until > now, AlertDestination.retry_at > now)
    return set(transaction.scalars(select(AlertDestination.name).where(busy)))


def lease(transaction: Transaction, name: str, now: datetime, until: datetime) -> bool:
    """Take a destination; until `until` nobody else sends there. False when it is taken, or rests."""
    ensure_destination(transaction, name)
    free = or_(AlertDestination.leased_until.is_(None), AlertDestination.leased_until <= now)
    rested = or_(AlertDestination.retry_at.is_(None), AlertDestination.retry_at <= now)
    return bool(
        transaction.execute(
            update(AlertDestination).where(AlertDestination.name == name, free, rested).values(leased_until=until)
        ).rowcount
    )


def end_lease(transaction: Transaction, name: str, until: datetime) -> None:
    """Give a destination back, unless somebody else has it by now."""
    transaction.execute(
        update(AlertDestination)
        .where(AlertDestination.name == name, AlertDestination.leased_until == until)
        .values(leased_until=None)
    )


def _told(columns: Sequence[Any]) -> Select[Any]:
    return (
        select(*columns)
        .join(Alert, Alert.id == Telling.alert_id)
        .join(Anomaly, Anomaly.id == Alert.anomaly_id)
        .order_by(Telling.alert_id)
    )


_CHANGE = (
    Alert.id,
    Alert.anomaly_id,
    Alert.transition,
    Alert.became,
    Alert.message,
    Alert.created_at,
    Anomaly.severity,
    Anomaly.kind,
    Anomaly.channel,
    Anomaly.listing_id,
    Anomaly.order_id,
    Telling.remind_at,
)


def untold(
    transaction: Transaction, destination: str, ready_before: Mapping[Severity, datetime], limit: int
) -> Sequence[AnyRow]:
    """What a destination is to be told now, oldest first."""
    statement = _told(_CHANGE).where(
        Telling.destination == destination, _WAITING, _up_to(Alert.created_at, ready_before)
    )
    return transaction.execute(statement.limit(limit)).all()


def reminders(
    transaction: Transaction, destination: str, now: datetime, ready_before: Mapping[Severity, datetime], limit: int
) -> Sequence[AnyRow]:
    """What a destination was told, a while ago, and is still so."""
    statement = _told(_CHANGE).where(
        Telling.destination == destination,
        Telling.remind_at <= now,
        _up_to(Telling.remind_at, ready_before),
        _worth_a_reminder(),
    )
    return transaction.execute(statement.limit(limit)).all()


def _worth_a_reminder() -> ColumnElement[bool]:
    """Of an alert with its anomaly: nothing has changed since, and nobody has said that it is seen to."""
    return and_(
        Anomaly.transitions == Alert.transition,
        Anomaly.state == AnomalyState.OPEN,
        # When a snooze is over, everybody is told anew.
        Anomaly.snoozed_until.is_(None),
    )


def drop_reminders(transaction: Transaction, now: datetime) -> None:
    """Remind nobody of what has changed, or was acknowledged, since it was told."""
    over = or_(Anomaly.transitions != Alert.transition, Anomaly.state != AnomalyState.OPEN)
    changed = select(Alert.id).join(Anomaly, Anomaly.id == Alert.anomaly_id).where(Alert.id == Telling.alert_id, over)
    transaction.execute(update(Telling).where(Telling.remind_at <= now, changed.exists()).values(remind_at=None))


def _up_to(at: Any, ready_before: Mapping[Severity, datetime]) -> ColumnElement[bool]:
    return or_(*(and_(Anomaly.severity == severity, at <= moment) for severity, moment in ready_before.items()))


def _set_reminders(transaction: Transaction, destination: str, ids: Collection[int], at: datetime | None) -> None:
    for chunk in in_chunks(sorted(ids)):
        transaction.execute(
            update(Telling).where(Telling.alert_id.in_(chunk), Telling.destination == destination).values(remind_at=at)
        )


def note_told(
    transaction: Transaction, destination: str, ids: Collection[int], now: datetime, *, remind: timedelta | None
) -> None:
    """A destination has taken these; where they say that something is open, it is told again after `remind`."""
    for chunk in in_chunks(sorted(ids)):
        # In one order for everybody: two destinations may be told of the same at once.
        locked = select(Alert.id, Alert.became).where(Alert.id.in_(chunk)).order_by(Alert.id).with_for_update()
        rows = transaction.execute(locked).all()
        transaction.execute(
            update(Alert)
            .where(Alert.id.in_(chunk), Alert.state != AlertState.SENT)
            .values(state=AlertState.SENT, sent_at=now)
        )
        transaction.execute(
            update(Telling)
            .where(Telling.alert_id.in_(chunk), Telling.destination == destination)
            .values(state=AlertState.SENT, sent_at=now)
        )
        opened = [row.id for row in rows if row.became is AnomalyState.OPEN]
        _set_reminders(transaction, destination, opened, None if remind is None else now + remind)


def give_up(transaction: Transaction, destination: str, ids: Collection[int], reason: str) -> None:
    """A destination is not told of these any more; an alert that nobody took is over with the last that gives up."""
    for chunk in in_chunks(sorted(ids)):
        transaction.execute(select(Alert.id).where(Alert.id.in_(chunk)).order_by(Alert.id).with_for_update())
        transaction.execute(
            update(Telling)
            .where(Telling.alert_id.in_(chunk), Telling.destination == destination, _WAITING)
            .values(state=AlertState.FAILED)
        )
        hopeful = select(Telling.alert_id).where(Telling.alert_id.in_(chunk), Telling.state != AlertState.FAILED)
        alive = set(transaction.scalars(hopeful))
        close(transaction, [alert for alert in chunk if alert not in alive], AlertState.FAILED, reason)


# --- how destinations do ----------------------------------------------------------------------------------------


def ensure_destination(transaction: Transaction, name: str) -> None:
    """Make a destination known, and lock it until the transaction ends: whoever notes something of it begins so."""
    insert_missing(transaction, AlertDestination, [{"name": name, "failures": 0}])
    _failures(transaction, name)


def note_success(transaction: Transaction, name: str, now: datetime) -> int:
    """It has taken something; returns how often it had failed before."""
    failures = _failures(transaction, name)
    transaction.execute(
        update(AlertDestination)
        .where(AlertDestination.name == name)
        .values(failures=0, retry_at=None, succeeded_at=now)
    )
    return failures


def note_failure(transaction: Transaction, name: str, now: datetime, reason: str) -> int:
    """It has not; returns how often it has failed in a row, with this one."""
    failures = _failures(transaction, name) + 1
    transaction.execute(
        update(AlertDestination)
        .where(AlertDestination.name == name)
        .values(failures=failures, failed_at=now, error=reason)
    )
    return failures


def rest(transaction: Transaction, name: str, until: datetime) -> None:
    """Send nothing there before that moment."""
    transaction.execute(update(AlertDestination).where(AlertDestination.name == name).values(retry_at=until))


def _failures(transaction: Transaction, name: str) -> int:
    held = select(AlertDestination.failures).where(AlertDestination.name == name).with_for_update()
    return transaction.scalar(held) or 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a destination does, as its rows tell."""

    waiting: int = 0
    failures: int = 0
    retry_at: datetime | None = None
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    error: str | None = None


def standings(transaction: Transaction) -> Mapping[str, Standing]:
    """By the destination's name; one that was never told anything is missing."""
    counted = transaction.execute(
        select(Telling.destination, func.count()).where(_WAITING).group_by(Telling.destination)
    )
    waiting = {row[0]: row[1] for row in counted}
    rows = transaction.execute(
        select(
            AlertDestination.name,
            AlertDestination.failures,
            AlertDestination.retry_at,
            AlertDestination.succeeded_at,
            AlertDestination.failed_at,
            AlertDestination.error,
        )
    )
    known = {row.name: Standing(waiting.get(row.name, 0), *row[1:]) for row in rows}
    return {**{name: Standing(count) for name, count in waiting.items()}, **known}


def left_over(transaction: Transaction, configured: Sequence[str], before: datetime, limit: int) -> Sequence[AnyRow]:
    """What waits since before `before` for destinations that are not configured, with their names."""
    statement = select(Telling.alert_id, Telling.destination).join(Alert, Alert.id == Telling.alert_id)
    statement = statement.where(_WAITING, Telling.destination.not_in(configured), Alert.created_at < before)
    return transaction.execute(statement.limit(limit)).all()


def forget_destinations(transaction: Transaction, configured: Sequence[str], before: datetime) -> Sequence[str]:
    """Remind destinations that are not configured of nothing more, and delete what is known of them, unless something
    waits for them or was done since `before`. Returns their names.
    """
    transaction.execute(
        update(Telling).where(Telling.remind_at < before, Telling.destination.not_in(configured)).values(remind_at=None)
    )
    waits = select(Telling.alert_id).where(Telling.destination == AlertDestination.name, _WAITING).exists()
    idle = [or_(at.is_(None), at < before) for at in (AlertDestination.succeeded_at, AlertDestination.failed_at)]
    names = transaction.scalars(
        select(AlertDestination.name).where(AlertDestination.name.not_in(configured), ~waits, *idle)
    ).all()
    transaction.execute(delete(AlertDestination).where(AlertDestination.name.in_(names)))
    return names
