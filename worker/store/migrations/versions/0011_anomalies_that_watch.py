"""Anomalies can be snoozed and say how often they came back; indexes for what is looked for on the schedule."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.store.types import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PARTIAL = (
    ("ix_anomalies_snoozed", "anomalies", "snoozed_until", "snoozed_until IS NOT NULL"),
    ("ix_listings_open_at_zero", "listings", "zero_since", "zero_since IS NOT NULL AND state = 'published'"),
)


def upgrade() -> None:
    op.add_column("anomalies", sa.Column("regressions", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("anomalies", sa.Column("snoozed_until", UtcDateTime(timezone=True), nullable=True))
    op.add_column("anomalies", sa.Column("snoozed_weight", sa.BigInteger(), nullable=True))
    # Until now an anomaly's state changed only by being opened and resolved in turn.
    op.execute("UPDATE anomalies SET regressions = (transitions - 1) / 2 WHERE transitions > 2")
    for name, table, column, where in PARTIAL:
        op.create_index(name, table, [column], postgresql_where=sa.text(where), sqlite_where=sa.text(where))
    op.create_index("ix_orders_channel_placed_at", "orders", ["channel", "placed_at"])
