"""What the marketplace holds, what we do to it, and the account of every unit."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from connectors.contract import Author, ListingState, StockKind
from worker.store.tables.base import Base
from worker.store.tables.states import (
    JournalKind,
    OperationKind,
    OperationState,
    WaiveReason,
)
from worker.store.types import Identifier, Name, Quantity, RowId, Words


class ListingRow(Base):
    """A listing as far as we know it, and the work waiting on it."""

    __tablename__ = "listings"

    listing_id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    seller_id: Mapped[str] = mapped_column(Identifier)
    title: Mapped[str] = mapped_column(Words)
    sku: Mapped[str | None] = mapped_column(Identifier)
    state: Mapped[ListingState]
    state_author: Mapped[Author | None]
    """Who changed its state last, as far as the feed told."""
    state_changed_at: Mapped[datetime | None]
    """When that change happened, at the latest."""
    stock_kind: Mapped[StockKind]
    first_seen_at: Mapped[datetime]

    total: Mapped[int | None] = mapped_column(Quantity)
    """The best known total: last answer, or the anchor. May feed only a compare-and-set."""
    anchor_total: Mapped[int | None] = mapped_column(Quantity)
    """The running total of the adjustment log right after `anchor_adjustment`."""
    anchor_adjustment: Mapped[str | None] = mapped_column(Identifier)
    anchor_at: Mapped[datetime | None]
    """The marketplace's time of that adjustment, or of the read when there was none yet."""
    anchor_certain: Mapped[bool] = mapped_column(server_default=false())
    """Whether an answered operation or closed evidence proved the anchor; a first read alone does not."""
    doubted: Mapped[bool] = mapped_column(server_default=false())
    """Somebody saw another total than ours: look at the log before writing."""

    next_attempt_at: Mapped[datetime | None]
    """When to reconcile it; None when nothing is due."""
    put_off_by: Mapped[str | None] = mapped_column(Name)
    """The channel whose poll is catching up: until it is at its head, new stock is no reason to write this listing."""
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lease_owner: Mapped[str | None] = mapped_column(Name)
    lease_until: Mapped[datetime | None]
    correlation_id: Mapped[str | None] = mapped_column(Name)
    """Of what made it due last: carried on to the marketplace call."""

    zero_since: Mapped[datetime | None]
    """Since when its total has been zero or less without interruption."""
    close_done: Mapped[bool] = mapped_column(server_default=false())
    """Whether we closed it in this zero episode: never twice in one."""
    closed_by_us_at: Mapped[datetime | None]
    """Our mark: only such a listing may we open. Ends with any state change by others."""
    next_upkeep_at: Mapped[datetime | None]
    """When to look whether it must be closed, opened or examined; None when nothing is due."""
    swept_at: Mapped[datetime | None]
    """When the full sweep last saw it."""

    __table_args__ = (
        Index(
            "ix_listings_next_attempt_at",
            "next_attempt_at",
            postgresql_where=text("next_attempt_at IS NOT NULL"),
            sqlite_where=text("next_attempt_at IS NOT NULL"),
        ),
        Index(
            "ix_listings_put_off_by",
            "put_off_by",
            postgresql_where=text("put_off_by IS NOT NULL"),
            sqlite_where=text("put_off_by IS NOT NULL"),
        ),
        Index(
            "ix_listings_next_upkeep_at",
            "next_upkeep_at",
            postgresql_where=text("next_upkeep_at IS NOT NULL"),
            sqlite_where=text("next_upkeep_at IS NOT NULL"),
        ),
        Index(
            "ix_listings_below_zero",
            "total",
            postgresql_where=text("total < 0"),
            sqlite_where=text("total < 0"),
        ),
        Index(
            "ix_listings_closed_by_us",
            "closed_by_us_at",
            postgresql_where=text("closed_by_us_at IS NOT NULL"),
            sqlite_where=text("closed_by_us_at IS NOT NULL"),
        ),
        Index(None, "sku"),
        Index("ix_listings_seller_id_sku", "seller_id", "sku"),
        Index(
            "ix_listings_open_at_zero",
            "zero_since",
            postgresql_where=text("zero_since IS NOT NULL AND state = 'published'"),
            sqlite_where=text("zero_since IS NOT NULL AND state = 'published'"),
        ),
    )


class Operation(Base):
    """One intended write to the marketplace, committed before it is sent (P3)."""

    __tablename__ = "operations"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    listing_id: Mapped[str] = mapped_column(ForeignKey("listings.listing_id"))
    kind: Mapped[OperationKind]
    state: Mapped[OperationState]
    expected_total: Mapped[int] = mapped_column(Quantity)
    new_total: Mapped[int] = mapped_column(Quantity)
    prepared_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    answered: Mapped[bool] = mapped_column(server_default=false())
    """Whether the marketplace's own answer settled it; such an operation claims before others."""
    claimed: Mapped[bool] = mapped_column(server_default=false())
    """Whether a remote adjustment is claimed for it; kept beside `claims` so that the open ones are found quickly."""
    outcome: Mapped[str | None] = mapped_column(Words)
    correlation_id: Mapped[str] = mapped_column(Name)

    __table_args__ = (
        Index(
            "uq_operations_unsettled",
            "listing_id",
            unique=True,
            postgresql_where=text("state IN ('prepared', 'unknown')"),
            sqlite_where=text("state IN ('prepared', 'unknown')"),
        ),
        Index(
            "ix_operations_unclaimed",
            "listing_id",
            postgresql_where=text("NOT claimed AND state <> 'rejected'"),
            sqlite_where=text("NOT claimed AND state <> 'rejected'"),
        ),
        Index("ix_operations_listing_id", "listing_id", "id"),
    )


class OperationPair(Base):
    """What an operation takes for which pair: units above zero are taken, below zero given back."""

    __tablename__ = "operation_pairs"

    operation_id: Mapped[int] = mapped_column(ForeignKey("operations.id"), primary_key=True)
    pair_id: Mapped[int] = mapped_column(ForeignKey("pairs.id"), primary_key=True)
    units: Mapped[int] = mapped_column(Quantity)

    __table_args__ = (CheckConstraint("units <> 0", name="units_not_zero"), Index(None, "pair_id"))


class RemoteAdjustmentRow(Base):
    """A stock adjustment of the marketplace's own log, as the feed or the ledger showed it to us."""

    __tablename__ = "remote_adjustments"

    adjustment_id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    listing_id: Mapped[str] = mapped_column(ForeignKey("listings.listing_id"))
    at: Mapped[datetime]
    quantity: Mapped[int] = mapped_column(Quantity)
    author: Mapped[Author | None]
    sequence: Mapped[int | None] = mapped_column(Quantity)
    """Its place in the feed; None while only the ledger showed it."""
    total_after: Mapped[int | None] = mapped_column(Quantity)
    """The listing's running total right after it; None where it is not known."""
    reservation_id: Mapped[str | None] = mapped_column(Identifier)
    transaction_id: Mapped[str | None] = mapped_column(Identifier)
    open_claim: Mapped[bool] = mapped_column(server_default=false())
    """Ours, and no operation has claimed it yet."""

    __table_args__ = (
        Index("ix_remote_adjustments_listing_id", "listing_id", "at"),
        Index(
            "ix_remote_adjustments_open",
            "listing_id",
            postgresql_where=text("open_claim"),
            sqlite_where=text("open_claim"),
        ),
    )


class Claim(Base):
    """This remote adjustment is that operation's. Append-only: an operation once, an adjustment once."""

    __tablename__ = "claims"

    adjustment_id: Mapped[str] = mapped_column(ForeignKey("remote_adjustments.adjustment_id"), primary_key=True)
    operation_id: Mapped[int] = mapped_column(ForeignKey("operations.id"), unique=True)
    claimed_at: Mapped[datetime]


class JournalEntry(Base):
    """Every unit that moved, and why. Append-only."""

    __tablename__ = "journal"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime]
    listing_id: Mapped[str] = mapped_column(Identifier)
    pair_id: Mapped[int | None] = mapped_column(RowId)
    kind: Mapped[JournalKind]
    units: Mapped[int] = mapped_column(Quantity)
    """Change of `applied` (applied, offset) or of `waived` (waived); the total itself for `total`."""
    operation_id: Mapped[int | None] = mapped_column(RowId)
    reason: Mapped[WaiveReason | None]
    note: Mapped[str | None] = mapped_column(Words)

    __table_args__ = (Index(None, "listing_id", "id"), Index(None, "pair_id"), Index(None, "at"))
