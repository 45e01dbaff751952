"""What a page of the console costs where there is much: its queries, their plans, its time.

    python -m tests.bench.pages [--listings 100000]

Makes a PostgreSQL database with ten order lines and twenty adjustments for each listing, and asks for every page of a
real console on it. Ends with 1 when a query reads a large table from end to end.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr
from rich.console import Console as Terminal
from rich.table import Table
from sqlalchemy import event

from config import logging
from config.alerts import AlertSettings, DestinationSettings
from config.settings import LogSettings
from tests import servers
from tests.operating import Browser, Console
from tests.world import World
from worker.store import Store
from worker.store.migrate import upgrade

LISTINGS = 100_000
LARGE_ROWS = 5_000
"""A table of fewer rows may be read from end to end: channels, holds, cursors."""
TIMES = 5
"""Each page is asked for so often; the median counts."""
ROWS = (
    """INSERT INTO listings (listing_id, seller_id, title, sku, state, stock_kind, first_seen_at, total)
    SELECT 'listing-' || n, 's' || n % 500, 'Listing ' || n, 'SKU-' || n, 'published', 'counted',
        :now - interval '90 days', n % 40
    FROM generate_series(1, :listings) n""",
    """INSERT INTO links (channel, sku, listing_id, units, from_at, created_at)
    SELECT 'shop', 'SKU-' || n, 'listing-' || n, 1, :now - interval '90 days', :now
    FROM generate_series(1, :listings) n""",
    """INSERT INTO orders (id, channel, order_id, state, revision, digest, placed_at, first_seen_at, correlation_id)
    SELECT n, 'shop', 'order-' || n, CASE WHEN n % 5000 = 0 THEN 'parked' ELSE 'open' END, n, '',
        :now - n * interval '90 days' / (5 * :listings), :now, ''
    FROM generate_series(1, 5 * :listings) n""",
    """INSERT INTO order_lines (id, order_row, channel, line_id, item_key, sku, committed, first_committed, placed_at,
        linked)
    SELECT n, (n + 1) / 2, 'shop', n, n, 'SKU-' || 1 + n % :listings, 1, 1,
        :now - n * interval '90 days' / (10 * :listings), n % 2000 <> 0
    FROM generate_series(1, 10 * :listings) n""",
    """INSERT INTO pairs (id, line_row, listing_id, channel, units, committed, applied, waived, placed_at)
    SELECT n, n, 'listing-' || 1 + n % :listings, 'shop', 1, 1, CASE WHEN n % 1000 = 0 THEN 0 ELSE 1 END, 0,
        :now - n * interval '90 days' / (10 * :listings)
    FROM generate_series(1, 10 * :listings) n""",
    """INSERT INTO operations (id, listing_id, kind, state, expected_total, new_total, prepared_at, settled_at,
        answered, claimed, correlation_id)
    SELECT n, 'listing-' || 1 + n % :listings, 'stock', 'applied', 10, 9,
        :now - n * interval '90 days' / (10 * :listings), :now, true, true, ''
    FROM generate_series(1, 10 * :listings) n""",
    "INSERT INTO operation_pairs (operation_id, pair_id, units) SELECT id, id, 1 FROM operations",
    """INSERT INTO journal (at, listing_id, pair_id, kind, units, operation_id)
    SELECT prepared_at, listing_id, id, 'applied', 1, id FROM operations ORDER BY prepared_at""",
    """INSERT INTO remote_adjustments (adjustment_id, listing_id, at, quantity, author, sequence, total_after,
        reservation_id, transaction_id)
    SELECT 'adjustment-' || n, 'listing-' || 1 + n % :listings, :now - n * interval '90 days' / (20 * :listings), -1,
        CASE WHEN n % 2 = 0 THEN 'ours' ELSE 'other' END, 20 * :listings - n, n % 40,
        CASE WHEN n % 4 = 1 THEN 'reservation-' || n END, CASE WHEN n % 4 = 1 THEN 'transaction-' || n END
    FROM generate_series(1, 20 * :listings) n""",
    """INSERT INTO claims (adjustment_id, operation_id, claimed_at)
    SELECT 'adjustment-' || 2 * id, id, :now FROM operations""",
    """INSERT INTO proofs (listing_id, state, looked_at, opening_total, opening_at, total, account, known_kind)
    SELECT listing_id, CASE WHEN listing_id LIKE '%00' THEN 'unexplained' ELSE 'proved' END, :now, 10,
        :now - interval '90 days', total, '{"base": null, "sums": {}, "open": []}', 'counted'
    FROM listings""",
    """INSERT INTO deliveries (channel, delivery_id, digest, topic, order_id, raw, received_at, correlation_id, state,
        handled_at)
    SELECT 'shop', n, n, 'orders/updated', 'order-' || n, false,
        :now - n * interval '30 days' / (2 * :listings), '', CASE WHEN n % 5000 = 0 THEN 'parked' ELSE 'handled' END,
        :now
    FROM generate_series(1, 2 * :listings) n""",
    """INSERT INTO anomalies (kind, fingerprint, severity, state, listing_id, message, detail, occurrences, transitions,
        first_seen_at, last_seen_at, resolved_at)
    SELECT 'oversold', 'oversold|' || n, 'critical', CASE WHEN n % 100 = 0 THEN 'open' ELSE 'resolved' END,
        'listing-' || n, 'Listing ' || n || ' is oversold', '{}', 1, 2, :now, :now, :now
    FROM generate_series(1, :listings / 10) n""",
    """INSERT INTO actions (at, actor, via, verb, subject_kind, subject, listing_id, before, after)
    SELECT :now, 'ada', 'console', 'listing-retried', 'listing', 'listing-' || n, 'listing-' || n, '{}', '{}'
    FROM generate_series(1, :listings / 10) n""",
    """INSERT INTO alerts (id, anomaly_id, transition, became, message, created_at, state, sent_at)
    SELECT 2 * n + became, n, 1 + became, CASE WHEN became = 0 THEN 'open' ELSE 'resolved' END,
        'Listing ' || n || ' is oversold', :now, CASE WHEN n % 100 = 0 THEN 'waiting' ELSE 'sent' END, :now
    FROM generate_series(1, :listings / 10) n, generate_series(0, 1) became""",
    """INSERT INTO tellings (alert_id, destination, state, sent_at, remind_at)
    SELECT id, destination, state, sent_at, CASE WHEN id % 100 = 0 THEN :now + interval '1 day' END
    FROM alerts, unnest(ARRAY['people', 'machines']) destination""",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one page costs."""

    path: str
    queries: int
    milliseconds: float
    scans: Sequence[str]
    """Large tables that a query read from end to end."""


def fill(store: Store, listings: int, now: datetime) -> None:
    """Much of everything, up to a moment. References are not checked while it is written."""
    values = {"%": "%%", ":listings": str(listings), ":now": f"timestamptz '{now.isoformat()}'"}
    with store.write() as transaction:
        transaction.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in ROWS:
            for name, value in values.items():
                statement = statement.replace(name, value)  # noqa: PLW2901
            transaction.exec_driver_sql(statement)
    with store.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")


@contextmanager
def heard(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are sent meanwhile, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", hear)
    try:
        yield statements
    finally:
        event.remove(store.engine, "before_cursor_execute", hear)


def scans(store: Store, statements: Sequence[tuple[str, Any]], large: Mapping[str, int]) -> Iterator[str]:
    """The large tables that these statements read from end to end, as PostgreSQL plans them."""
    for statement, parameters in statements:
        if not statement.lstrip().upper().startswith(("SELECT", "WITH")):
            continue
        with store.read() as transaction:
            (plan,) = transaction.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
        for node in _nodes(plan["Plan"]):
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] in large:
                yield f"{node['Relation Name']}: {' '.join(statement.split())[:200]}"


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def measure(world: World, paths: Sequence[str]) -> Iterator[Cost]:
    """Ask for each page."""
    store = world.store
    with store.read() as transaction:
        sizes = transaction.exec_driver_sql("SELECT relname, reltuples FROM pg_class WHERE relkind = 'r'").all()
    large = {name: int(rows) for name, rows in sizes if rows >= LARGE_ROWS}
    with Console(world) as console:
        browser = Browser(console)
        browser.sign_in()
        for path in paths:
            taken = [_asked(browser, path) for _ in range(TIMES)]
            with heard(store) as statements:
                _asked(browser, path)
            yield Cost(path, len(statements), sorted(taken)[TIMES // 2] * 1000, list(scans(store, statements, large)))


def _asked(browser: Browser, path: str) -> float:
    """Seconds until the page is there."""
    started = time.perf_counter()
    answer = browser.get(path)
    taken = time.perf_counter() - started
    if answer.status_code != 200:
        message = f"{path} was answered with {answer.status_code}"
        raise RuntimeError(message)
    return taken


def main() -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages", description="What pages cost.")
    parser.add_argument("--listings", type=int, default=LISTINGS, help=f"how many (default: {LISTINGS:,})")
    chosen = parser.parse_args()
    logging.configure(LogSettings(level="error"))
    with servers.postgres() as server:
        store = Store(server.fresh())
        upgrade(store)
        destination = DestinationSettings(url=SecretStr("json://localhost"))
        world = World(store, alerts=AlertSettings(destinations={"people": destination, "machines": destination}))
        # The last minute of a day, whenever this is run: the overview costs what the day has brought.
        world.clock.advance((datetime.now(UTC).replace(hour=23, minute=59) - world.clock.now()).total_seconds())
        began = time.monotonic()
        fill(store, chosen.listings, world.clock.now())
        sys.stderr.write(f"made in {time.monotonic() - began:.0f} s\n")
        middle = f"listing-{chosen.listings // 2}"
        paths = (
            "/",
            "/anomalies",
            "/anomalies?state=all&kind=oversold",
            "/anomalies/100",
            "/listings",
            "/listings?q=nothing",
            f"/listing?id={middle}",
            "/orders",
            "/orders?q=SKU-7",
            "/orders?q=order-7&before=999999999",
            "/orders?channel=shop",
            "/orders?state=parked",
            "/order?channel=shop&id=order-8",
            "/work",
            "/deliveries",
            "/deliveries?channel=shop&state=parked",
            "/deliveries?order=order-7&until=2999-01-01T00:00",
            "/deliveries/7",
            "/holds",
            "/holds/plan?channel=shop",
            "/audit",
            f"/audit/listing?id={middle}",
            "/links",
            f"/links?channel=shop&sku=SKU-{1 + 2000 % chosen.listings}",
            "/links/list",
            "/links/list?q=SKU-5",
            "/alerts",
            "/log",
            "/settings",
        )
        costs = list(measure(world, paths))
        store.dispose()
    table = Table(title=f"{chosen.listings:,} listings", title_justify="left")
    for name in ("page", "queries", "ms", "large tables read from end to end"):
        table.add_column(name)
    for cost in costs:
        table.add_row(cost.path, str(cost.queries), f"{cost.milliseconds:.0f}", "\n".join(cost.scans) or "none")
    Terminal(width=160).print(table)
    return 1 if any(cost.scans for cost in costs) else 0


if __name__ == "__main__":
    sys.exit(main())
