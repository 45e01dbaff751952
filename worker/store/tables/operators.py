"""The people who use the console, how they sign in, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from worker.store.tables.base import Base
from worker.store.tables.states import Role
from worker.store.types import Identifier, Name, RowId, Words


class Operator(Base):
    """Somebody who may sign in to the console."""

    __tablename__ = "operators"

    name: Mapped[str] = mapped_column(Name, primary_key=True)
    role: Mapped[Role]
    password_hash: Mapped[str] = mapped_column(Words)
    """Argon2id, with its own parameters and salt."""
    created_at: Mapped[datetime]
    password_set_at: Mapped[datetime]


class OperatorSession(Base):
    """One browser in which an operator has signed in."""

    __tablename__ = "operator_sessions"

    digest: Mapped[str] = mapped_column(Name, primary_key=True)
    """SHA-256 of the cookie's secret, in hexadecimal: who reads this table cannot sign in with it."""
    operator: Mapped[str] = mapped_column(ForeignKey("operators.name"))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    """When it was last used, give or take a minute."""

    __table_args__ = (Index(None, "operator"), Index(None, "created_at"))


class SignInAttempt(Base):
    """A sign-in that failed, or has not ended yet: what the throttle counts."""

    __tablename__ = "sign_in_attempts"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime]
    name_digest: Mapped[str] = mapped_column(Name)
    """Of the name that was typed: people type passwords there by mistake."""
    address: Mapped[str] = mapped_column(Name)

    __table_args__ = (
        Index("ix_sign_in_attempts_name_digest_at", "name_digest", "at"),
        Index("ix_sign_in_attempts_address_at", "address", "at"),
        Index(None, "at"),
    )


class Action(Base):
    """What a person did. Append-only."""

    __tablename__ = "actions"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(Name)
    via: Mapped[str] = mapped_column(Name)
    """`console`, or `command` for the command line, where the actor is the user of the system."""
    verb: Mapped[str] = mapped_column(Name)
    subject_kind: Mapped[str] = mapped_column(Name)
    """What `subject` names: a listing, an operation, an anomaly, a channel, an operator, …"""
    subject: Mapped[str] = mapped_column(Identifier)
    listing_id: Mapped[str | None] = mapped_column(Identifier)
    """The listing it concerns, where it concerns one."""
    reason: Mapped[str | None] = mapped_column(Words)
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]

    __table_args__ = (
        Index("ix_actions_subject", "subject_kind", "subject", "id"),
        Index("ix_actions_listing_id", "listing_id", "id"),
    )


class Verdict(Base):
    """Whether stock was true, from one moment on until the next row says otherwise."""

    __tablename__ = "verdicts"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    since: Mapped[datetime]
    stock_is_true: Mapped[bool]
