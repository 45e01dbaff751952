"""The rules run on both databases."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PostgresServer
from tests.world import World
from worker.store import Store
from worker.store.migrate import upgrade


def build_schema(url: str) -> None:
    store = Store(url)
    upgrade(store)
    store.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, copied for each test."""
    path = tmp_path_factory.mktemp("template") / "trueup.db"
    build_schema(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty, migrated database: the same test on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        shutil.copy(template, tmp_path / "trueup.db")
        made = Store(f"sqlite:///{tmp_path / 'trueup.db'}")
        yield made
        made.dispose()
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.fresh(build_schema)
    made = Store(url)
    yield made
    made.dispose()
    server.drop(url)


@pytest.fixture
def world(store: Store) -> World:
    """See `tests.world`."""
    return World(store)
