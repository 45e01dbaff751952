"""How far the feeds and polls have been read, and what may run when."""

from __future__ import annotations

from datetime import datetime

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
