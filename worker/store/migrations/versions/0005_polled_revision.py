"""Orders remember which revision of theirs a poll has shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("polled_revision", sa.BigInteger(), nullable=True))
