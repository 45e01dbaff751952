"""Races need a database with row locks: PostgreSQL. On SQLite one writer at a time makes them impossible."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.conftest import build_schema
from tests.races.sides import Race, SharedMarketplace
from tests.servers import PostgresServer
from tests.world import World
from worker.store import Store


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated database of this test alone."""
    made = postgres_server.fresh(build_schema)
    yield made
    postgres_server.drop(made)


@pytest.fixture
def world(url: str) -> Iterator[World]:
    store = Store(url)
    yield World(store, marketplace=SharedMarketplace)
    store.dispose()


@pytest.fixture
def race(world: World, url: str) -> Iterator[Race]:
    made = Race(world, url)
    yield made
    made.close()
