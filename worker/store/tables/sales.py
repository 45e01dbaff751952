"""What channels say: deliveries, orders, lines, SKU links, and the pairs they come to."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from worker.store.tables.base import Base
from worker.store.tables.states import (
    DeliveryState,
    OrderState,
)
from worker.store.types import Identifier, Name, Quantity, RowId, Words


class ChannelRow(Base):
    """A channel as the database knows it; its credentials live in the settings alone."""

    __tablename__ = "channels"

    name: Mapped[str] = mapped_column(Name, primary_key=True)
    seller_id: Mapped[str] = mapped_column(Identifier)
    """Links of this channel reach only this seller's listings; empty means any, by explicit setting."""
    counted_from: Mapped[datetime]
    """Orders placed before this are not ours to take: the default start of its links."""
    created_at: Mapped[datetime]


class Delivery(Base):
    """One received webhook, stored before it was answered."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    channel: Mapped[str] = mapped_column(Name)
    delivery_id: Mapped[str] = mapped_column(Identifier)
    digest: Mapped[str] = mapped_column(Name)
    """SHA-256 of the raw body, in hexadecimal."""
    topic: Mapped[str] = mapped_column(Identifier)
    kept: Mapped[bytes | None]
    """The reduced body; the raw one when `raw`; None once it has been dropped."""
    raw: Mapped[bool]
    received_at: Mapped[datetime]
    correlation_id: Mapped[str] = mapped_column(Name)
    state: Mapped[DeliveryState]
    next_attempt_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    handled_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(Words)
    """What came of it, in a word when handled, in a sentence when parked."""
    order_id: Mapped[str | None] = mapped_column(Identifier)
    """The order that it tells of, once it has been read; None where it tells of none, or of several."""

    __table_args__ = (
        UniqueConstraint("channel", "delivery_id", "digest"),
        Index(
            "ix_deliveries_waiting",
            "next_attempt_at",
            postgresql_where=text("state = 'new'"),
            sqlite_where=text("state = 'new'"),
        ),
        Index("ix_deliveries_state_received_at", "state", "received_at"),
        Index("ix_deliveries_channel_received_at", "channel", "received_at"),
        Index(
            "ix_deliveries_order",
            "channel",
            "order_id",
            postgresql_where=text("order_id IS NOT NULL"),
            sqlite_where=text("order_id IS NOT NULL"),
        ),
    )


class OrderRow(Base):
    """The newest snapshot of an order that we hold, and what is still to be done about it."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    channel: Mapped[str] = mapped_column(Name)
    order_id: Mapped[str] = mapped_column(Identifier)
    state: Mapped[OrderState]
    revision: Mapped[int] = mapped_column(Quantity)
    fetched_at: Mapped[datetime | None]
    """Start of the request that read this snapshot; None when a webhook brought it."""
    digest: Mapped[str] = mapped_column(Name)
    """Of the snapshot's content: tells two snapshots of one revision apart."""
    polled_revision: Mapped[int | None] = mapped_column(Quantity)
    """The latest revision that a poll has shown as we hold it: nothing came after it that carries the same number."""
    placed_at: Mapped[datetime | None]
    first_seen_at: Mapped[datetime]
    reason: Mapped[str | None] = mapped_column(Words)
    """Why it is excluded or parked."""
    accepted_by: Mapped[str | None] = mapped_column(Name)
    """Who decided that it counts although it was first seen long after it was placed."""
    fetch_at: Mapped[datetime | None]
    """When to fetch it again; None when nobody asked."""
    fetch_attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    looks: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How many of the late looks (after 1, 7 and 30 days) are done."""
    look_at: Mapped[datetime | None]
    correlation_id: Mapped[str] = mapped_column(Name)

    __table_args__ = (
        UniqueConstraint("channel", "order_id"),
        Index("ix_orders_channel_id", "channel", "id"),
        Index(
            "ix_orders_fetch_at",
            "fetch_at",
            postgresql_where=text("fetch_at IS NOT NULL"),
            sqlite_where=text("fetch_at IS NOT NULL"),
        ),
        Index(
            "ix_orders_look_at",
            "look_at",
            postgresql_where=text("look_at IS NOT NULL"),
            sqlite_where=text("look_at IS NOT NULL"),
        ),
        Index(
            "ix_orders_parked",
            "first_seen_at",
            postgresql_where=text("state = 'parked'"),
            sqlite_where=text("state = 'parked'"),
        ),
        Index("ix_orders_channel_placed_at", "channel", "placed_at"),
    )


class OrderLineRow(Base):
    """One line of an order. `item_key` and `sku` are as first seen."""

    __tablename__ = "order_lines"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    order_row: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    channel: Mapped[str] = mapped_column(Name)
    line_id: Mapped[str] = mapped_column(Identifier)
    item_key: Mapped[str] = mapped_column(Identifier)
    sku: Mapped[str | None] = mapped_column(Identifier)
    committed: Mapped[int] = mapped_column(Quantity)
    first_committed: Mapped[int] = mapped_column(Quantity)
    """Committed as first known: what a late link waives of a line placed before its start."""
    placed_at: Mapped[datetime]
    linked: Mapped[bool]
    """Whether it has at least one pair."""

    __table_args__ = (
        UniqueConstraint("order_row", "line_id"),
        CheckConstraint("committed >= 0", name="committed_not_negative"),
        Index("ix_order_lines_channel_sku", "channel", "sku"),
        Index(
            "ix_order_lines_unlinked",
            "channel",
            "sku",
            postgresql_where=text("NOT linked"),
            sqlite_where=text("NOT linked"),
        ),
    )


class Link(Base):
    """A version of a SKU link: this channel's SKU is that listing, `units` per sale, in force [from, until)."""

    __tablename__ = "links"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    channel: Mapped[str] = mapped_column(Name)
    sku: Mapped[str] = mapped_column(Identifier)
    listing_id: Mapped[str] = mapped_column(ForeignKey("listings.listing_id"))
    units: Mapped[int] = mapped_column(Quantity)
    from_at: Mapped[datetime]
    until_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("units > 0", name="units_positive"),
        CheckConstraint("until_at IS NULL OR until_at >= from_at", name="until_after_from"),
        Index(
            "uq_links_in_force",
            "channel",
            "sku",
            "listing_id",
            unique=True,
            postgresql_where=text("until_at IS NULL"),
            sqlite_where=text("until_at IS NULL"),
        ),
        Index("ix_links_channel_sku", "channel", "sku"),
        Index(None, "listing_id"),
    )


class Pair(Base):
    """One order line and one listing it is linked to. P1: committed = applied + pending + waived, always."""

    __tablename__ = "pairs"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    line_row: Mapped[int] = mapped_column(ForeignKey("order_lines.id"))
    listing_id: Mapped[str] = mapped_column(ForeignKey("listings.listing_id"))
    channel: Mapped[str] = mapped_column(Name)
    units: Mapped[int] = mapped_column(Quantity)
    """Listing units per line unit, of the link version the line belongs to."""
    committed: Mapped[int] = mapped_column(Quantity)
    applied: Mapped[int] = mapped_column(Quantity)
    """Below zero where a return was executed twice, once late: it is taken again."""
    waived: Mapped[int] = mapped_column(Quantity)
    placed_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("line_row", "listing_id"),
        CheckConstraint("committed >= 0", name="committed_not_negative"),
        CheckConstraint("waived <= committed", name="waived_within_committed"),
        Index(
            "ix_pairs_due",
            "listing_id",
            postgresql_where=text("applied <> committed - waived"),
            sqlite_where=text("applied <> committed - waived"),
        ),
        # The same pairs by a condition that PostgreSQL can estimate, with the statistics `st_pairs_due`: it believes of
        # the one above that it holds nearly every pair, and where no listing is named reads the whole table instead.
        Index(
            "ix_pairs_pending",
            "listing_id",
            postgresql_where=text("committed - waived - applied <> 0"),
            sqlite_where=text("committed - waived - applied <> 0"),
        ),
        Index("ix_pairs_listing_id", "listing_id"),
    )
