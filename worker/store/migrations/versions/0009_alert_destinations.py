"""Each destination of alerts is told by itself, and told again by itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.store.types import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PARTIAL = (
    ("ix_tellings_waiting", ["destination", "alert_id"], "state = 'waiting'"),
    ("ix_tellings_remind", ["destination", "remind_at"], "remind_at IS NOT NULL"),
)


def upgrade() -> None:
    op.create_table(
        "alert_destinations",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("leased_until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("succeeded_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("failed_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_alert_destinations"),
    )
    op.create_table(
        "tellings",
        sa.Column("alert_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting", "sent", "failed", name="alertstate", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("sent_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("remind_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name="fk_tellings_alert_id"),
        sa.PrimaryKeyConstraint("alert_id", "destination", name="pk_tellings"),
    )
    for name, columns, where in PARTIAL:
        op.create_index(name, "tellings", columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
