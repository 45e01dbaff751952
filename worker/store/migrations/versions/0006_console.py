"""Operators, their sessions and what they do; since when stock is true; indexes for the console's pages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.store.types import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PARTIAL = (
    ("ix_listings_below_zero", "listings", "total", "total < 0"),
    ("ix_listings_closed_by_us", "listings", "closed_by_us_at", "closed_by_us_at IS NOT NULL"),
    ("ix_pairs_pending", "pairs", "listing_id", "committed - waived - applied <> 0"),
    ("ix_orders_parked", "orders", "first_seen_at", "state = 'parked'"),
)
PLAIN = (
    ("ix_listings_sku", "listings", ["sku"]),
    ("ix_links_listing_id", "links", ["listing_id"]),
    ("ix_journal_at", "journal", ["at"]),
    ("ix_deliveries_channel_received_at", "deliveries", ["channel", "received_at"]),
)


def upgrade() -> None:
    op.create_table(
        "operators",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column(
            "role",
            sa.Enum("viewer", "operator", name="role", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("password_set_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_operators"),
    )
    op.create_table(
        "operator_sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["operator"], ["operators.name"], name="fk_operator_sessions_operator"),
        sa.PrimaryKeyConstraint("digest", name="pk_operator_sessions"),
    )
    op.create_index("ix_operator_sessions_operator", "operator_sessions", ["operator"])
    op.create_index("ix_operator_sessions_created_at", "operator_sessions", ["created_at"])
    op.create_table(
        "sign_in_attempts",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("name_digest", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_attempts"),
    )
    op.create_index("ix_sign_in_attempts_name_digest_at", "sign_in_attempts", ["name_digest", "at"])
    op.create_index("ix_sign_in_attempts_address_at", "sign_in_attempts", ["address", "at"])
    op.create_index("ix_sign_in_attempts_at", "sign_in_attempts", ["at"])
    op.create_table(
        "actions",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("via", sa.String(length=64), nullable=False),
        sa.Column("verb", sa.String(length=64), nullable=False),
        sa.Column("subject_kind", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("listing_id", sa.String(length=255), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_actions"),
    )
    op.create_index("ix_actions_subject", "actions", ["subject_kind", "subject", "id"])
    op.create_index("ix_actions_listing_id", "actions", ["listing_id", "id"])
    _refuse_changes("actions")
    op.create_table(
        "verdicts",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("since", UtcDateTime(timezone=True), nullable=False),
        sa.Column("stock_is_true", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verdicts"),
    )
    for name, table, column, where in PARTIAL:
        op.create_index(name, table, [column], postgresql_where=sa.text(where), sqlite_where=sa.text(where))
    for name, table, columns in PLAIN:
        op.create_index(name, table, columns)
    if op.get_bind().dialect.name == "postgresql":
        # How few pairs are pending: without it PostgreSQL believes that nearly every one is, and reads them all.
        op.execute("CREATE STATISTICS st_pairs_due ON (committed - waived - applied) FROM pairs")


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
