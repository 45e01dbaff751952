"""Every table of trueup. The constraints here carry the promises; the code above them only saves work.

channels --< orders --< order_lines --< pairs >-- listings --< operations --< operation_pairs
links (channel, sku -> listing)                    |              `-- claims -- remote_adjustments
deliveries, cursors, ticks                         `--< journal
holds, anomalies --< alerts
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from connectors.contract import Author, ListingState, StockKind
from worker.store.types import Body, Identifier, Name, Quantity, RowId, UtcDateTime, Words, one_of


class DeliveryState(StrEnum):
    """How far a delivery has come."""

    NEW = "new"
    HANDLED = "handled"
    PARKED = "parked"


class OrderState(StrEnum):
    """What an order counts for."""

    OPEN = "open"
    EXCLUDED = "excluded"
    """An exclusion rule keeps it out: every line is committed 0."""
    GONE = "gone"
    """The channel says it does not exist any more; only a fetch can lift this."""
    PARKED = "parked"
    """First seen long after it was placed, or not readable: a person decides."""
    UNSEEN = "unseen"
    """Known by id only; to be fetched."""


class OperationKind(StrEnum):
    """What an operation changes."""

    STOCK = "stock"
    CLOSE = "close"
    OPEN = "open"


class OperationState(StrEnum):
    """
    prepared --answered--> applied
    prepared --refused---> rejected
    prepared --no answer-> unknown --evidence--> applied
                           unknown --evidence--> absent --late evidence--> applied
    """

    PREPARED = "prepared"
    APPLIED = "applied"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    ABSENT = "absent"


UNSETTLED = (OperationState.PREPARED, OperationState.UNKNOWN)


class JournalKind(StrEnum):
    """What a journal entry says."""

    APPLIED = "applied"
    """Units moved by a settled operation."""
    OFFSET = "offset"
    """A sale and a return that cancelled out: `applied` moved between pairs without a call."""
    WAIVED = "waived"
    """Units that are not ours to take (or, below zero, to give back)."""
    TOTAL = "total"
    """A total first known for certain: where the listing's account begins."""


class WaiveReason(StrEnum):
    """Why units are not ours to take or to give back."""

    BEFORE_START = "before_start"
    UNLIMITED = "unlimited"
    UNDEFINED = "undefined"
    DELETED = "deleted"
    ACCEPTED = "accepted"
    LOWERED = "lowered"
    """Committed fell below what was waived, and took it along."""


class HoldReason(StrEnum):
    """Why nothing is written."""

    SHADOW = "shadow"
    PAUSED = "paused"
    REAUTHORISATION = "re-authorisation"
    ORPHAN = "orphan"
    RESTORED = "restored"
    PLAN_TOO_LARGE = "plan-too-large"
    BREAKER = "breaker"


class HoldScope(StrEnum):
    """What a hold stops."""

    LISTING = "listing"
    CHANNEL = "channel"
    MARKETPLACE = "marketplace"


class AnomalyState(StrEnum):
    """How far an anomaly has come."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How urgent an anomaly is."""

    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class AlertState(StrEnum):
    """How far a message has come."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """What every table has in common."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        bytes: Body,
        bool: Boolean,
        **{
            kind: one_of(kind)
            for kind in (
                Author,
                ListingState,
                StockKind,
                DeliveryState,
                OrderState,
                OperationKind,
                OperationState,
                JournalKind,
                WaiveReason,
                HoldReason,
                HoldScope,
                AnomalyState,
                Severity,
                AlertState,
            )
        },
    }


# --------------------------------------------------------------------------------------------------------------
# What channels say


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

    __table_args__ = (
        UniqueConstraint("channel", "delivery_id", "digest"),
        Index(
            "ix_deliveries_waiting",
            "next_attempt_at",
            postgresql_where=text("state = 'new'"),
            sqlite_where=text("state = 'new'"),
        ),
        Index("ix_deliveries_state_received_at", "state", "received_at"),
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
    waived: Mapped[int] = mapped_column(Quantity)
    placed_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("line_row", "listing_id"),
        CheckConstraint("committed >= 0", name="committed_not_negative"),
        CheckConstraint("applied >= 0", name="applied_not_negative"),
        CheckConstraint("waived <= committed", name="waived_within_committed"),
        Index(
            "ix_pairs_due",
            "listing_id",
            postgresql_where=text("applied <> committed - waived"),
            sqlite_where=text("applied <> committed - waived"),
        ),
        Index("ix_pairs_listing_id", "listing_id"),
    )


# --------------------------------------------------------------------------------------------------------------
# What the marketplace holds


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
    """When we learnt of that change."""
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
            "ix_listings_next_upkeep_at",
            "next_upkeep_at",
            postgresql_where=text("next_upkeep_at IS NOT NULL"),
            sqlite_where=text("next_upkeep_at IS NOT NULL"),
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

    __table_args__ = (Index(None, "listing_id", "id"), Index(None, "pair_id"))


# --------------------------------------------------------------------------------------------------------------
# What people must know, and what they decided


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

    __table_args__ = (
        Index(
            "ix_anomalies_unresolved",
            "kind",
            postgresql_where=text("state <> 'resolved'"),
            sqlite_where=text("state <> 'resolved'"),
        ),
        Index(None, "listing_id"),
    )


class Alert(Base):
    """One message owed to the operators about one change of an anomaly's state."""

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


APPEND_ONLY = (JournalEntry.__tablename__, Claim.__tablename__)
"""Tables where the database itself refuses to change or delete a row."""
