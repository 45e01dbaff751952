"""The connector against the sandbox, over real HTTP; each was written from the vendor's documentation alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.budget import LocalBudgets
from connectors.contract import AccessEnded, Ignored, Look, Notice, Order, Receipt, Subscription
from connectors.errors import ConnectorError, InvalidSignature, Rejected, Unauthorized
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.shopify import ShopifyChannel, ShopifySettings
from connectors.shopify.sandbox import Options, create_app
from connectors.shopify.settings import TOPICS
from tests.conformance.shopify_sandbox.api import Api, Received, Receiver, until

START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


class World:
    """A shop, and a connector opened on it; both live by one clock that is moved, so that no wait takes time."""

    def __init__(self, api: Api, clock: VirtualClock, url: str) -> None:
        self.api = api
        self.clock = clock
        self._url = url
        self._opened: list[ShopifyChannel] = []
        self.channel = self.open()

    def open(self, **changes: Any) -> ShopifyChannel:
        options = self.api.options
        values: dict[str, Any] = {
            "shop": options.shop_domain,
            "base_url": self._url,
            "access_token": options.access_token,
            "client_secret": options.client_secret,
            **changes,
        }
        tools = Toolbox(clock=self.clock, budgets=LocalBudgets(self.clock), random=random.Random(1))
        channel = ShopifyChannel("toys", ShopifySettings.model_validate(values), tools)
        self._opened.append(channel)
        return channel

    def close(self) -> None:
        for channel in self._opened:
            channel.close()

    def poll(self, cursor: str) -> tuple[list[Order], str]:
        """Everything until no more is waiting, once the seconds are over."""
        self.clock.advance(5)
        orders: list[Order] = []
        while True:
            page = self.channel.orders(cursor)
            assert page.unreadable == ()
            orders += page.orders
            cursor = page.cursor
            if not page.more:
                return orders, cursor

    def truth(self, order_id: int) -> dict[str, int]:
        """The units of each line that are gone for the seller, as the shop itself counts them."""
        return {str(line["id"]): line["committed"] for line in self.api.show(f"orders/{order_id}")["lines"]}

    def switch(self, **switches: Any) -> None:
        self.api.control("switches", switches)

    def fail(self, **fault: Any) -> None:
        self.api.control("faults", fault)


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


def read(channel: ShopifyChannel, delivery: Received) -> Notice:
    receipt = channel.receive(delivery.headers, delivery.body)
    assert not receipt.raw
    (notice,) = channel.read(receipt.topic, receipt.kept)
    return notice


# Quantities -------------------------------------------------------------------------------------------------------


def change_everything(world: World) -> list[str]:
    """One order for each thing that can happen to one, every change in a second of its own; their ids."""
    placed: list[str] = []

    def place(*quantities: int, **order: Any) -> Any:
        world.clock.advance(1)
        made = world.api.place(
            *[{"sku": f"SKU-{at}", "quantity": units} for at, units in enumerate(quantities)], **order
        )
        placed.append(str(made["id"]))
        return made

    def change(order: Any, what: str, **body: Any) -> None:
        world.clock.advance(1)
        world.api.control(f"orders/{order['id']}/{what}", body)

    def refund(order: Any, *parts: tuple[int, int, str]) -> None:
        world.clock.advance(1)
        world.api.refund(order, *parts)

    place(3, 1)
    place(2, financial_status="PENDING")
    edited = place(3, 1)
    change(edited, "edit", set=[{"line_id": edited["lines"][0], "quantity": 1}])
    replaced = place(3, 1)
    change(
        replaced, "edit", set=[{"line_id": replaced["lines"][1], "quantity": 0}], add=[{"sku": "NEW", "quantity": 2}]
    )
    raised = place(3)
    change(raised, "edit", set=[{"line_id": raised["lines"][0], "quantity": 5}])
    for kind in ("CANCEL", "NO_RESTOCK", "RETURN"):
        refunded = place(2, 4)
        if kind == "RETURN":
            change(refunded, "fulfil")
        refund(refunded, (0, 1, kind), (1, 3, kind))
    mixed = place(6)
    refund(mixed, (0, 1, "CANCEL"), (0, 2, "NO_RESTOCK"))
    refund(mixed, (0, 1, "NO_RESTOCK"))
    both = place(5)
    change(both, "edit", set=[{"line_id": both["lines"][0], "quantity": 3}])
    refund(both, (0, 1, "NO_RESTOCK"))
    refund(place(2))
    for restock in (True, False):
        for refunds in (True, False):
            change(place(2, 3), "cancel", restock=restock, refund=refunds)
    lost = place(4)
    refund(lost, (0, 1, "NO_RESTOCK"))
    change(lost, "cancel", restock=True)
    change(place(2), "return", status="RETURN_REQUESTED")
    world.clock.advance(1)
    placed.append(str(world.api.place({"sku": "OLD", "quantity": 3, "legacy_restocked": 1})["id"]))
    return placed


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"edit_removal_refunds": True},
        {"current_quantity_after_cancel": "unchanged"},
        {"connection_cost": "linear"},
        {"payload_utc_offset_minutes": -330},
        {"updated_on_create": True},
    ],
    ids=str,
)
def test_page_look_and_webhook_agree_with_the_shop_on_every_unit(
    world: World, receiver: Receiver, switches: dict[str, Any]
) -> None:
    world.switch(**switches)
    world.channel.subscribe(receiver.url)
    since = world.channel.cursor_at(START)
    order_ids = change_everything(world)
    truths = {order_id: world.truth(int(order_id)) for order_id in order_ids}

    paged = {order.order_id: order for order in world.poll(since)[0]}
    assert {order_id: committed(order) for order_id, order in paged.items()} == truths
    assert {order_id: committed(world.channel.order(order_id)) for order_id in order_ids} == truths

    world.api.until_quiet()
    told: dict[str, Order] = {}
    for delivery in receiver.received:
        notice = read(world.channel, delivery)
        if isinstance(notice, Look):
            assert notice.order_id in truths
            continue
        assert isinstance(notice, Order)
        known = told.get(notice.order_id)
        if known is None or notice.revision >= known.revision:
            told[notice.order_id] = notice
    assert {order_id: committed(order) for order_id, order in told.items()} == truths
    for order_id, order in paged.items():
        by_webhook = told[order_id]
        assert (by_webhook.revision, by_webhook.placed_at, by_webhook.lines) == (
            order.revision,
            order.placed_at,
            order.lines,
        )


def test_the_last_webhook_of_an_order_says_what_a_look_says(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    order = world.api.place(
        {"sku": "A", "quantity": 5}, {"sku": "A", "quantity": 1}, {"sku": "a", "custom": True, "quantity": 2}
    )
    world.api.refund(order, (0, 1, "CANCEL"), (0, 1, "NO_RESTOCK"))
    world.api.until_quiet()
    (last,) = [one for one in receiver.received if one.topic == "orders/updated"]
    told, looked = read(world.channel, last), world.channel.order(str(order["id"]))
    assert isinstance(told, Order)
    assert isinstance(looked, Order)
    assert (told.order_id, told.revision, told.placed_at, told.lines, told.excluded) == (
        looked.order_id,
        looked.revision,
        looked.placed_at,
        looked.lines,
        looked.excluded,
    )
    assert [(line.sku, line.committed) for line in told.lines] == [("A", 4), ("A", 1), ("a", 2)]


def test_removed_units_stay_committed_where_the_shop_says_so(world: World) -> None:
    order = world.api.place({"sku": "A", "quantity": 3})
    world.api.control(f"orders/{order['id']}/edit", {"set": [{"line_id": order["lines"][0], "quantity": 1}]})
    assert list(committed(world.channel.order(str(order["id"]))).values()) == [1]
    kept = world.open(removed_units_return=False)
    assert list(committed(kept.order(str(order["id"]))).values()) == [3]


# Reading everything -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connection_cost", ["logarithmic", "linear"])
def test_long_orders_come_whole_whatever_a_connection_costs(connection_cost: str) -> None:
    with a_world(switches={"connection_cost": connection_cost}) as world:
        since = world.channel.cursor_at(START)
        lengths = [1, 14, 15, 28, 100, 101, 250, 251, 350, 351, 687, 2]
        for length in lengths:
            world.api.place(*[{"sku": f"S{place}", "quantity": 1 + place % 3} for place in range(length)])
        orders, _ = world.poll(since)
        assert [len(order.lines) for order in orders] == lengths
        assert all(committed(order) == world.truth(int(order.order_id)) for order in orders)
        assert "refused/MAX_COST_EXCEEDED" not in world.api.show("counts")["calls"]


def test_many_refunds_and_long_refunds_come_whole(world: World) -> None:
    order = world.api.place(*[{"sku": f"S{place}", "quantity": 20} for place in range(300)])
    world.api.refund(order, *[(place, 1, "NO_RESTOCK") for place in range(300)])
    for _ in range(7):
        world.api.refund(order, *[(place, 1, "CANCEL") for place in range(45)])
    assert committed(world.channel.order(str(order["id"]))) == world.truth(order["id"])


@pytest.mark.parametrize("page_size", [1, 7, 50])
def test_every_order_comes_once_whatever_the_page_size(world: World, page_size: int) -> None:
    world.channel = world.open(page_size=page_size)
    since = world.channel.cursor_at(START)
    placed = []
    for _ in range(60):
        placed.append(str(world.api.place()["id"]))
        world.clock.advance(0.2)
    orders, cursor = world.poll(since)
    assert [order.order_id for order in orders] == placed
    assert world.poll(cursor)[0] == []


def test_orders_that_change_while_pages_are_read_are_not_lost(world: World) -> None:
    world.channel = world.open(page_size=4)
    placed = [int(world.api.place()["id"]) for _ in range(30)]
    known: dict[str, Order] = {}
    luck = random.Random(7)
    world.clock.advance(5)
    cursor = world.channel.cursor_at(START)
    for _ in range(40):
        page = world.channel.orders(cursor)
        cursor = page.cursor
        for order in page.orders:
            known[order.order_id] = order
        if luck.random() < 0.7:
            order_id = luck.choice(placed)
            world.api.control(f"orders/{order_id}/edit", {"add": [{"sku": "MORE", "quantity": luck.randint(1, 9)}]})
        world.clock.advance(luck.choice([0, 0.3, 1, 2]))
    for order in world.poll(cursor)[0]:
        known[order.order_id] = order
    assert {order_id: committed(order) for order_id, order in known.items()} == {
        str(order_id): world.truth(order_id) for order_id in placed
    }


def test_recent_reads_hundreds_in_few_calls(world: World) -> None:
    lines = [{"sku": "A", "quantity": 1}]
    world.api.control("orders", {"orders": [{"lines": lines}] * 620})
    before = world.channel.calls
    refs = [ref for page in world.channel.recent(START) for ref in page]
    assert len({ref.order_id for ref in refs}) == 620
    assert world.channel.calls - before == 3


def test_an_order_past_sixty_days_does_not_pass_for_a_deleted_one() -> None:
    with a_world(scopes=["read_orders"]) as world:
        order_id = str(world.api.place()["id"])
        assert isinstance(world.channel.order(order_id), Order)
        world.clock.advance(61 * 86_400)
        with pytest.raises(Rejected, match="read_all_orders"):
            world.channel.order(order_id)


def test_exclusion_rules_hold_on_both_roads(world: World, receiver: Receiver) -> None:
    world.channel = world.open(exclude_sources=["market"], exclude_apps=["77"], exclude_tags=["mirrored"])
    world.channel.subscribe(receiver.url)
    kinds: list[tuple[dict[str, Any], str | None]] = [
        ({"source_name": "market"}, "source market"),
        ({"app": {"id": 77, "name": "Bridge"}}, "app 77"),
        ({"tags": ["gift", "Mirrored"]}, "tag mirrored"),
        ({"test": True}, "test order"),
        ({"source_name": None, "app": {"id": 78, "name": "Other"}, "tags": ["gift"]}, None),
    ]
    expected = {str(world.api.place(**order)["id"]): reason for order, reason in kinds}
    orders, _ = world.poll(world.channel.cursor_at(START))
    assert {order.order_id: order.excluded for order in orders} == expected
    for delivery in receiver.wait_for(len(kinds)):
        told = read(world.channel, delivery)
        assert isinstance(told, Order)
        assert told.excluded == expected[told.order_id]


# Trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "answer", "status": 402, "body": "{}"}, Unauthorized),
        ({"kind": "answer", "status": 423, "body": "{}"}, Unauthorized),
    ],
    ids=str,
)
def test_trouble_that_stays_is_told_and_the_cursor_still_works(
    world: World, fault: dict[str, Any], error: type[ConnectorError]
) -> None:
    order_id = str(world.api.place()["id"])
    since = world.channel.cursor_at(START)
    world.clock.advance(5)
    world.fail(operation="*", times=None, **fault)
    with pytest.raises(error) as caught:
        world.channel.orders(since)
    assert caught.value.account == "toys"
    world.api.control("faults", method="DELETE")
    # A penalty that the shop asked for is over by then.
    world.clock.advance(60)
    assert [order.order_id for order in world.channel.orders(since).orders] == [order_id]


def test_a_small_bucket_slows_us_down_and_refuses_nothing() -> None:
    with a_world(bucket_points=1000, restore_points_per_second=50, switches={"connection_cost": "linear"}) as world:
        for _ in range(40):
            world.api.place(*[{"sku": f"S{place}", "quantity": 1} for place in range(12)])
        began = world.clock.monotonic()
        assert len(world.poll(world.channel.cursor_at(START))[0]) == 40
        for page in world.channel.recent(START):
            assert len(page) == 40
        # Some 1,300 points from a bucket of 1,000 that gets 50 a second.
        assert world.clock.monotonic() - began > 5
        assert "refused/THROTTLED" not in world.api.show("counts")["calls"]


def test_a_bucket_that_somebody_else_emptied_is_waited_for(world: World) -> None:
    order_id = str(world.api.place()["id"])
    assert isinstance(world.channel.order(order_id), Order)
    world.api.control("bucket/empty")
    assert isinstance(world.channel.order(order_id), Order)
    assert world.api.show("counts")["calls"]["refused/THROTTLED"] >= 1


def test_the_client_credentials_grant_survives_a_token_that_is_gone(world: World) -> None:
    options = world.api.options
    by_grant = world.open(access_token=None, client_id=options.client_id, client_secret=options.client_secret)
    order_id = str(world.api.place()["id"])
    assert isinstance(by_grant.order(order_id), Order)
    world.api.control("tokens/expire")
    assert isinstance(by_grant.order(order_id), Order)
    world.clock.advance(90_000)
    assert isinstance(by_grant.order(order_id), Order)


def test_a_wrong_token_and_a_wrong_secret_are_refused(world: World) -> None:
    for channel in (
        world.open(access_token="shpat_wrong"),
        world.open(access_token=None, client_id="nobody", client_secret="wrong"),
    ):
        with pytest.raises(Unauthorized):
            channel.order("1")
        assert [check.name for check in channel.check() if not check.ok] == ["access"]


def test_a_retired_version_is_answered_and_reported(world: World) -> None:
    old = world.open(api_version="2024-01")
    order_id = str(world.api.place()["id"])
    assert isinstance(old.order(order_id), Order)
    assert "API version" in [check.name for check in old.check() if not check.ok]


# Webhooks ---------------------------------------------------------------------------------------------------------


def test_registering_registers_each_topic_once(world: World, receiver: Receiver) -> None:
    assert {one.problem for one in world.channel.subscriptions(receiver.url)} == {"not registered"}
    assert [check.name for check in world.channel.check() if not check.ok] == ["webhooks"]
    wanted = [Subscription(topic, receiver.url) for topic in TOPICS]
    assert world.channel.subscribe(receiver.url) == wanted
    assert world.channel.subscribe(receiver.url) == wanted
    assert world.channel.subscriptions(receiver.url) == wanted
    assert len(world.api.show("state")["subscriptions"]) == len(TOPICS)
    assert [check.name for check in world.channel.check() if not check.ok] == []


def test_a_registration_made_by_hand_is_replaced_when_it_does_not_do(world: World, receiver: Receiver) -> None:
    world.api.subscribe("ORDERS_UPDATED", receiver.url, includeFields=["id", "note"])
    problems = {one.topic: one.problem for one in world.channel.subscriptions(receiver.url)}
    assert "updated_at" in problems["orders/updated"]
    assert {one.problem for one in world.channel.subscribe(receiver.url)} == {""}
    order = world.api.place()
    world.api.control(f"orders/{order['id']}/touch")
    world.api.until_quiet()
    (updated,) = [one for one in receiver.received if one.topic == "orders/updated"]
    assert isinstance(read(world.channel, updated), Order)


def test_an_address_the_shop_does_not_take_is_told(world: World) -> None:
    found = world.channel.subscribe("http://example.com/hook")
    assert len(found) == len(TOPICS)
    assert all(one.problem.startswith("not registered: the shop refused it: ") for one in found)


def test_every_topic_says_what_to_do(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    order = world.api.place({"sku": "A", "quantity": 3})
    order_id = str(order["id"])
    world.api.control(f"orders/{order_id}/edit", {"set": [{"line_id": order["lines"][0], "quantity": 2}]})
    world.api.refund(order, (0, 1, "NO_RESTOCK"))
    world.api.control(f"orders/{order_id}/cancel")
    world.api.control(f"orders/{order_id}", method="DELETE")
    world.api.until_quiet()
    said: dict[str, set[str]] = {}
    for delivery in receiver.received:
        notice = read(world.channel, delivery)
        assert isinstance(notice, Order | Look)
        assert notice.order_id == order_id
        said.setdefault(delivery.topic, set()).add(type(notice).__name__)
    assert said == {
        "orders/create": {"Order"},
        "orders/updated": {"Order"},
        "orders/cancelled": {"Order"},
        "orders/edited": {"Look"},
        "refunds/create": {"Look"},
        "orders/delete": {"Look"},
    }


def test_an_uninstalled_app_is_told_and_refused(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    world.api.control("uninstall")
    (delivery,) = receiver.wait_for(1)
    assert read(world.channel, delivery) == AccessEnded()
    with pytest.raises(Unauthorized):
        world.channel.order("1")


def made_up(world: World, receiver: Receiver, topic: str, body: Any = None, **changes: Any) -> Received:
    world.api.control("webhooks", {"topic": topic, "body": body, "url": receiver.url, **changes})
    return receiver.received[-1]


@pytest.mark.parametrize("topic", ["customers/data_request", "customers/redact", "shop/redact"])
def test_compliance_topics_keep_nothing_personal(world: World, receiver: Receiver, topic: str) -> None:
    body = {
        "shop_id": 954889,
        "shop_domain": world.api.options.shop_domain,
        "customer": {"id": 191167, "email": "john@example.com", "phone": "555-625-1199"},
        "orders_requested": [299938],
        "data_request": {"id": 9999},
    }
    delivery = made_up(world, receiver, topic, body)
    receipt = world.channel.receive(delivery.headers, delivery.body)
    assert world.channel.read(receipt.topic, receipt.kept) == (Ignored("compliance"),)
    for personal in (b"john", b"555", b"191167", b"299938"):
        assert personal not in receipt.kept


def test_forged_tampered_and_truncated_deliveries_do_no_harm(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    world.api.control("delivery_faults", {"forge_rate": 0.5, "tamper_rate": 0.5, "truncate_rate": 0.3})
    placed = {str(world.api.place()["id"]) for _ in range(60)}
    world.api.until_quiet()
    outcomes: dict[str, int] = {}
    for delivery in receiver.received:
        try:
            receipt: Receipt = world.channel.receive(delivery.headers, delivery.body)
        except InvalidSignature as refusal:
            outcomes[refusal.code] = outcomes.get(refusal.code, 0) + 1
            continue
        if receipt.raw:
            outcomes["raw"] = outcomes.get("raw", 0) + 1
            continue
        (notice,) = world.channel.read(receipt.topic, receipt.kept)
        # Under a false topic too, a whole order is one: it is not deleted for it.
        assert isinstance(notice, Order)
        assert notice.order_id in placed
        assert list(committed(notice).values()) == [3]
    assert outcomes.keys() == {"signature", "shop", "raw"}


def test_a_secret_can_be_replaced_without_losing_a_delivery(receiver: Receiver) -> None:
    with a_world(further_secrets=["new"]) as world:
        channel = world.open(webhook_secrets=["sandbox-secret", "new"])
        channel.subscribe(receiver.url)
        world.api.place()
        receiver.wait_for(1)
        world.switch(signing_secret=1)
        world.api.place()
        assert all(isinstance(read(channel, delivery), Order) for delivery in receiver.wait_for(2))


def test_every_change_is_delivered_though_fields_are_left_out(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    order = world.api.place()
    for _ in range(3):
        world.clock.advance(1)
        world.api.control(f"orders/{order['id']}/touch")
    world.api.until_quiet()
    assert world.api.show("counts")["deliveries"].get("suppressed", 0) == 0
    revisions = [notice.revision for one in receiver.received if isinstance(notice := read(world.channel, one), Order)]
    assert len(set(revisions)) == 4


def test_a_registration_the_shop_deleted_is_noticed_and_made_again(receiver: Receiver) -> None:
    with a_world(retry_time_scale=0) as world:
        world.channel.subscribe(receiver.url)
        receiver.status = 500
        world.api.place()
        until(lambda: len(world.api.show("state")["subscriptions"]) < len(TOPICS))
        lost = [one.topic for one in world.channel.subscriptions(receiver.url) if one.problem]
        assert lost == ["orders/create"]
        assert [one for one in world.channel.subscribe(receiver.url) if one.problem] == []
