"""More may have been given back for a pair than was taken: by a return executed late, beside its repetition."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("pairs") as pairs:
        pairs.drop_constraint(op.f("ck_pairs_applied_not_negative"), type_="check")
