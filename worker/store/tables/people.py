"""What people must know, and what they decided: holds, anomalies, alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from worker.store.tables.base import Base
from worker.store.tables.states import (
    AlertState,
    AnomalyState,
    HoldReason,
    HoldScope,
    Severity,
)
from worker.store.types import Identifier, Name, Quantity, RowId, Words


class Hold(Base):
    """Do not write: a reason and a scope."""

    __tablename__ = "holds"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    reason: Mapped[HoldReason]
    scope: Mapped[HoldScope]
    subject: Mapped[str] = mapped_column(Identifier)
    """The listing's id, or the name of the channel or marketplace."""
    note: Mapped[str] = mapped_column(Words)
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    """When it ends by itself; None when only a command or its cause's end lifts it."""
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None] = mapped_column(Name)

    __table_args__ = (
        Index(
            "uq_holds_active",
            "reason",
            "scope",
            "subject",
            unique=True,
            postgresql_where=text("lifted_at IS NULL"),
            sqlite_where=text("lifted_at IS NULL"),
        ),
    )


class Anomaly(Base):
    """Something an operator must know: open, acknowledged, resolved, and open again if it comes back."""

    __tablename__ = "anomalies"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(Name)
    fingerprint: Mapped[str] = mapped_column(Words, unique=True)
    severity: Mapped[Severity]
    state: Mapped[AnomalyState]
    channel: Mapped[str | None] = mapped_column(Name)
    listing_id: Mapped[str | None] = mapped_column(Identifier)
    order_id: Mapped[str | None] = mapped_column(Identifier)
    message: Mapped[str] = mapped_column(Words)
    detail: Mapped[dict[str, Any]]
    occurrences: Mapped[int] = mapped_column(Integer)
    transitions: Mapped[int] = mapped_column(Integer)
    """How often its state has changed: an alert is for one of them."""
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    acknowledged_by: Mapped[str | None] = mapped_column(Name)
    resolved_at: Mapped[datetime | None]
    regressions: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How often it has opened again after it had been resolved."""
    snoozed_until: Mapped[datetime | None]
    """Nobody is told of it before this moment, unless it gets worse or comes back; None while it is not snoozed."""
    snoozed_weight: Mapped[int | None] = mapped_column(Quantity)
    """How bad it was when it was snoozed, where that is a number."""

    __table_args__ = (
        Index(
            "ix_anomalies_snoozed",
            "snoozed_until",
            postgresql_where=text("snoozed_until IS NOT NULL"),
            sqlite_where=text("snoozed_until IS NOT NULL"),
        ),
        Index(
            "ix_anomalies_unresolved",
            "kind",
            postgresql_where=text("state <> 'resolved'"),
            sqlite_where=text("state <> 'resolved'"),
        ),
        Index(None, "listing_id"),
    )


class Alert(Base):
    """One change of an anomaly's state that operators are told of: by a telling for each destination.

    Without `next_attempt_at` it has its tellings; it is sent as soon as one destination has taken it.
    """

    __tablename__ = "alerts"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    anomaly_id: Mapped[int] = mapped_column(ForeignKey("anomalies.id"))
    transition: Mapped[int] = mapped_column(Integer)
    became: Mapped[AnomalyState]
    message: Mapped[str] = mapped_column(Words)
    created_at: Mapped[datetime]
    state: Mapped[AlertState]
    next_attempt_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Counted by versions that had no tellings."""
    sent_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Words)

    __table_args__ = (
        UniqueConstraint("anomaly_id", "transition"),
        Index(
            "ix_alerts_waiting",
            "next_attempt_at",
            postgresql_where=text("state = 'waiting'"),
            sqlite_where=text("state = 'waiting'"),
        ),
    )


class Telling(Base):
    """One destination that is told of one alert."""

    __tablename__ = "tellings"

    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"), primary_key=True, autoincrement=False)
    destination: Mapped[str] = mapped_column(Name, primary_key=True)
    state: Mapped[AlertState]
    sent_at: Mapped[datetime | None]
    remind_at: Mapped[datetime | None]
    """When the destination is told again, should the anomaly still be open then."""

    __table_args__ = (
        Index(
            "ix_tellings_waiting",
            "destination",
            "alert_id",
            postgresql_where=text("state = 'waiting'"),
            sqlite_where=text("state = 'waiting'"),
        ),
        Index(
            "ix_tellings_remind",
            "destination",
            "remind_at",
            postgresql_where=text("remind_at IS NOT NULL"),
            sqlite_where=text("remind_at IS NOT NULL"),
        ),
    )


class AlertDestination(Base):
    """How a destination does: one process at a time sends there, and none while it rests after a failure."""

    __tablename__ = "alert_destinations"

    name: Mapped[str] = mapped_column(Name, primary_key=True)
    leased_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(Integer)
    """In a row."""
    retry_at: Mapped[datetime | None]
    succeeded_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Words)
    """Why it failed last."""
