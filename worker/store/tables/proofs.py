"""What the audit found, listing by listing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from connectors.contract import StockKind
from worker.store.tables.base import Base
from worker.store.tables.states import ProofState
from worker.store.types import Identifier, Quantity, Words


class ProofRow(Base):
    """The last proof of a listing's number: written by the audit alone."""

    __tablename__ = "proofs"

    listing_id: Mapped[str] = mapped_column(ForeignKey("listings.listing_id"), primary_key=True)
    state: Mapped[ProofState]
    looked_at: Mapped[datetime]
    opening_total: Mapped[int | None] = mapped_column(Quantity)
    """What the account of the listing begins with; None where it has no number."""
    opening_at: Mapped[datetime]
    """Adjustments after this moment are the account's."""
    total: Mapped[int | None] = mapped_column(Quantity)
    """The number that was read when it was looked at."""
    note: Mapped[str | None] = mapped_column(Words)
    """What else is to be known of it, in words."""
    account: Mapped[dict[str, Any]]
    """See `worker.audit.rules.account`: where the next proof begins, sums by cause, lines without one."""

    # The listing as it was known when the look began: whatever is written, read or heard since changes one of these.
    known_kind: Mapped[StockKind]
    known_total: Mapped[int | None] = mapped_column(Quantity)
    known_anchor: Mapped[str | None] = mapped_column(Identifier)
    known_heard: Mapped[str | None] = mapped_column(Identifier)
    """The last adjustment that was heard of."""
    known_operation: Mapped[int | None] = mapped_column(Quantity)

    __table_args__ = (
        Index(
            "ix_proofs_open",
            "state",
            "listing_id",
            postgresql_where=text("state IN ('unexplained', 'waiting')"),
            sqlite_where=text("state IN ('unexplained', 'waiting')"),
        ),
    )
