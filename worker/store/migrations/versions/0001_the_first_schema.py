"""The first schema.

Journal and claims are append-only: triggers refuse to change, delete or truncate them, on both databases.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import worker.store.types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "anomalies",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column(
            "severity",
            sa.Enum(
                "warning", "error", "critical", name="severity", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "acknowledged",
                "resolved",
                name="anomalystate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("channel", sa.String(length=64), nullable=True),
        sa.Column("listing_id", sa.String(length=255), nullable=True),
        sa.Column("order_id", sa.String(length=255), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("occurrences", sa.Integer(), nullable=False),
        sa.Column("transitions", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_by", sa.String(length=64), nullable=True),
        sa.Column("resolved_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anomalies")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_anomalies_fingerprint")),
    )
    with op.batch_alter_table("anomalies", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_anomalies_listing_id"), ["listing_id"], unique=False)
        batch_op.create_index(
            "ix_anomalies_unresolved",
            ["kind"],
            unique=False,
            postgresql_where=sa.text("state <> 'resolved'"),
            sqlite_where=sa.text("state <> 'resolved'"),
        )

    op.create_table(
        "channels",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("seller_id", sa.String(length=255), nullable=False),
        sa.Column("counted_from", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_channels")),
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("moved_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("current_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("delivery_id", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("topic", sa.String(length=255), nullable=False),
        sa.Column("kept", sa.LargeBinary(), nullable=True),
        sa.Column("raw", sa.Boolean(), nullable=False),
        sa.Column("received_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "new", "handled", "parked", name="deliverystate", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("next_attempt_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("handled_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("channel", "delivery_id", "digest", name=op.f("uq_deliveries_channel_delivery_id_digest")),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index("ix_deliveries_state_received_at", ["state", "received_at"], unique=False)
        batch_op.create_index(
            "ix_deliveries_waiting",
            ["next_attempt_at"],
            unique=False,
            postgresql_where=sa.text("state = 'new'"),
            sqlite_where=sa.text("state = 'new'"),
        )

    op.create_table(
        "holds",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "reason",
            sa.Enum(
                "shadow",
                "paused",
                "re-authorisation",
                "orphan",
                "restored",
                "plan-too-large",
                "breaker",
                name="holdreason",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "scope",
            sa.Enum(
                "listing",
                "channel",
                "marketplace",
                name="holdscope",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("since", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("until", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("lifted_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    with op.batch_alter_table("holds", schema=None) as batch_op:
        batch_op.create_index(
            "uq_holds_active",
            ["reason", "scope", "subject"],
            unique=True,
            postgresql_where=sa.text("lifted_at IS NULL"),
            sqlite_where=sa.text("lifted_at IS NULL"),
        )

    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("listing_id", sa.String(length=255), nullable=False),
        sa.Column("pair_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "applied",
                "offset",
                "waived",
                "total",
                name="journalkind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("operation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "reason",
            sa.Enum(
                "before_start",
                "unlimited",
                "undefined",
                "deleted",
                "accepted",
                "lowered",
                name="waivereason",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    with op.batch_alter_table("journal", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_journal_listing_id_id"), ["listing_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_journal_pair_id"), ["pair_id"], unique=False)

    op.create_table(
        "listings",
        sa.Column("listing_id", sa.String(length=255), nullable=False),
        sa.Column("seller_id", sa.String(length=255), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sku", sa.String(length=255), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "pending_approval",
                "published",
                "closed",
                "deleted",
                name="listingstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "state_author",
            sa.Enum("ours", "other", name="author", native_enum=False, create_constraint=True, length=32),
            nullable=True,
        ),
        sa.Column("state_changed_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column(
            "stock_kind",
            sa.Enum(
                "counted",
                "unlimited",
                "undefined",
                name="stockkind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("first_seen_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("anchor_total", sa.BigInteger(), nullable=True),
        sa.Column("anchor_adjustment", sa.String(length=255), nullable=True),
        sa.Column("anchor_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("anchor_certain", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("doubted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("next_attempt_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=True),
        sa.Column("zero_since", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("close_done", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("closed_by_us_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("next_upkeep_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("swept_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("listing_id", name=op.f("pk_listings")),
    )
    with op.batch_alter_table("listings", schema=None) as batch_op:
        batch_op.create_index(
            "ix_listings_next_attempt_at",
            ["next_attempt_at"],
            unique=False,
            postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
            sqlite_where=sa.text("next_attempt_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_listings_next_upkeep_at",
            ["next_upkeep_at"],
            unique=False,
            postgresql_where=sa.text("next_upkeep_at IS NOT NULL"),
            sqlite_where=sa.text("next_upkeep_at IS NOT NULL"),
        )

    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=255), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "excluded",
                "gone",
                "parked",
                "unseen",
                name="orderstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("fetched_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("placed_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("first_seen_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("accepted_by", sa.String(length=64), nullable=True),
        sa.Column("fetch_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("fetch_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("looks", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("look_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("channel", "order_id", name=op.f("uq_orders_channel_order_id")),
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index(
            "ix_orders_fetch_at",
            ["fetch_at"],
            unique=False,
            postgresql_where=sa.text("fetch_at IS NOT NULL"),
            sqlite_where=sa.text("fetch_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_orders_look_at",
            ["look_at"],
            unique=False,
            postgresql_where=sa.text("look_at IS NOT NULL"),
            sqlite_where=sa.text("look_at IS NOT NULL"),
        )

    op.create_table(
        "ticks",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("next_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ran_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ticks")),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("anomaly_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("transition", sa.Integer(), nullable=False),
        sa.Column(
            "became",
            sa.Enum(
                "open",
                "acknowledged",
                "resolved",
                name="anomalystate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting", "sent", "failed", name="alertstate", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("next_attempt_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("sent_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["anomaly_id"], ["anomalies.id"], name=op.f("fk_alerts_anomaly_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("anomaly_id", "transition", name=op.f("uq_alerts_anomaly_id_transition")),
    )
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.create_index(
            "ix_alerts_waiting",
            ["next_attempt_at"],
            unique=False,
            postgresql_where=sa.text("state = 'waiting'"),
            sqlite_where=sa.text("state = 'waiting'"),
        )

    op.create_table(
        "links",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("sku", sa.String(length=255), nullable=False),
        sa.Column("listing_id", sa.String(length=255), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("from_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("until_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint("units > 0", name=op.f("ck_links_units_positive")),
        sa.CheckConstraint("until_at IS NULL OR until_at >= from_at", name=op.f("ck_links_until_after_from")),
        sa.ForeignKeyConstraint(["listing_id"], ["listings.listing_id"], name=op.f("fk_links_listing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links")),
    )
    with op.batch_alter_table("links", schema=None) as batch_op:
        batch_op.create_index("ix_links_channel_sku", ["channel", "sku"], unique=False)
        batch_op.create_index(
            "uq_links_in_force",
            ["channel", "sku", "listing_id"],
            unique=True,
            postgresql_where=sa.text("until_at IS NULL"),
            sqlite_where=sa.text("until_at IS NULL"),
        )

    op.create_table(
        "operations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("listing_id", sa.String(length=255), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "stock", "close", "open", name="operationkind", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "prepared",
                "applied",
                "rejected",
                "unknown",
                "absent",
                name="operationstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("expected_total", sa.BigInteger(), nullable=False),
        sa.Column("new_total", sa.BigInteger(), nullable=False),
        sa.Column("prepared_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("settled_at", worker.store.types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("answered", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("claimed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["listing_id"], ["listings.listing_id"], name=op.f("fk_operations_listing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
    )
    with op.batch_alter_table("operations", schema=None) as batch_op:
        batch_op.create_index("ix_operations_listing_id", ["listing_id", "id"], unique=False)
        batch_op.create_index(
            "ix_operations_unclaimed",
            ["listing_id"],
            unique=False,
            postgresql_where=sa.text("NOT claimed AND state <> 'rejected'"),
            sqlite_where=sa.text("NOT claimed AND state <> 'rejected'"),
        )
        batch_op.create_index(
            "uq_operations_unsettled",
            ["listing_id"],
            unique=True,
            postgresql_where=sa.text("state IN ('prepared', 'unknown')"),
            sqlite_where=sa.text("state IN ('prepared', 'unknown')"),
        )

    op.create_table(
        "order_lines",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("order_row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("line_id", sa.String(length=255), nullable=False),
        sa.Column("item_key", sa.String(length=255), nullable=False),
        sa.Column("sku", sa.String(length=255), nullable=True),
        sa.Column("committed", sa.BigInteger(), nullable=False),
        sa.Column("first_committed", sa.BigInteger(), nullable=False),
        sa.Column("placed_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("linked", sa.Boolean(), nullable=False),
        sa.CheckConstraint("committed >= 0", name=op.f("ck_order_lines_committed_not_negative")),
        sa.ForeignKeyConstraint(["order_row"], ["orders.id"], name=op.f("fk_order_lines_order_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_lines")),
        sa.UniqueConstraint("order_row", "line_id", name=op.f("uq_order_lines_order_row_line_id")),
    )
    with op.batch_alter_table("order_lines", schema=None) as batch_op:
        batch_op.create_index("ix_order_lines_channel_sku", ["channel", "sku"], unique=False)
        batch_op.create_index(
            "ix_order_lines_unlinked",
            ["channel", "sku"],
            unique=False,
            postgresql_where=sa.text("NOT linked"),
            sqlite_where=sa.text("NOT linked"),
        )

    op.create_table(
        "remote_adjustments",
        sa.Column("adjustment_id", sa.String(length=255), nullable=False),
        sa.Column("listing_id", sa.String(length=255), nullable=False),
        sa.Column("at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column(
            "author",
            sa.Enum("ours", "other", name="author", native_enum=False, create_constraint=True, length=32),
            nullable=True,
        ),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("total_after", sa.BigInteger(), nullable=True),
        sa.Column("reservation_id", sa.String(length=255), nullable=True),
        sa.Column("transaction_id", sa.String(length=255), nullable=True),
        sa.Column("open_claim", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["listing_id"], ["listings.listing_id"], name=op.f("fk_remote_adjustments_listing_id")),
        sa.PrimaryKeyConstraint("adjustment_id", name=op.f("pk_remote_adjustments")),
    )
    with op.batch_alter_table("remote_adjustments", schema=None) as batch_op:
        batch_op.create_index("ix_remote_adjustments_listing_id", ["listing_id", "at"], unique=False)
        batch_op.create_index(
            "ix_remote_adjustments_open",
            ["listing_id"],
            unique=False,
            postgresql_where=sa.text("open_claim"),
            sqlite_where=sa.text("open_claim"),
        )

    op.create_table(
        "claims",
        sa.Column("adjustment_id", sa.String(length=255), nullable=False),
        sa.Column("operation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("claimed_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["adjustment_id"], ["remote_adjustments.adjustment_id"], name=op.f("fk_claims_adjustment_id")
        ),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], name=op.f("fk_claims_operation_id")),
        sa.PrimaryKeyConstraint("adjustment_id", name=op.f("pk_claims")),
        sa.UniqueConstraint("operation_id", name=op.f("uq_claims_operation_id")),
    )
    op.create_table(
        "pairs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("line_row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("listing_id", sa.String(length=255), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("committed", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.Column("waived", sa.BigInteger(), nullable=False),
        sa.Column("placed_at", worker.store.types.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint("applied >= 0", name=op.f("ck_pairs_applied_not_negative")),
        sa.CheckConstraint("committed >= 0", name=op.f("ck_pairs_committed_not_negative")),
        sa.CheckConstraint("waived <= committed", name=op.f("ck_pairs_waived_within_committed")),
        sa.ForeignKeyConstraint(["line_row"], ["order_lines.id"], name=op.f("fk_pairs_line_row")),
        sa.ForeignKeyConstraint(["listing_id"], ["listings.listing_id"], name=op.f("fk_pairs_listing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pairs")),
        sa.UniqueConstraint("line_row", "listing_id", name=op.f("uq_pairs_line_row_listing_id")),
    )
    with op.batch_alter_table("pairs", schema=None) as batch_op:
        batch_op.create_index(
            "ix_pairs_due",
            ["listing_id"],
            unique=False,
            postgresql_where=sa.text("applied <> committed - waived"),
            sqlite_where=sa.text("applied <> committed - waived"),
        )
        batch_op.create_index("ix_pairs_listing_id", ["listing_id"], unique=False)

    op.create_table(
        "operation_pairs",
        sa.Column("operation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("pair_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("units <> 0", name=op.f("ck_operation_pairs_units_not_zero")),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], name=op.f("fk_operation_pairs_operation_id")),
        sa.ForeignKeyConstraint(["pair_id"], ["pairs.id"], name=op.f("fk_operation_pairs_pair_id")),
        sa.PrimaryKeyConstraint("operation_id", "pair_id", name=op.f("pk_operation_pairs")),
    )
    with op.batch_alter_table("operation_pairs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_operation_pairs_pair_id"), ["pair_id"], unique=False)

    for table in APPEND_ONLY:
        _refuse_changes(table)


APPEND_ONLY = ("journal", "claims")


def _refuse_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuses_changes BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_is_append_only()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_is_append_only()"
    )
