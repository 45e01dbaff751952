"""Listings are found by their seller, in the order of their SKUs: what a SKU of a seller's channel may be."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_listings_seller_id_sku", "listings", ["seller_id", "sku"])
