"""The rules run on both databases."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
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
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes empty, migrated databases: the same test on SQLite and on PostgreSQL."""
    made: list[Store] = []
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")

        def make() -> Store:
            path = tmp_path / f"trueup-{len(made)}.db"
            shutil.copy(template, path)
            made.append(Store(f"sqlite:///{path}"))
            return made[-1]

        yield make
        for store in made:
            store.dispose()
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")

    def clone() -> Store:
        made.append(Store(server.fresh(build_schema)))
        return made[-1]

    yield clone
    for store in made:
        store.dispose()
        server.drop(store.url.render_as_string(hide_password=False))


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    """An empty, migrated database."""
    return new_store()


@pytest.fixture
def world(store: Store) -> World:
    """See `tests.world`."""
    return World(store)
