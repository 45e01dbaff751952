"""Every query about anomalies and the messages owed for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, update

from worker.store import Transaction
from worker.store.bulk import in_chunks, insert_missing, insert_rows
from worker.store.tables import Alert, AlertState, Anomaly, AnomalyState


def open_or_count(transaction: Transaction, fingerprint: str, now: datetime, values: Mapping[str, Any]) -> bool:
    """Open, reopen or count up one anomaly; returns whether its state changed (and so owes a message)."""
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
        select(Anomaly.id, Anomaly.state, Anomaly.transitions)
        .where(Anomaly.fingerprint == fingerprint)
        .with_for_update()
    ).one()
    reopened = held.state is AnomalyState.RESOLVED
    if not created:
        transaction.execute(
            update(Anomaly)
            .where(Anomaly.id == held.id)
            .values(
                message=values["message"],
                detail=values["detail"],
                occurrences=Anomaly.occurrences + 1,
                last_seen_at=now,
                state=AnomalyState.OPEN if reopened else held.state,
                transitions=held.transitions + (1 if reopened else 0),
                resolved_at=None,
            )
        )
    if created or reopened:
        transition = held.transitions + (1 if reopened else 0)
        insert_rows(transaction, Alert, [_message(held.id, transition, AnomalyState.OPEN, values["message"], now)])
    return bool(created or reopened)


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
    for chunk in in_chunks(fingerprints):
        resolved = transaction.execute(
            update(Anomaly)
            .where(Anomaly.fingerprint.in_(chunk), Anomaly.state != AnomalyState.RESOLVED)
            .values(state=AnomalyState.RESOLVED, resolved_at=now, transitions=Anomaly.transitions + 1)
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


def acknowledge(transaction: Transaction, anomaly_id: int, by: str) -> bool:
    return bool(
        transaction.execute(
            update(Anomaly)
            .where(Anomaly.id == anomaly_id, Anomaly.state != AnomalyState.RESOLVED)
            .values(state=AnomalyState.ACKNOWLEDGED, acknowledged_by=by)
        ).rowcount
    )


def listed(transaction: Transaction, *, unresolved_only: bool, kind: str | None) -> Sequence[Row[Any]]:
    statement = select(
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
        Anomaly.first_seen_at,
        Anomaly.last_seen_at,
    ).order_by(Anomaly.last_seen_at.desc(), Anomaly.id.desc())
    if unresolved_only:
        statement = statement.where(Anomaly.state != AnomalyState.RESOLVED)
    if kind is not None:
        statement = statement.where(Anomaly.kind == kind)
    return transaction.execute(statement).all()


def count_unresolved(transaction: Transaction) -> dict[str, int]:
    rows = transaction.execute(
        select(Anomaly.kind, func.count()).where(Anomaly.state != AnomalyState.RESOLVED).group_by(Anomaly.kind)
    )
    return {row[0]: row[1] for row in rows}
