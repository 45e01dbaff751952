"""Every query about anomalies. Those about telling people of them are in `outbox`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, text, update

from worker.store import AnyRow, Transaction
from worker.store.bulk import in_chunks, insert_missing, insert_rows
from worker.store.tables import Alert, AlertState, Anomaly, AnomalyState, Severity, Telling


def open_or_count(
    transaction: Transaction, fingerprint: str, now: datetime, values: Mapping[str, Any], weight: int | None = None
) -> bool:
    """Open, reopen or count up one anomaly; returns whether its state changed (and so owes a message).

    One that is snoozed and has more `weight` than it had then is snoozed no longer.
    """
    created = insert_missing(
        transaction,
        Anomaly,
        [
            {
                **values,
                "fingerprint": fingerprint,
                "state": AnomalyState.OPEN,
                "occurrences": 1,
                "transitions": 1,
                "first_seen_at": now,
                "last_seen_at": now,
            }
        ],
    )
    held = transaction.execute(
        select(Anomaly.id, Anomaly.state, Anomaly.transitions, Anomaly.snoozed_until, Anomaly.snoozed_weight)
        .where(Anomaly.fingerprint == fingerprint)
        .with_for_update()
    ).one_or_none()
    if held is None:
        # It was there a moment ago, resolved long since, and has just been forgotten.
        return open_or_count(transaction, fingerprint, now, values, weight)
    reopened = held.state is AnomalyState.RESOLVED
    worse = held.snoozed_until is not None and weight is not None and weight > (held.snoozed_weight or 0)
    changed = reopened or worse
    if not created:
        ended: dict[str, Any] = {"snoozed_until": None, "snoozed_weight": None} if changed else {}
        transaction.execute(
            update(Anomaly)
            .where(Anomaly.id == held.id)
            .values(
                message=values["message"],
                detail=values["detail"],
                occurrences=Anomaly.occurrences + 1,
                last_seen_at=now,
                state=AnomalyState.OPEN if changed else held.state,
                transitions=held.transitions + int(changed),
                regressions=Anomaly.regressions + int(reopened),
                resolved_at=None,
                **ended,
            )
        )
    if created or changed:
        said = f"{values['message']} It had been snoozed, and is worse now." if worse else values["message"]
        insert_rows(transaction, Alert, [_message(held.id, held.transitions + changed, AnomalyState.OPEN, said, now)])
    return bool(created or changed)


def _message(anomaly_id: int, transition: int, became: AnomalyState, message: str, now: datetime) -> dict[str, Any]:
    return {
        "anomaly_id": anomaly_id,
        "transition": transition,
        "became": became,
        "message": message,
        "created_at": now,
        "state": AlertState.WAITING,
        "next_attempt_at": now,
    }


def resolve(transaction: Transaction, fingerprints: Sequence[str], why: str, now: datetime) -> int:
    messages = []
    for chunk in in_chunks(sorted(fingerprints)):
        open_ones = transaction.scalars(
            select(Anomaly.id)
            .where(Anomaly.fingerprint.in_(chunk), Anomaly.state != AnomalyState.RESOLVED)
            .order_by(Anomaly.fingerprint)
            .with_for_update()
        ).all()
        if not open_ones:
            continue
        resolved = transaction.execute(
            update(Anomaly)
            .where(Anomaly.id.in_(open_ones))
            .values(
                state=AnomalyState.RESOLVED,
                resolved_at=now,
                transitions=Anomaly.transitions + 1,
                snoozed_until=None,
                snoozed_weight=None,
            )
            .returning(Anomaly.id, Anomaly.transitions, Anomaly.message)
        )
        messages += [
            _message(row.id, row.transitions, AnomalyState.RESOLVED, f"{row.message} Resolved: {why}.", now)
            for row in resolved
        ]
    insert_rows(transaction, Alert, messages)
    return len(messages)


def unresolved(transaction: Transaction, fingerprints: Sequence[str]) -> list[str]:
    found: list[str] = []
    for chunk in in_chunks(fingerprints):
        found += transaction.scalars(
            select(Anomaly.fingerprint).where(Anomaly.fingerprint.in_(chunk), Anomaly.state != AnomalyState.RESOLVED)
        )
    return found


def seen_since(transaction: Transaction, fingerprints: Sequence[str], since: datetime) -> Sequence[AnyRow]:
    """Fingerprint, kind and detail of those that are open, and were seen after that."""
    found: list[AnyRow] = []
    for chunk in in_chunks(fingerprints):
        found += transaction.execute(
            select(Anomaly.fingerprint, Anomaly.kind, Anomaly.detail).where(
                Anomaly.fingerprint.in_(chunk), Anomaly.state != AnomalyState.RESOLVED, Anomaly.last_seen_at > since
            )
        ).all()
    return found


def told(transaction: Transaction, fingerprints: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for chunk in in_chunks(fingerprints):
        found.update(transaction.scalars(select(Anomaly.fingerprint).where(Anomaly.fingerprint.in_(chunk))))
    return found


def resolved(transaction: Transaction, fingerprints: Sequence[str]) -> set[str]:
    """Of these, those that were told and are resolved."""
    return told(transaction, fingerprints).difference(unresolved(transaction, fingerprints))


def unresolved_on(transaction: Transaction, kind: str, listing_id: str) -> Sequence[str]:
    return transaction.scalars(
        select(Anomaly.fingerprint).where(
            Anomaly.kind == kind, Anomaly.listing_id == listing_id, Anomaly.state != AnomalyState.RESOLVED
        )
    ).all()


def forget_alerts(transaction: Transaction, before: datetime, limit: int) -> int:
    """Delete messages that were sent, or given up, before `before`, and that nobody is told of again. Returns how
    many.
    """
    owed = or_(Telling.state == AlertState.WAITING, Telling.remind_at.is_not(None))
    old = transaction.scalars(
        select(Alert.id)
        .where(Alert.state != AlertState.WAITING, func.coalesce(Alert.sent_at, Alert.created_at) < before)
        .where(~select(Telling.alert_id).where(Telling.alert_id == Alert.id, owed).exists())
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    transaction.execute(delete(Telling).where(Telling.alert_id.in_(old)))
    return transaction.execute(delete(Alert).where(Alert.id.in_(old))).rowcount


def forget_resolved(transaction: Transaction, before: datetime, limit: int) -> int:
    """Delete anomalies resolved before `before` about which no message is left. Returns how many."""
    old = (
        select(Anomaly.id)
        .where(Anomaly.state == AnomalyState.RESOLVED, Anomaly.resolved_at < before)
        .where(~select(Alert.id).where(Alert.anomaly_id == Anomaly.id).exists())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return transaction.execute(delete(Anomaly).where(Anomaly.id.in_(transaction.scalars(old).all()))).rowcount


def acknowledge(transaction: Transaction, anomaly_id: int, by: str) -> bool:
    return bool(
        transaction.execute(
            update(Anomaly)
            .where(Anomaly.id == anomaly_id, Anomaly.state != AnomalyState.RESOLVED)
            .values(state=AnomalyState.ACKNOWLEDGED, acknowledged_by=by)
        ).rowcount
    )


def snooze(transaction: Transaction, anomaly_id: int, until: datetime | None, weight: int | None) -> bool:
    """Snooze one that is not resolved until then, or no longer; returns whether there was such a one."""
    return bool(
        transaction.execute(
            update(Anomaly)
            .where(Anomaly.id == anomaly_id, Anomaly.state != AnomalyState.RESOLVED)
            .values(snoozed_until=until, snoozed_weight=weight)
        ).rowcount
    )


def silence(transaction: Transaction, anomaly_id: int, remark: str) -> None:
    """What has not been told yet of this anomaly stays untold."""
    of_anomaly = select(Alert.id).where(Alert.anomaly_id == anomaly_id)
    transaction.execute(delete(Telling).where(Telling.alert_id.in_(of_anomaly), Telling.state == AlertState.WAITING))
    transaction.execute(
        update(Alert)
        .where(Alert.anomaly_id == anomaly_id, Alert.state == AlertState.WAITING)
        .values(state=AlertState.SENT, next_attempt_at=None, error=remark)
    )


def end_snoozes(transaction: Transaction, now: datetime, limit: int) -> int:
    """Open those again whose snooze is over; each owes a message. Returns how many."""
    over = transaction.scalars(
        select(Anomaly.id)
        .where(Anomaly.snoozed_until <= now)
        .order_by(Anomaly.fingerprint)
        .limit(limit)
        .with_for_update()
    ).all()
    if not over:
        return 0
    opened = transaction.execute(
        update(Anomaly)
        .where(Anomaly.id.in_(over))
        .values(
            state=AnomalyState.OPEN,
            transitions=Anomaly.transitions + 1,
            snoozed_until=None,
            snoozed_weight=None,
        )
        .returning(Anomaly.id, Anomaly.transitions, Anomaly.message)
    ).all()
    insert_rows(
        transaction,
        Alert,
        [
            _message(row.id, row.transitions, AnomalyState.OPEN, f"{row.message} Its snooze is over.", now)
            for row in opened
        ],
    )
    return len(opened)


def any_snooze_over(transaction: Transaction, now: datetime) -> bool:
    """A read, for the many times there is none."""
    return transaction.scalar(select(Anomaly.id).where(Anomaly.snoozed_until <= now).limit(1)) is not None


def count_snoozed(transaction: Transaction) -> int:
    snoozed = select(func.count()).select_from(Anomaly).where(Anomaly.snoozed_until.is_not(None))
    return transaction.scalar(snoozed) or 0


_VIEW = (
    Anomaly.id,
    Anomaly.kind,
    Anomaly.severity,
    Anomaly.state,
    Anomaly.channel,
    Anomaly.listing_id,
    Anomaly.order_id,
    Anomaly.message,
    Anomaly.detail,
    Anomaly.occurrences,
    Anomaly.transitions,
    Anomaly.first_seen_at,
    Anomaly.last_seen_at,
    Anomaly.acknowledged_by,
    Anomaly.resolved_at,
    Anomaly.fingerprint,
    Anomaly.regressions,
    Anomaly.snoozed_until,
)
# The condition of a partial index, written out: with a bound value the planner cannot know that it fits.
_UNRESOLVED = text("anomalies.state <> 'resolved'")


def listed(
    transaction: Transaction,
    *,
    unresolved_only: bool,
    kind: str | None,
    severity: Severity | None,
    listing_id: str | None,
    channel: str | None,
    snoozed: bool | None,
    before_id: int | None,
    limit: int | None,
) -> Sequence[AnyRow]:
    order = (Anomaly.last_seen_at.desc(), Anomaly.id.desc()) if unresolved_only else (Anomaly.id.desc(),)
    statement = select(*_VIEW).order_by(*order)
    if unresolved_only:
        statement = statement.where(_UNRESOLVED)
    for column, wanted in (
        (Anomaly.kind, kind),
        (Anomaly.severity, severity),
        (Anomaly.listing_id, listing_id),
        (Anomaly.channel, channel),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if snoozed is not None:
        statement = statement.where(Anomaly.snoozed_until.is_not(None) if snoozed else Anomaly.snoozed_until.is_(None))
    if before_id is not None:
        statement = statement.where(Anomaly.id < before_id)
    return transaction.execute(statement.limit(limit)).all()


def concerning(
    transaction: Transaction,
    *,
    order: tuple[str, str] | None,
    listing_ids: Collection[str],
    fingerprints: Collection[str],
    limit: int,
) -> Sequence[AnyRow]:
    of_these: list[Any] = [Anomaly.listing_id.in_(listing_ids), Anomaly.fingerprint.in_(fingerprints)]
    if order is not None:
        of_these.append(and_(Anomaly.channel == order[0], Anomaly.order_id == order[1]))
    return transaction.execute(
        select(*_VIEW)
        .where(_UNRESOLVED, or_(*of_these))
        .order_by(Anomaly.last_seen_at.desc(), Anomaly.id.desc())
        .limit(limit)
    ).all()


def one(transaction: Transaction, anomaly_id: int) -> AnyRow | None:
    return transaction.execute(select(*_VIEW).where(Anomaly.id == anomaly_id)).one_or_none()


def locked(transaction: Transaction, anomaly_id: int) -> AnyRow | None:
    return transaction.execute(select(*_VIEW).where(Anomaly.id == anomaly_id).with_for_update()).one_or_none()


def changes(transaction: Transaction, anomaly_id: int) -> Sequence[AnyRow]:
    return transaction.execute(
        select(Alert.transition, Alert.became, Alert.created_at, Alert.message, Alert.state)
        .where(Alert.anomaly_id == anomaly_id)
        .order_by(Alert.transition)
    ).all()


def count_unresolved(transaction: Transaction) -> dict[str, int]:
    rows = transaction.execute(select(Anomaly.kind, func.count()).where(_UNRESOLVED).group_by(Anomaly.kind))
    return {row[0]: row[1] for row in rows}
