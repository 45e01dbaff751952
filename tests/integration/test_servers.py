"""The servers under the integration tests are real, private and clean."""

from __future__ import annotations

import psycopg
from redis import Redis

from tests.servers import PostgresServer, for_libpq


def _execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(for_libpq(url), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _with_a_table(url: str) -> None:
    _execute(url, "CREATE TABLE built (id int)")
    _execute(url, "INSERT INTO built VALUES (1)")


def test_each_database_is_empty(postgres_server: PostgresServer) -> None:
    first = postgres_server.fresh()
    _with_a_table(first)
    second = postgres_server.fresh()

    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert _execute(first, tables) == [(1,)]
    assert _execute(second, tables) == [(0,)]
    postgres_server.drop(first)
    postgres_server.drop(second)


def test_a_template_is_built_once_and_cloned(postgres_server: PostgresServer) -> None:
    calls: list[str] = []

    def build(url: str) -> None:
        calls.append(url)
        _with_a_table(url)

    first = postgres_server.fresh(build)
    _execute(first, "DELETE FROM built")
    second = postgres_server.fresh(build)

    assert len(calls) == 1
    assert _execute(second, "SELECT id FROM built") == [(1,)]
    postgres_server.drop(first)
    postgres_server.drop(second)


def test_a_database_is_dropped_under_its_users(postgres_server: PostgresServer) -> None:
    url = postgres_server.fresh()
    with psycopg.connect(for_libpq(url)):
        postgres_server.drop(url)

    names = [name for (name,) in _execute(postgres_server.url, "SELECT datname FROM pg_database")]
    assert url.split("/")[-1].split("?")[0] not in names


def test_the_broker_is_empty_for_every_test(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_the_broker_is_emptied_between_tests(redis_url: str) -> None:
    test_the_broker_is_empty_for_every_test(redis_url)
