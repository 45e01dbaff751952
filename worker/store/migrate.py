"""Bringing a database to the present schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from worker.store.engine import Store

MIGRATIONS = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def upgrade(store: Store) -> None:
    """Run the migrations that this database has not seen. Idempotent; two at once wait for each other."""
    config = _config()
    with store.write() as connection:
        if not store.is_sqlite:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('trueup-migrations'))")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def newest_revision() -> str:
    """The schema that this version of trueup works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None  # noqa: S101  there is at least one migration
    return head


def present_revision(store: Store) -> str | None:
    """The schema that the database has; None when it has none of ours."""
    with store.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()
