"""The connector against the sandbox, over real HTTP; the two agree through the protocol alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.budget import LocalBudgets
from connectors.contract import Gone, Ignored, Notice, Order
from connectors.errors import (
    ConnectorError,
    InvalidSignature,
    NotFound,
    Rejected,
    Unauthorized,
)
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.standard import AskedChannel, StandardChannel, StandardSettings, open_channel
from connectors.standard.sandbox import Options, create_app
from tests.conformance.standard_sandbox.api import Api, Received, Receiver

START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
BUYERS = (b"Ada", b"Lovelace", b"Analytical", b"ada@example.com", b"For Bob")


class World:
    """A shop, and a connector opened on it; both live by one clock that is moved, so that no wait takes time."""

    def __init__(self, api: Api, clock: VirtualClock, url: str) -> None:
        self.api = api
        self.clock = clock
        self.meddle: Callable[[httpx.Request], None] | None = None
        """Called before each request of the connector is sent: the shop may change in between."""
        self._url = url
        self._network = _Meddled(self)
        self._opened: list[StandardChannel] = []
        self.channel = self.open()

    def open(self, **changes: Any) -> AskedChannel:
        values: dict[str, Any] = {
            "webhook_secrets": [self.api.options.secret],
            "orders_url": f"{self._url}/orders",
            "orders_token": self.api.options.token,
            "page_size": 3,
            **changes,
        }
        tools = Toolbox(
            clock=self.clock, budgets=LocalBudgets(self.clock), random=random.Random(1), transport=self._network
        )
        channel = open_channel("toys", StandardSettings.model_validate(values), tools)
        assert isinstance(channel, AskedChannel)
        self._opened.append(channel)
        return channel

    def close(self) -> None:
        for channel in self._opened:
            getattr(channel, "close", lambda: None)()
        self._network.close()

    def poll(self, cursor: str) -> tuple[list[Order], str]:
        """Everything until no more is waiting."""
        orders: list[Order] = []
        while True:
            page = self.channel.orders(cursor)
            assert page.unreadable == ()
            orders += page.orders
            cursor = page.cursor
            if not page.more:
                return orders, cursor

    def truth(self, order_id: str) -> dict[str, int]:
        """The units of each line that are gone for the seller, as the shop itself counts them."""
        return {line["id"]: line["committed"] for line in self.api.show(f"orders/{order_id}")["lines"]}

    def switch(self, **switches: Any) -> None:
        self.api.control("switches", switches)

    def fail(self, **fault: Any) -> None:
        self.api.control("faults", fault)


class _Meddled(httpx.BaseTransport):
    def __init__(self, world: World) -> None:
        self._world = world
        self._network = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._world.meddle is not None:
            self._world.meddle(request)
        return self._network.handle_request(request)

    def close(self) -> None:
        self._network.close()


@contextmanager
def a_world(**options: Any) -> Iterator[World]:
    clock = VirtualClock(START)
    chosen = Options.model_validate(options)
    with serve(create_app(chosen, clock)) as url, httpx.Client(base_url=url, timeout=20) as client:
        world = World(Api(client, chosen), clock, url)
        try:
            yield world
        finally:
            world.close()


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as world:
        yield world


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with serve(receiver.app) as url:
        receiver.url = f"{url}/hook"
        yield receiver


def committed(order: object) -> dict[str, int]:
    assert isinstance(order, Order)
    return {line.line_id: line.committed for line in order.lines}


def newest(orders: list[Order]) -> dict[str, Order]:
    """Of each order the state of its highest revision."""
    found: dict[str, Order] = {}
    for order in orders:
        if order.order_id not in found or order.revision >= found[order.order_id].revision:
            found[order.order_id] = order
    return found


def read(channel: StandardChannel, told: Received) -> Notice:
    receipt = channel.receive(told.headers, told.body)
    assert not receipt.raw
    assert not any(buyer in receipt.kept for buyer in BUYERS)
    (notice,) = channel.read(receipt.topic, receipt.kept)
    return notice


def change_everything(world: World) -> list[str]:
    """One order for each thing that can happen to one; their ids."""
    api, placed = world.api, []

    def place(*quantities: int, **order: Any) -> Any:
        world.clock.advance(1)
        made = api.place(*({"sku": f"K{at}", "quantity": units} for at, units in enumerate(quantities)), **order)
        placed.append(made["id"])
        world.clock.advance(1)
        return made

    place(3, 1)
    api.change("cancel", place(2, 5))
    api.change("cancel", place(4, 2), (0, 1))
    api.change("restock", place(4, 2), (0, 1), (1, 2))
    both = place(5)
    api.change("cancel", both, (0, 1))
    api.change("restock", both, (0, 2))
    api.set_quantity(place(4, 2), 0, 6)
    api.set_quantity(place(4, 2), 1, 0)
    added = place(4)
    api.control(f"orders/{added['id']}/edit", {"add": [{"sku": None, "quantity": 2}]})
    api.control(f"orders/{place(2)['id']}/touch")
    place(0)
    place(3, order_id="Ünïcode / ?&= 7", source="web")
    return placed


@pytest.mark.parametrize("switches", [{}, {"versions": False}, {"whole_seconds": True}, {"dated": False}], ids=str)
def test_page_look_and_message_agree_with_the_shop_on_every_unit(
    world: World, receiver: Receiver, switches: dict[str, Any]
) -> None:
    world.switch(**switches)
    if not switches.get("versions", True):
        world.channel = world.open(ordered_by="updated_at")
    world.api.register(receiver.url)
    order_ids = change_everything(world)
    world.api.until_quiet()
    truths = {order_id: world.truth(order_id) for order_id in order_ids if "/" not in order_id}

    paged = newest(world.poll(world.channel.cursor_at(START))[0])
    assert {*paged} == {*order_ids}
    assert {order_id: committed(paged[order_id]) for order_id in truths} == truths
    assert {order_id: committed(world.channel.order(order_id)) for order_id in truths} == truths
    named = world.channel.order(order_ids[-1])
    assert isinstance(named, Order)
    assert named.lines == paged[order_ids[-1]].lines

    notices = [read(world.channel, told) for told in receiver.received]
    told = newest([notice for notice in notices if isinstance(notice, Order)])
    assert {order_id: order.lines for order_id, order in told.items()} == {
        order_id: order.lines for order_id, order in paged.items()
    }
    assert {order_id: order.revision for order_id, order in told.items()} == {
        order_id: order.revision for order_id, order in paged.items()
    }


# Reading everything -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page_size", [1, 7, 1000])
def test_every_change_is_read_whatever_changes_meanwhile(world: World, page_size: int) -> None:
    world.channel = world.open(page_size=page_size)
    luck, placed = random.Random(page_size), [world.api.place() for _ in range(20)]
    cursor = world.channel.cursor_at(START)

    def change_one(request: httpx.Request) -> None:
        world.api.change("restock", placed.pop(luck.randrange(len(placed))), (0, 1)) if len(placed) > 5 else None

    world.meddle = change_one
    found: dict[str, Order] = {}
    for _ in range(20):
        world.clock.advance(10)
        orders, cursor = world.poll(cursor)
        found |= newest(orders)
    world.meddle = None
    world.clock.advance(10)
    found |= newest(world.poll(cursor)[0])
    everything = world.api.show("state")["orders"]
    assert {order_id: committed(order) for order_id, order in found.items()} == {
        order["id"]: {line["id"]: line["committed"] for line in order["lines"]} for order in everything
    }


def test_at_rest_a_poll_is_one_call_that_brings_nothing(world: World) -> None:
    world.api.place()
    _, cursor = world.poll(world.channel.cursor_at(START))
    world.clock.advance(60)
    _, cursor = world.poll(cursor)
    before = world.channel.calls
    world.clock.advance(60)
    assert world.poll(cursor)[0] == []
    assert world.channel.calls == before + 1


def test_a_deleted_order_is_gone_for_who_asks(world: World) -> None:
    placed = world.api.place()
    world.api.delete(placed)
    assert isinstance(world.channel.order(placed["id"]), Gone)
    world.switch(single_orders=False)
    world.api.place()
    with pytest.raises(Rejected, match="does it know order_id"):
        world.channel.order(placed["id"])
    assert [check.name for check in world.channel.check() if not check.ok] == ["single orders"]


def test_a_system_without_versions_is_told_to_a_channel_that_goes_by_them(world: World) -> None:
    world.switch(versions=False)
    placed = world.api.place()
    page = world.channel.orders(world.channel.cursor_at(START))
    assert [(one.order_id, "ordered_by" in one.reason) for one in page.unreadable] == [(placed["id"], True)]


@pytest.mark.parametrize("switch", ["cursor_repeats", "cursors_expire"])
def test_cursors_that_lead_nowhere_end(world: World, switch: str) -> None:
    for _ in range(8):
        world.api.place()
    world.switch(**{switch: True})
    with pytest.raises(Rejected):
        world.poll(world.channel.cursor_at(START))
    world.switch(**{switch: False})
    assert len(newest(world.poll(world.channel.cursor_at(START))[0])) == 8


# Faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "answer", "status": 404}, NotFound),
        ({"kind": "answer", "status": 302}, Rejected),
    ],
    ids=str,
)
def test_every_fault_has_its_error_and_changes_nothing(world: World, fault: dict[str, Any], kind: type) -> None:
    placed = world.api.place()
    cursor = world.channel.cursor_at(START)
    world.fail(operation="*", **fault)
    with pytest.raises(ConnectorError) as caught:
        world.channel.orders(cursor)
    assert isinstance(caught.value, kind)
    assert caught.value.account == "toys"
    world.api.control("faults", method="DELETE")
    world.clock.advance(3600)
    assert [order.order_id for order in world.poll(cursor)[0]] == [placed["id"]]


def test_a_wrong_token_is_one(world: World) -> None:
    stranger = world.open(orders_token="another")
    with pytest.raises(Unauthorized):
        stranger.orders(stranger.cursor_at(START))
    assert [check.name for check in stranger.check() if not check.ok] == ["access"]
    assert [check.name for check in world.channel.check() if not check.ok] == []


# Messages ---------------------------------------------------------------------------------------------------------


def test_only_what_the_shop_signed_lately_is_taken(world: World, receiver: Receiver) -> None:
    faults = {"duplicate_rate": 1, "repeat_rate": 1, "forge_rate": 1, "tamper_rate": 1, "stale_rate": 1}
    world.api.control("delivery_faults", faults)
    world.api.register(receiver.url)
    for _ in range(10):
        world.api.place()
    world.api.until_quiet()
    taken, refused = [], []
    for told in receiver.received:
        try:
            taken.append(read(world.channel, told))
        except InvalidSignature as error:
            refused.append(error.code)
    assert len(taken) == 30
    assert {committed(notice)[one] for notice in taken for one in committed(notice)} == {3}
    assert sorted({*refused}) == ["signature", "timestamp"]
    assert len(refused) == 30


def test_either_of_two_secrets_will_do_while_one_is_replaced(world: World, receiver: Receiver) -> None:
    old = world.api.options.secret.get_secret_value()
    new = "whsec_bmV3IHNlY3JldCBvZiB0aGUgc2hvcCwgMzIgYnl0ZXM="
    world.api.register(receiver.url)
    world.api.control("secrets", {"secrets": [new, old]})
    world.api.place()
    (told,) = receiver.wait_for(1)
    for secrets in ([old], [new], [new, old]):
        assert isinstance(read(world.open(webhook_secrets=secrets), told), Order)
    with pytest.raises(InvalidSignature):
        read(world.open(webhook_secrets=["whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgMzIgYnl0ZXM="]), told)


def test_messages_about_something_else_are_nothing(world: World, receiver: Receiver) -> None:
    world.api.register(receiver.url)
    world.api.control("webhooks", {"body": {"type": "endpoint.test", "data": {"name": "Ada"}}})
    (told,) = receiver.wait_for(1)
    assert read(world.channel, told) == Ignored("unknown_topic")
