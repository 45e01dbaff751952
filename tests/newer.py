"""A version of trueup newer than this one: the same code, with further migrations."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.store.migrate import MIGRATIONS, Revision, newest_revision

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{down_revision}"
branch_labels = None
depends_on = None


def upgrade():
    {body}
"""


@dataclass(frozen=True)
class Step:
    """One further migration."""

    body: str
    after_deploy: bool = False


ADDS = Step('op.add_column("listings", sa.Column("shade", sa.String(16), server_default="grey"))')
TAKES_AWAY = Step(
    # As a table whose rows others refer to is changed on SQLite: by making it anew.
    'with op.batch_alter_table("orders", recreate="auto") as table: table.drop_column("accepted_by")',
    after_deploy=True,
)
ADDS_MORE = Step('op.create_table("shades", sa.Column("name", sa.String(16), primary_key=True))')
REMOVES = Step(
    'with op.batch_alter_table("listings", recreate="auto") as table: table.drop_column("shade")', after_deploy=True
)
"""Takes away what `ADDS` added: nothing that this code needs."""
BREAKS = Step("""op.execute("DELETE FROM channels"); op.execute("DELETE FROM orders")""", after_deploy=True)


def add_migrations(folder: Path, steps: Sequence[Step]) -> list[str]:
    """Put further migrations into the versions of a copy of the migrations; returns their ids."""
    last = Revision.of(newest_revision())
    assert last is not None
    made = []
    for step in steps:
        number = last.number + 1
        if step.after_deploy:
            name = f"{number:04}_after"
        else:
            name = f"{number:04}_after_{last.needs:04}" if last.needs else f"{number:04}"
        text = MIGRATION.format(revision=name, down_revision=last.id, body=step.body)
        (folder / "versions" / f"{number:04}_of_a_newer_version.py").write_text(text, encoding="utf-8")
        made.append(name)
        last = Revision.of(name)
        assert last is not None
    return made


def newer_migrations(folder: Path, *steps: Step) -> tuple[Path, list[str]]:
    """A copy of the migrations in `folder`, with further ones; returns it and the ids of those."""
    copy = folder / "migrations"
    shutil.copytree(MIGRATIONS, copy)
    return copy, add_migrations(copy, steps)
