"""How far the feeds and polls have been read, what may run when, and which account rests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from worker.store.tables.base import Base
from worker.store.types import Identifier, Words


class Cursor(Base):
    """How far a feed or a poll has been read; moved in the transaction that took in what was read."""

    __tablename__ = "cursors"

    name: Mapped[str] = mapped_column(Identifier, primary_key=True)
    value: Mapped[str] = mapped_column(Words)
    moved_at: Mapped[datetime]
    """When it was last moved."""
    current_at: Mapped[datetime | None]
    """When it last reached the head: everything before that moment has been read."""


class Tick(Base):
    """When something on the schedule may run next: claimed here, so that two beats are harmless."""

    __tablename__ = "ticks"

    name: Mapped[str] = mapped_column(Identifier, primary_key=True)
    next_at: Mapped[datetime]
    ran_at: Mapped[datetime | None]


class BreakerRow(Base):
    """An account that failed to answer: no row is an account that works. All processes go by it."""

    __tablename__ = "breakers"

    account: Mapped[str] = mapped_column(Identifier, primary_key=True)
    """`marketplace:` or `channel:`, and its name."""
    failures: Mapped[int] = mapped_column(Integer)
    """In a row, while it is not open."""
    failed_at: Mapped[datetime]
    pauses: Mapped[int] = mapped_column(Integer)
    """How often it has opened since the account last worked."""
    open_until: Mapped[datetime | None]
    """Nobody calls before this moment, and one alone after it; None while it is not open."""
    probe_until: Mapped[datetime | None]
    """Until when the one who may call is waited for."""
    ramp_from: Mapped[datetime | None]
    """Since when it answers again, while calls still grow."""
    granted: Mapped[int] = mapped_column(Integer)
    """Calls granted since then."""
