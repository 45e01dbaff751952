"""What the audit found of each listing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.store.types import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATES = ("proved", "in-part", "waiting", "unexplained", "uncounted")
OPEN = "state IN ('unexplained', 'waiting')"


def _one_of(*values: str, name: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    op.create_table(
        "proofs",
        sa.Column("listing_id", sa.String(length=255), nullable=False),
        sa.Column("state", _one_of(*STATES, name="proofstate"), nullable=False),
        sa.Column("looked_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("opening_total", sa.BigInteger(), nullable=True),
        sa.Column("opening_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("account", sa.JSON(), nullable=False),
        sa.Column("known_kind", _one_of("counted", "unlimited", "undefined", name="stockkind"), nullable=False),
        sa.Column("known_total", sa.BigInteger(), nullable=True),
        sa.Column("known_anchor", sa.String(length=255), nullable=True),
        sa.Column("known_heard", sa.String(length=255), nullable=True),
        sa.Column("known_operation", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["listing_id"], ["listings.listing_id"], name="fk_proofs_listing_id"),
        sa.PrimaryKeyConstraint("listing_id", name="pk_proofs"),
    )
    op.create_index(
        "ix_proofs_open",
        "proofs",
        ["state", "listing_id"],
        postgresql_where=sa.text(OPEN),
        sqlite_where=sa.text(OPEN),
    )
