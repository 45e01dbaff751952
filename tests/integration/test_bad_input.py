"""What is wrong is kept and said, and the rest goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from connectors.contract import MAX_QUANTITY, Notice, OrderLine, OrderPage, UnreadableOrder
from connectors.errors import NotFound, RateLimited, Rejected, Unauthorized, Unavailable, Unreadable
from tests.doubles import webhook_body
from tests.world import CHANNEL, World
from worker.intake import repository
from worker.intake.inbox import Incoming
from worker.store import StorageUnavailable, Store
from worker.store.tables import Delivery, DeliveryState, OrderRow, OrderState


def put(world: World, body: bytes, *, channel: str = CHANNEL, name: str = "d") -> None:
    world.services.inbox.put([Incoming(channel, name, name, "orders", body, True, world.clock.now(), "c")])


def fill(world: World, body: bytes) -> None:
    for number in range(2000):
        put(world, body + b" " * 2000, name=f"d{number}")


def drain(world: World) -> None:
    while world.services.inbox.drain():
        pass


def test_a_delivery_that_cannot_be_read_is_parked_and_its_neighbours_go_on(world: World) -> None:
    world.listing(total=10)
    world.link()
    put(world, b"not json", name="d1")
    put(world, webhook_body(world.channel.put("1", {"A": 2})), name="d2")
    put(world, b'{"order": 1}', name="d3")
    drain(world)
    world.reconcile()
    assert world.total() == 8
    states = sorted((row.delivery_id, row.state) for row in world.rows(Delivery.delivery_id, Delivery.state))
    assert states == [
        ("d1", DeliveryState.PARKED),
        ("d2", DeliveryState.HANDLED),
        ("d3", DeliveryState.PARKED),
    ]
    messages = [anomaly.message for anomaly in world.services.anomalies.list()]
    assert all("shop" in message and "trueup deliveries replay" in message for message in messages)


def test_a_delivery_for_a_channel_that_is_not_configured_is_parked(world: World) -> None:
    put(world, b"{}", channel="gone")
    drain(world)
    [anomaly] = world.services.anomalies.list()
    assert "channel gone is not configured" in anomaly.message


def test_a_connector_that_fails_unexpectedly_holds_up_nobody_and_is_parked_in_the_end(world: World) -> None:
    world.listing(total=10)
    world.link()
    read = world.channel.read

    def fails_on_poison(topic: str, kept: bytes) -> Sequence[Notice]:
        if kept == b"poison":
            raise ZeroDivisionError
        return read(topic, kept)

    world.channel.read = fails_on_poison  # type: ignore[method-assign]
    put(world, b"poison", name="d1")
    put(world, webhook_body(world.channel.put("1", {"A": 2})), name="d2")
    drain(world)
    world.reconcile()
    assert world.total() == 8
    for _ in range(6):
        world.pass_time(60)
        drain(world)
    row = next(row for row in world.rows(Delivery.delivery_id, Delivery.state, Delivery.attempts) if row[0] == "d1")
    assert (row.state, row.attempts) == (DeliveryState.PARKED, 5)


@pytest.mark.parametrize("units", [MAX_QUANTITY, MAX_QUANTITY // 5])
def test_units_beyond_64_bits_park_that_order_and_let_its_page_through(world: World, units: int) -> None:
    world.listing(total=10)
    world.link(units=6)
    world.channel.put("1", {"A": units})
    world.channel.put("2", {"A": 1})
    world.poll()
    world.reconcile()
    assert world.total() == 4
    [anomaly] = world.services.anomalies.list()
    assert (anomaly.kind, anomaly.order_id) == ("parked-order", "1")


def test_an_unreadable_order_in_a_page_is_parked_by_its_id_and_counts_once_it_can_be_read(world: World) -> None:
    world.listing(total=10)
    world.link()
    orders = world.channel.orders

    def with_unreadable(cursor: str) -> OrderPage:
        page = orders(cursor)
        return OrderPage(page.orders, page.cursor, page.more, (UnreadableOrder("7", "quantity is -1", b"{}"),))

    world.channel.orders = with_unreadable  # type: ignore[method-assign]
    world.channel.put("1", {"A": 1})
    world.poll()
    world.reconcile()
    assert world.total() == 9
    [anomaly] = world.services.anomalies.list()
    assert "quantity is -1" in anomaly.message
    world.channel.orders = orders  # type: ignore[method-assign]
    world.channel.put("7", {"A": 2})
    world.poll()
    world.reconcile()
    assert world.total() == 7
    assert world.anomalies() == []


@pytest.mark.parametrize("error", [Unavailable("down"), RateLimited("slow", retry_after_seconds=5)])
def test_a_fetch_that_is_not_answered_is_tried_again(world: World, error: Exception) -> None:
    world.listing(total=10)
    world.link()
    order = world.sell("1", {"A": 3})
    world.deliver(world.channel.put("1", {"A": 1}, revision=order.revision))
    world.channel.fail("order", error)
    world.fetch()
    assert world.rows(OrderRow.fetch_at)[0].fetch_at > world.clock.now()
    world.pass_time(60)
    world.fetch()
    world.reconcile()
    assert world.total() == 9


def test_an_order_that_cannot_be_read_is_parked_until_it_can(world: World) -> None:
    world.listing(total=10)
    world.link()
    order = world.sell("1", {"A": 3})
    world.deliver(world.channel.put("1", {"A": 1}, revision=order.revision))
    world.channel.fail("order", Unreadable("no id", order_id="1"))
    world.fetch()
    assert world.rows(OrderRow.state)[0].state is OrderState.PARKED
    assert world.anomalies() == ["parked-order"]
    world.channel.put("1", {"A": 3}, revision=order.revision)
    world.pass_time(5)
    with world.store.write() as transaction:
        repository.ask_for_fetch(transaction, CHANNEL, ["1"], world.clock.now())
    world.fetch()
    assert world.rows(OrderRow.state)[0].state is OrderState.OPEN
    assert world.anomalies() == []


@pytest.mark.parametrize("error", [Unreadable("200 text/html"), NotFound("no such shop"), Rejected("400")])
def test_an_answer_that_says_nothing_of_the_order_parks_it_after_several_only(world: World, error: Exception) -> None:
    world.listing(total=10)
    world.link()
    order = world.sell("1", {"A": 3})
    world.deliver(world.channel.put("1", {"A": 1}, revision=order.revision))
    world.channel.fail("order", *[error] * 8)
    for _ in range(7):
        world.fetch()
        assert world.anomalies() == []
        world.pass_time(1000)
    world.fetch()
    assert world.anomalies() == ["parked-order"]


def test_a_parked_delivery_names_its_order_where_that_can_be_read(world: World) -> None:
    def read(topic: str, kept: bytes) -> Sequence[Notice]:
        raise Unreadable("a quantity is -1", order_id="77")

    world.channel.read = read  # type: ignore[method-assign]
    put(world, b"{")
    drain(world)
    [anomaly] = world.services.anomalies.list()
    assert "order 77" in anomaly.message
    assert anomaly.detail["order"] == "77"


@pytest.mark.parametrize(
    ("end", "method", "act"),
    [
        ("channel", "orders", lambda world: world.services.poller.poll(CHANNEL)),
        ("channel", "recent", lambda world: world.services.poller.late_pass(CHANNEL, timedelta(days=1))),
        ("channel", "order", lambda world: world.fetch()),
        ("marketplace", "changes", lambda world: world.follow()),
        ("marketplace", "listings", lambda world: world.services.sweeper.sweep()),
        ("marketplace", "listing", lambda world: world.upkeep()),
    ],
)
def test_refused_credentials_stop_the_account_whoever_meets_them(
    world: World, end: str, method: str, act: Callable[[World], object]
) -> None:
    order = world.sell("1", {"A": 3})
    world.deliver(world.channel.put("1", {"A": 1}, revision=order.revision))
    world.marketplace.add("L", 10)
    world.follow()
    account = getattr(world, end)
    account.calls.clear()
    account.fail(method, Unauthorized("revoked"))
    for _ in range(2):
        with suppress(Unauthorized):
            act(world)
        world.pass_time(3600)
    assert world.holds() == ["re-authorisation"]
    assert "needs-reauthorisation" in world.anomalies()
    assert [call[0] for call in account.calls] == [method]


@pytest.mark.parametrize("error", [Rejected("400"), NotFound("no such shop"), Unreadable("200 text/html")])
@pytest.mark.parametrize(("method", "channel"), [("orders", CHANNEL), ("changes", None)])
def test_an_account_whose_news_cannot_be_read_is_told_until_they_can(
    world: World, error: Exception, method: str, channel: str | None
) -> None:
    if channel is not None:
        world.channel.fail(method, error)
    else:
        world.marketplace.fail(method, error)
    ask = world.follow if channel is None else lambda: world.services.poller.poll(CHANNEL)
    with pytest.raises(type(error)):
        ask()
    [anomaly] = world.services.anomalies.list()
    assert (anomaly.kind, anomaly.channel) == ("unusable-answer", channel)
    ask()
    assert world.anomalies() == []


def test_refused_credentials_stop_that_channel_alone(world: World) -> None:
    world.channel.fail("orders", Unauthorized("revoked"))
    with pytest.raises(Unauthorized):
        world.services.poller.poll(CHANNEL)
    assert world.holds() == ["re-authorisation"]
    [anomaly] = world.services.anomalies.list()
    assert "trueup doctor" in anomaly.message


def test_an_unknown_sku_and_a_line_without_one_wait_visibly(world: World) -> None:
    world.listing(total=10)
    world.channel.put("1", [OrderLine("1", "NOPE", "i", 1), OrderLine("2", None, "i", 2)])
    world.poll()
    assert sorted(anomaly.detail["sku"] for anomaly in world.services.anomalies.list()) == ["(no SKU)", "NOPE"]
    world.channel.put("2", [OrderLine("1", "NOPE", "i", 1)])
    world.channel.put("1", [])
    world.poll()
    assert [anomaly.detail["sku"] for anomaly in world.services.anomalies.list()] == ["NOPE"]
    world.channel.put("2", [OrderLine("1", "NOPE", "i", 0)])
    world.poll()
    assert world.anomalies() == []


def test_a_full_disk_fails_loudly_loses_nothing_and_goes_on_when_there_is_room(
    sqlite_template: Path, tmp_path: Path
) -> None:
    shutil.copy(sqlite_template, tmp_path / "full.db")
    store = Store(f"sqlite:///{tmp_path / 'full.db'}")
    room = {"pages": 2**30}

    @event.listens_for(store.engine, "checkout")
    def _limit(connection: Any, _record: object, _proxy: object) -> None:
        connection.execute(f"PRAGMA max_page_count={room['pages']}")

    world = World(store)
    world.listing(total=10)
    world.link()
    with store.read() as transaction:
        room["pages"] = transaction.exec_driver_sql("PRAGMA page_count").scalar_one()
    body = webhook_body(world.channel.put("1", {"A": 2}))
    with pytest.raises(StorageUnavailable, match="full"):
        fill(world, body)
    room["pages"] = 2**30
    drain(world)
    world.poll()
    world.reconcile()
    assert world.total() == 8
    store.dispose()


def test_a_read_only_database_is_said_so(world: World, tmp_path: Path) -> None:
    if world.store.is_sqlite:
        store = Store(f"sqlite:///file:{world.store.url.database}?mode=ro&uri=true")
    else:
        store = Store(world.store.url.update_query_dict({"options": "-c default_transaction_read_only=on"}))
    with pytest.raises(StorageUnavailable, match=r"read.?only"), store.write() as transaction:
        transaction.execute(text("UPDATE listings SET title = 'x'"))
    store.dispose()
