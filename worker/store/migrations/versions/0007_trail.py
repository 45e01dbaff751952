"""Deliveries remember which order they told of; indexes by which people find orders and deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NAMED = sa.text("order_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("order_id", sa.String(length=255), nullable=True))
    op.create_index(
        "ix_deliveries_order", "deliveries", ["channel", "order_id"], postgresql_where=NAMED, sqlite_where=NAMED
    )
    op.create_index("ix_orders_channel_id", "orders", ["channel", "id"])
