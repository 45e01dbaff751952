"""Accounts that do not answer rest, for all processes alike."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.store.types import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "breakers",
        sa.Column("account", sa.String(length=255), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("pauses", sa.Integer(), nullable=False),
        sa.Column("open_until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("probe_until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("ramp_from", UtcDateTime(timezone=True), nullable=True),
        sa.Column("granted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_breakers"),
    )
