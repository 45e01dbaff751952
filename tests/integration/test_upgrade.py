"""Migrations run forward on a populated database, in two halves between which old code and new code work side by side.

Old code is stood for by what it can say: every column of its schema read, written and changed, on rows of its time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.integration.populated import ROWS, fill
from tests.newer import ADDS, ADDS_MORE, BREAKS, TAKES_AWAY, newer_migrations
from tests.servers import PostgresServer
from tests.world import World
from worker.store import Store, migrate
from worker.store.migrate import Revision, UpgradeRefusedError, newest_revision, present_revision, standing, upgrade
from worker.store.tables import Base

FIRST = "0001"
APPEND_ONLY = {"journal", "claims"}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A database without any table."""
    if request.param == "sqlite":
        made = Store(f"sqlite:///{tmp_path / 'empty.db'}")
        yield made
        made.dispose()
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    made = Store(server.fresh())
    yield made
    made.dispose()
    server.drop(made.url.render_as_string(hide_password=False))


@pytest.fixture
def old(empty: Store) -> Store:
    """A database of the first schema, with rows in every table."""
    migrate_to(empty, FIRST)
    with empty.write() as transaction:
        fill(transaction)
    return empty


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(migrate.MIGRATIONS))
    return made


def migrate_to(store: Store, revision: str) -> None:
    settings = config()
    with store.migrate() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)


def revisions() -> list[str]:
    return [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


def columns(store: Store) -> dict[str, list[str]]:
    """Table -> the names of its columns."""
    with store.read() as transaction:
        found = inspect(transaction)
        return {
            table: [column["name"] for column in found.get_columns(table)]
            for table in found.get_table_names()
            if table != "alembic_version"
        }


def contents(store: Store, of: Mapping[str, list[str]]) -> dict[str, list[Any]]:
    """What these tables hold in these columns."""
    with store.read() as transaction:
        return {
            table: sorted(map(repr, transaction.execute(text(f"SELECT {', '.join(names)} FROM {table}"))))
            for table, names in of.items()
        }


def test_every_table_of_the_first_schema_has_rows(old: Store) -> None:
    assert all(contents(old, columns(old)).values())
    assert set(columns(old)) == set(ROWS)


def test_nothing_changes_on_the_way_forward(old: Store) -> None:
    before, names = contents(old, columns(old)), columns(old)

    upgrade(old)

    assert present_revision(old) == newest_revision()
    assert contents(old, names) == before


def test_the_migrations_make_the_tables_that_the_code_describes(empty: Store) -> None:
    upgrade(empty)
    with empty.read() as transaction:
        compared = MigrationContext.configure(transaction, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(compared, Base.metadata) == []


def test_the_present_code_goes_on_where_the_old_one_stopped(old: Store) -> None:
    upgrade(old)
    world = World(old)
    world.marketplace.add("L", 10)
    world.marketplace.add("M", None)
    for seen, delta in ((10, -3), (7, -1), (6, 1)):
        world.marketplace.adjust("L", seen=seen, delta=delta)
    with old.write() as transaction:
        # The old code had read all of this.
        head = str(world.marketplace.log.last_sequence)
        transaction.execute(text("UPDATE cursors SET value = :head WHERE name = 'feed'"), {"head": head})
    world.pass_time(1)
    placed_at = world.clock.now().replace(year=2025, month=12, day=1, hour=12)

    # What was pending is taken; an old snapshot is refused; a newer one counts; so does a sale of today.
    world.reconcile()
    assert world.total() == 5
    for units, revision in ((9, 1764590399), (1, 1764590500)):
        world.deliver(world.channel.put("100", {"A": units}, placed_at=placed_at, revision=revision))
    world.sell("200", {"A": 1})
    world.settle_down(seconds=60)

    assert world.total() == 6
    assert world.pairs() == [("A", 1, 1, 0), ("A", 2, 2, 0), ("A", 4, 0, 4), ("A", 0, 0, 0), ("A", 1, 1, 0)]
    world.assert_p1()


def test_what_is_append_only_stays_so(old: Store) -> None:
    upgrade(old)
    for table in APPEND_ONLY:
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET operation_id = operation_id"):
            with pytest.raises(DBAPIError, match="append-only"), old.write() as transaction:
                transaction.execute(text(statement))


# --- old code on the new schema -----------------------------------------------------------------------------------


def test_what_old_code_says_works_after_the_first_half(empty: Store) -> None:
    """Every row of its time written, read and changed, column by column, and its unique keys still refuse a second."""
    migrate_to(empty, [name for name in revisions() if not taken_away(name)][-1])

    with empty.write() as transaction:
        fill(transaction)
        for table, rows in ROWS.items():
            names = list(rows[0])
            assert len(transaction.execute(text(f"SELECT {', '.join(names)} FROM {table}")).all()) == len(rows)
            if table not in APPEND_ONLY:
                settings = ", ".join(f"{name} = {name}" for name in names)
                assert transaction.execute(text(f"UPDATE {table} SET {settings}")).rowcount == len(rows)
    unsettled = (
        "INSERT INTO operations (listing_id, kind, state, expected_total, new_total, prepared_at, correlation_id)"
    )
    with pytest.raises(IntegrityError), empty.write() as transaction:
        transaction.execute(text(f"{unsettled} VALUES ('M', 'stock', 'prepared', 1, 0, '2026-01-01 00:00:00', 'c')"))


def taken_away(name: str) -> bool:
    found = Revision.of(name)
    assert found is not None, f"{name} is no id of a migration; see worker/store/migrate.py"
    return found.needs > 0


def test_before_deploy_migrations_only_add(empty: Store) -> None:
    """No table or column goes or becomes stricter, and no new key or reference binds what old code writes."""
    migrate_to(empty, FIRST)
    shape = shape_of(empty)
    for previous, name in pairwise(revisions()):
        migrate_to(empty, name)
        after = shape_of(empty)
        found = Revision.of(name)
        assert found is not None, f"{name} is no id of a migration"
        if not found.after_deploy:
            assert only_added(shape, after) == [], f"{name} after {previous} is no before-deploy migration"
        shape = after


def shape_of(store: Store) -> dict[str, Any]:
    with store.read() as transaction:
        found = inspect(transaction)
        return {
            table: {
                "columns": {
                    column["name"]: (str(column["type"]), column["nullable"], column["default"] is not None)
                    for column in found.get_columns(table)
                },
                "unique": {
                    *(tuple(key["column_names"]) for key in found.get_unique_constraints(table)),
                    *(tuple(index["column_names"]) for index in found.get_indexes(table) if index["unique"]),
                },
                "references": {tuple(key["constrained_columns"]) for key in found.get_foreign_keys(table)},
            }
            for table in found.get_table_names()
        }


def only_added(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What of it old code would trip over."""
    wrong = [f"table {table} is gone" for table in before.keys() - after.keys()]
    for table in before.keys() & after.keys():
        was, now = before[table], after[table]
        wrong += [
            f"{table}.{name} is {now['columns'].get(name)}, it was {column}"
            for name, column in was["columns"].items()
            if now["columns"].get(name) != column
        ]
        wrong += [
            f"{table}.{name} must be given"
            for name, (_, nullable, default) in now["columns"].items()
            if name not in was["columns"] and not nullable and not default
        ]
        wrong += [f"{table} has another {kind}" for kind in ("unique", "references") if was[kind] != now[kind]]
    return wrong


def test_what_is_not_additive_is_found(empty: Store) -> None:
    migrate_to(empty, FIRST)
    before = shape_of(empty)
    with empty.write() as transaction:
        transaction.execute(text("ALTER TABLE orders RENAME COLUMN reason TO why"))
        transaction.execute(text("CREATE UNIQUE INDEX one_title ON listings (title)"))
        transaction.execute(text("DROP TABLE alerts"))
    assert len(only_added(before, shape_of(empty))) == 3


# --- the two halves -----------------------------------------------------------------------------------------------


def test_between_the_halves_old_and_new_code_work(old: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade(old)
    present = newest_revision()
    migrations, (adds, takes_away) = newer_migrations(tmp_path, ADDS, TAKES_AWAY)

    with monkeypatch.context() as newer:
        newer.setattr(migrate, "MIGRATIONS", migrations)
        upgrade(old, after_deploy=False)
        upgrade(old, after_deploy=False)
        found = standing(old)
        assert (found.present, found.usable) == (adds, True)
        assert "--after-deploy" in found.remedy

    found = standing(old)
    assert (found.present, found.usable, found.remedy) == (adds, True, "")
    upgrade(old)
    assert present_revision(old) == adds
    World(old).listing("N", 5)

    with monkeypatch.context() as newer:
        newer.setattr(migrate, "MIGRATIONS", migrations)
        upgrade(old)
        assert (standing(old).present, standing(old).remedy) == (takes_away, "")

    found = standing(old)
    assert (found.present, found.usable) == (takes_away, False)
    assert "taken" in found.said
    with pytest.raises(UpgradeRefusedError, match="newer version"):
        upgrade(old)
    assert present < adds < takes_away


def test_an_upgrade_over_a_second_half_is_not_made_while_old_code_may_run(
    old: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(old)
    before, names = contents(old, columns(old)), columns(old)
    migrations, ids = newer_migrations(tmp_path, ADDS, TAKES_AWAY, ADDS_MORE)
    monkeypatch.setattr(migrate, "MIGRATIONS", migrations)

    with pytest.raises(UpgradeRefusedError, match="end every process of older versions"):
        upgrade(old, after_deploy=False)
    assert contents(old, names) == before
    assert columns(old) == names
    assert not standing(old).usable

    upgrade(old)
    assert standing(old).present == ids[-1] == f"{ids[-1][:4]}_after_{ids[1][:4]}"
    names["orders"].remove("accepted_by")
    assert {table: rows for table, rows in contents(old, names).items() if table != "orders"} == {
        table: rows for table, rows in before.items() if table != "orders"
    }
    assert len(contents(old, names)["orders"]) == len(before["orders"])
    with pytest.raises(IntegrityError), old.write() as transaction:
        transaction.execute(text("UPDATE order_lines SET order_row = 4711"))


def test_a_migration_that_breaks_references_is_taken_back(
    empty: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(empty)
    with empty.write() as transaction:
        fill(transaction)
    present = newest_revision()
    migrations, _ = newer_migrations(tmp_path, BREAKS)
    monkeypatch.setattr(migrate, "MIGRATIONS", migrations)
    with pytest.raises((IntegrityError, RuntimeError)):
        upgrade(empty)
    assert present_revision(empty) == present


def test_an_empty_database_gets_everything(empty: Store) -> None:
    upgrade(empty, after_deploy=False)
    assert standing(empty).present == newest_revision()
    assert standing(empty).usable


def test_a_database_of_something_else_is_refused(empty: Store) -> None:
    upgrade(empty)
    with empty.write() as transaction:
        transaction.execute(text("UPDATE alembic_version SET version_num = 'a1b2c3d4'"))
    assert not standing(empty).usable
    with pytest.raises(UpgradeRefusedError, match="none of trueup's"):
        upgrade(empty)
