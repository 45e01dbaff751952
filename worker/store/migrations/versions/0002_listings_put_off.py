"""Listings say which channel's poll puts them off."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("listings", sa.Column("put_off_by", sa.String(length=64), nullable=True))
    op.create_index(
        "ix_listings_put_off_by",
        "listings",
        ["put_off_by"],
        unique=False,
        postgresql_where=sa.text("put_off_by IS NOT NULL"),
        sqlite_where=sa.text("put_off_by IS NOT NULL"),
    )
