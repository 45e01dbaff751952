"""What is dropped after its days, and that nothing counts differently for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.integration.test_upgrade import columns, contents
from tests.world import World
from worker import retention
from worker.housekeeping import Housekeeping
from worker.store import Store
from worker.store.tables import (
    Alert,
    Anomaly,
    Delivery,
    JournalEntry,
    Operation,
    OrderRow,
    OrderState,
    RemoteAdjustmentRow,
)

YEARS = timedelta(days=800).total_seconds()
DROPPED = {
    "deliveries": ("*",),
    "alerts": ("*",),
    "anomalies": ("*",),
    "orders": ("reason", "correlation_id"),
    "operations": ("outcome", "correlation_id"),
    "remote_adjustments": ("reservation_id", "transaction_id"),
    # Where a walk stands, and what follows from time itself.
    "cursors": ("*",),
}


def forget(world: World) -> None:
    Housekeeping(world.services).forget()


def long_ago(world: World) -> None:
    """Sales, returns, waivers, a tombstone, an exclusion, a parked order, a lost answer, an oversell and a purchase."""
    world.listing("L", 20)
    world.listing("M", 4)
    world.pass_time(100)
    world.link("A", "L")
    world.link("B", "M")
    world.sell("sold", {"A": 3, "B": 1})
    world.sell("before", {"A": 4}, placed_at=world.clock.now() - timedelta(seconds=50))
    world.sell("deleted", {"A": 1})
    world.sell("mirrored", {"A": 1})
    world.sell("too-many", {"B": 9})
    world.sell("unlinked", {"C": 2})
    world.sell("parked", {"A": 2}, placed_at=world.clock.now() - timedelta(days=100))
    world.marketplace.fail("adjust", "lost_after")
    world.reconcile()
    world.marketplace.buy("L", 2)
    world.settle_down(seconds=200)
    world.pass_time(1)
    world.sell("sold", {"A": 2, "B": 1})
    world.sell("too-many", {"B": 3})
    del world.channel.held["deleted"]
    mirrored = world.channel.put("mirrored", {"A": 1}, excluded="made by the marketplace")
    world.poll()
    with world.store.write() as transaction:
        world.services.intake.take_in(transaction, "shop", [world.channel.order("deleted")], "corr-9")
        world.services.intake.take_in(transaction, "shop", [replace(mirrored, fetched_at=world.clock.now())], "corr-9")
    world.settle_down(seconds=200)
    for days in (1, 7, 30):
        world.pass_time(timedelta(days=days).total_seconds())
        Housekeeping(world.services).look_again()
        world.fetch()
    world.services.alerts.send_due()


def much_later(world: World) -> None:
    """Old webhooks, old duplicates, a late return, a tombstone told about again, a late link and a new sale."""
    old = world.channel.held["sold"]
    world.deliver(replace(old, lines=(replace(old.lines[0], committed=9),), revision=old.revision - 1))
    world.deliver(old)
    first = world.channel.held["before"]
    world.deliver(first)
    placed_at = old.placed_at
    world.sell("before", {"A": 5}, placed_at=first.placed_at)
    world.channel.put("deleted", {"A": 1}, placed_at=placed_at)
    world.deliver(world.channel.held["deleted"])
    del world.channel.held["deleted"]
    world.fetch()
    world.settle_down(seconds=100)
    world.pass_time(1)
    world.sell("sold", {"A": 0, "B": 1})
    world.link_by_import("C", "L", from_at=placed_at - timedelta(days=1))
    world.sell("new", {"A": 1, "B": 1})
    world.marketplace.edit("M", 5)
    world.settle_down(seconds=200)


def test_a_later_life_is_the_same_with_and_without_what_was_dropped(new_store: Callable[[], Store]) -> None:
    ends = []
    for forgetting in (False, True):
        world = World(new_store())
        long_ago(world)
        world.pass_time(YEARS)
        if forgetting:
            forget(world)
        much_later(world)
        world.assert_p1()
        with world.store.read() as transaction:
            journal = transaction.execute(
                select(JournalEntry.pair_id, JournalEntry.kind, JournalEntry.units, JournalEntry.reason).order_by(
                    JournalEntry.id
                )
            ).all()
            orders = transaction.execute(
                select(OrderRow.order_id, OrderRow.state, OrderRow.revision, OrderRow.digest).order_by(OrderRow.id)
            ).all()
        ends.append((world.pairs(), world.operations(), journal, orders, world.total("L"), world.total("M")))

    assert ends[0] == ends[1]
    states = {row.order_id: row.state for row in ends[1][3]}
    assert (states["deleted"], states["sold"]) == (OrderState.GONE, OrderState.OPEN)


def test_nothing_that_counts_is_dropped(world: World) -> None:
    long_ago(world)
    world.pass_time(YEARS)
    kept = {
        table: [name for name in names if name not in DROPPED.get(table, ())]
        for table, names in columns(world.store).items()
        if DROPPED.get(table) != ("*",)
    }
    before = contents(world.store, kept)

    forget(world)

    assert contents(world.store, kept) == before
    world.assert_p1()


def test_what_only_explains_is_dropped(world: World) -> None:
    long_ago(world)
    world.pass_time(YEARS)
    assert any(row.reason for row in world.rows(OrderRow.reason))

    forget(world)

    assert world.rows(Delivery.id) == []
    orders = world.rows(OrderRow.order_id, OrderRow.state, OrderRow.reason, OrderRow.correlation_id)
    assert {row.order_id for row in orders if row.reason or row.correlation_id} == {"parked"}
    operations = world.rows(Operation.outcome, Operation.correlation_id)
    assert {tuple(row) for row in operations} == {(None, "")}
    assert {row[0] for row in world.rows(RemoteAdjustmentRow.reservation_id)} == {None}
    assert world.anomalies(resolved=True) == []
    assert set(world.anomalies()) == {"parked-order", "unlinked-sku"}


def test_what_is_younger_than_its_days_stays(world: World) -> None:
    long_ago(world)
    before = contents(
        world.store, {table: names for table, names in columns(world.store).items() if table != "cursors"}
    )
    tables = {table: names for table, names in columns(world.store).items() if table not in {"cursors", "deliveries"}}

    forget(world)

    assert contents(world.store, tables) == {table: before[table] for table in tables}


def test_a_message_that_is_still_owed_stays_with_its_anomaly(world: World) -> None:
    world.listing(total=1)
    world.link()
    world.sell("1", {"A": 2})
    world.reconcile()
    world.pass_time(1)
    world.sell("1", {"A": 1})
    world.reconcile()
    world.pass_time(YEARS)
    forget(world)
    assert len(world.rows(Alert.id)) == 2
    assert world.anomalies(resolved=True) == ["oversold"]


def test_an_anomaly_that_comes_back_after_it_was_forgotten_is_told_again(world: World) -> None:
    world.listing(total=1)
    world.link()
    for round_ in range(2):
        world.sell(f"{round_}", {"A": 2})
        world.reconcile()
        assert world.anomalies() == ["oversold"]
        world.pass_time(1)
        world.sell(f"{round_}", {"A": 0})
        world.reconcile()
        with world.store.write() as transaction:
            transaction.execute(update(Alert).values(state="sent", sent_at=world.clock.now()))
        world.pass_time(YEARS)
        forget(world)
        assert world.rows(Anomaly.id) == []


def test_a_run_is_bounded_and_the_next_one_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_ROWS", 3)
    monkeypatch.setattr(retention, "MOST_BATCHES", 2)
    world.listing(total=100)
    world.link()
    for number in range(20):
        world.sell(str(number), {"A": 1})
    world.reconcile()
    with world.store.write() as transaction:
        transaction.execute(update(OrderRow).values(look_at=None))
    world.pass_time(YEARS)
    left = []
    for _ in range(5):
        forget(world)
        explained = [row for row in world.rows(OrderRow.correlation_id) if row.correlation_id]
        left.append((len(world.rows(Delivery.id)), len(explained)))
    assert left == [(14, 14), (8, 8), (2, 2), (0, 0), (0, 0)]
