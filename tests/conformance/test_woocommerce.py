"""The connector against the sandbox, over real HTTP; the two agree through the protocol alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.budget import LocalBudgets
from connectors.contract import Gone, Ignored, Look, Notice, Order, OrderRef, Subscription
from connectors.errors import (
    ConnectorError,
    InvalidSignature,
    NotFound,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.woocommerce import WooCommerceChannel, WooCommerceSettings
from connectors.woocommerce.sandbox import Options, create_app
from connectors.woocommerce.settings import TOPICS
from connectors.woocommerce.subscriptions import MISSING, PAUSED, TURNED_OFF
from tests.conformance.woocommerce_sandbox.api import SECRET, Api, Received, Receiver

START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
BUYERS = (b"Ada", b"Lovelace", b"Analytical", b"ada@example.com", b"555-0100", b"192.0.2.7", b"ring twice", b"For Bob")


class World:
    """A shop, and a connector opened on it; both live by one clock that is moved, so that no wait takes time."""

    def __init__(self, api: Api, clock: VirtualClock, url: str) -> None:
        self.api = api
        self.clock = clock
        self.meddle: Callable[[httpx.Request], None] | None = None
        """Called before each request of the connector is sent: the shop may change in between."""
        self._url = url
        self._network = _Meddled(self)
        self._opened: list[WooCommerceChannel] = []
        self.channel = self.open()

    def open(self, **changes: Any) -> WooCommerceChannel:
        options = self.api.options
        values: dict[str, Any] = {
            "site": options.site,
            "base_url": self._url,
            "consumer_key": options.consumer_key,
            "consumer_secret": options.consumer_secret,
            "webhook_secrets": [SECRET],
            **changes,
        }
        tools = Toolbox(
            clock=self.clock, budgets=LocalBudgets(self.clock), random=random.Random(1), transport=self._network
        )
        channel = WooCommerceChannel("toys", WooCommerceSettings.model_validate(values), tools)
        self._opened.append(channel)
        return channel

    def close(self) -> None:
        for channel in self._opened:
            channel.close()
        self._network.close()

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

    def truth(self, order_id: int | str) -> dict[str, int]:
        """The units of each line that are gone for the seller, as the shop itself counts them."""
        return {str(line["id"]): line["committed"] for line in self.api.show(f"orders/{order_id}")["lines"]}

    def switch(self, **switches: Any) -> None:
        self.api.control("switches", switches)

    def fail(self, **fault: Any) -> None:
        self.api.control("faults", fault)

    def place_many(self, count: int) -> list[int]:
        lines = [{"sku": "A", "quantity": 1}]
        made = self.api.control("orders", {"orders": [{"lines": lines}] * count})["orders"]
        return [order["id"] for order in made]

    def failing(self, channel: WooCommerceChannel | None = None) -> list[str]:
        return [check.name for check in (channel or self.channel).check() if not check.ok]


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
    """A boundary second is read twice; the later reading counts."""
    return {order.order_id: order for order in orders}


def read(channel: WooCommerceChannel, delivery: Received) -> Notice:
    receipt = channel.receive(delivery.headers, delivery.body)
    assert not receipt.raw
    (notice,) = channel.read(receipt.topic, receipt.kept)
    return notice


# Quantities -------------------------------------------------------------------------------------------------------


def change_everything(world: World, *, restock: bool = True, unseen: bool = True) -> list[str]:
    """One order for each thing that can happen to one, every change in a second of its own; their ids.

    `unseen`: with what a shop does not show but by its own account of each line.
    """
    api, placed = world.api, []

    def place(*quantities: int, managed: bool = True, **order: Any) -> Any:
        world.clock.advance(1)
        kind = "M" if managed else "U"
        lines = [{"sku": f"{kind}{at}", "quantity": units, "managed": managed} for at, units in enumerate(quantities)]
        made = api.place(*lines, **order)
        placed.append(str(made["id"]))
        world.clock.advance(1)
        return made

    def become(order: Any, *statuses: str) -> Any:
        for status in statuses:
            world.clock.advance(1)
            api.become(order, status)
        return order

    for managed in (True, False):
        place(3, 1, managed=managed)
        place(2, managed=managed, status="pending")
        place(2, managed=managed, status="on-hold")
        become(place(2, 5, managed=managed, status="pending"), "processing", "completed")
        become(place(2, managed=managed), "cancelled")
        become(place(2, managed=managed), "cancelled", "processing")
        become(place(2, managed=managed, status="pending"), "cancelled")
        become(place(2, managed=managed, status="pending"), "failed")
        api.refund(place(4, 2, managed=managed), (0, 1), (1, 2), restock=restock or not managed)
        api.refund(place(4, managed=managed))
        api.set_quantity(place(4, 2, managed=managed), 0, 1)
        api.set_quantity(place(4, 2, managed=managed), 0, 6)
        api.set_quantity(place(4, 2, managed=managed), 1, 0)
        twice = place(5, managed=managed)
        api.refund(twice, (0, 1), restock=restock or not managed)
        world.clock.advance(1)
        api.refund(twice, (0, 2), restock=restock or not managed)
        added = place(4, managed=managed)
        api.control(f"orders/{added['id']}/edit", {"add": [{"sku": "NEW", "quantity": 2}]})
    if unseen:
        become(place(2, status="on-hold"), "failed")
        become(place(2), "refunded")
        api.refund(place(4, 2), (0, 1), restock=not restock)
        api.control(f"orders/{place(3)['id']}/trash")
        placed.pop()  # Not listed any more; of it later.
    return placed


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"fields": False},
        {"modified_after_inclusive": True, "modified_before_inclusive": True},
        {"orderby_modified": False},
        {"line_edit_adjusts": "reducing_statuses"},
        {"line_edit_adjusts": "never"},
        {"reduction_lag_seconds": 0.5, "reduction_moves_modified": True},
        {"reduction_lag_seconds": 0.5},
        {"ping_on_rest": False},
        {"delivery_id_header": "X-WC-Delivery-ID"},
        {"drafts_listed": True, "draft_webhooks": True},
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
    world.clock.advance(1)
    world.api.until_quiet()
    truths = {order_id: world.truth(order_id) for order_id in order_ids}
    told = list(receiver.received)

    paged = newest(world.poll(since)[0])
    assert {order_id: committed(order) for order_id, order in paged.items()} == truths
    assert {order_id: committed(world.channel.order(order_id)) for order_id in order_ids} == truths

    known: dict[str, Order] = {}
    for delivery in told:
        notice = read(world.channel, delivery)
        assert isinstance(notice, Order | Look)
        if isinstance(notice, Order) and notice.revision >= (
            known[notice.order_id].revision if notice.order_id in known else 0
        ):
            known[notice.order_id] = notice
    last = {
        order_id: known[order_id].lines
        for order_id, order in paged.items()
        if order_id in known and known[order_id].revision == order.revision
    }
    assert len(last) >= 20
    if not switches.get("reduction_lag_seconds"):
        # What is booked after it was told is in a later reading alone.
        assert last == {order_id: paged[order_id].lines for order_id in last}


def test_what_is_committed_is_what_the_shop_took_off_its_own_stock(world: World) -> None:
    """With another measure than the lines: the stock of products that the shop itself counts."""
    luck, api = random.Random(5), world.api
    skus = ["A", "B", "C"]
    api.control("products", {"products": [{"sku": sku, "stock": 10_000} for sku in skus]})
    orders = []
    for _ in range(30):
        lines = [{"sku": luck.choice(skus), "quantity": luck.randint(2, 9)} for _ in range(luck.randint(1, 3))]
        orders.append(api.place(*lines, status=luck.choice(["pending", "on-hold", "processing"])))
    for _ in range(120):
        world.clock.advance(luck.choice([0, 1, 2]))
        order = luck.choice(orders)
        match luck.randrange(3):
            case 0:
                # To refunded by hand and to failed: stock that the shop never gives back.
                api.become(order, luck.choice(["pending", "processing", "completed", "on-hold", "cancelled", "failed"]))
            case 1:
                body = {"lines": [{"line_id": order["lines"][0], "quantity": 1}], "restock": luck.random() < 0.5}
                answer = api.http.post(f"/_control/orders/{order['id']}/refund", json=body)
                assert answer.status_code in (200, 409)
            case _:
                api.control(f"orders/{order['id']}/touch")
    found = newest(world.poll(world.channel.cursor_at(START))[0])
    units: Counter[str | None] = Counter()
    for one in found.values():
        for line in one.lines:
            units[line.sku] += line.committed
    taken = {row["sku"]: 10_000 - row["stock_quantity"] for row in api.show("products")["products"]}
    assert len(found) == 30
    assert {sku: units[sku] for sku in skus} == taken


@pytest.mark.parametrize("way", ["setting", "shop"])
def test_without_the_shops_account_the_status_decides(world: World, way: str) -> None:
    if way == "shop":
        world.switch(reduced_stock_shown=False)
    else:
        world.channel = world.open(use_reduced_stock=False)
    order_ids = change_everything(world, unseen=False)
    truths = {order_id: world.truth(order_id) for order_id in order_ids}
    paged = newest(world.poll(world.channel.cursor_at(START))[0])
    assert {order_id: committed(order) for order_id, order in paged.items()} == truths
    assert {order_id: committed(world.channel.order(order_id)) for order_id in order_ids} == truths


def test_refunded_units_stay_committed_where_the_shop_says_so(world: World) -> None:
    order = world.api.place({"sku": "U", "quantity": 3, "managed": False})
    world.api.refund(order, (0, 1))
    assert list(committed(world.channel.order(str(order["id"]))).values()) == [2]
    kept = world.open(refunded_units_return=False)
    assert list(committed(kept.order(str(order["id"]))).values()) == [3]


def test_a_refund_taken_back_commits_its_units_again(world: World) -> None:
    order = world.api.place({"sku": "U", "quantity": 3, "managed": False})
    refund_id = world.api.refund(order, (0, 2))["refund_id"]
    assert list(committed(world.channel.order(str(order["id"]))).values()) == [1]
    world.api.control(f"orders/{order['id']}/refunds/{refund_id}", method="DELETE")
    assert list(committed(world.channel.order(str(order["id"]))).values()) == [3]


def test_a_refund_made_while_refunds_are_read_is_not_missed(world: World) -> None:
    order = world.api.place({"sku": "U", "quantity": 5, "managed": False})
    world.api.refund(order, (0, 1))
    meddled: list[Any] = []

    def refund_more(request: httpx.Request) -> None:
        if request.url.path.endswith("/refunds") and not meddled:
            meddled.append(world.api.refund(order, (0, 1)))

    world.meddle = refund_more
    assert list(committed(world.channel.order(str(order["id"]))).values()) == [3]
    assert meddled


def test_an_order_that_never_stands_still_is_read_later(world: World) -> None:
    order = world.api.place({"sku": "U", "quantity": 50, "managed": False})
    world.api.refund(order, (0, 1))

    def refund_more(request: httpx.Request) -> None:
        if request.url.path.endswith("/refunds"):
            world.api.refund(order, (0, 1))

    world.meddle = refund_more
    with pytest.raises(Unavailable, match="changed 3 times"):
        world.channel.order(str(order["id"]))


def test_an_order_with_very_many_refunds_comes_whole(world: World) -> None:
    order = world.api.place({"sku": "U", "quantity": 300, "managed": False})
    for _ in range(230):
        world.api.refund(order, (0, 1))
    assert committed(world.channel.order(str(order["id"]))) == world.truth(order["id"])


@pytest.mark.parametrize(("deleted_product", "item"), [("zero", ""), ("kept", None)])
def test_a_line_of_a_deleted_product_is_still_a_line(world: World, deleted_product: str, item: str | None) -> None:
    world.switch(deleted_product=deleted_product)
    order = world.api.place({"sku": "A", "quantity": 3})
    item_id = world.api.show(f"orders/{order['id']}")["lines"][0]["item_id"]
    world.api.control(f"products/{item_id}", method="DELETE")
    found = world.channel.order(str(order["id"]))
    assert isinstance(found, Order)
    assert [(line.sku, line.item_key, line.committed) for line in found.lines] == [
        (None, str(item_id) if item is None else item, 3)
    ]


def test_a_variation_is_what_is_sold(world: World) -> None:
    made = world.api.control("products", {"products": [{"sku": "T-RED", "variation": True}]})["products"][0]
    found = world.channel.order(str(world.api.place({"sku": "T-RED"})["id"]))
    assert isinstance(found, Order)
    assert [(line.sku, line.item_key) for line in found.lines] == [("T-RED", str(made["id"]))]


def test_a_status_of_neither_list_waits_for_a_person_until_it_is_named(world: World) -> None:
    order = world.api.place({"sku": "U", "quantity": 3, "managed": False}, status="wc-shipped")
    world.clock.advance(5)
    page = world.channel.orders(world.channel.cursor_at(START))
    assert [(one.order_id, "wc-shipped" in one.reason) for one in page.unreadable] == [(str(order["id"]), True)]
    with pytest.raises(Unreadable, match="committing_statuses") as caught:
        world.channel.order(str(order["id"]))
    assert caught.value.order_id == str(order["id"])
    named = world.open(committing_statuses=["processing", "completed", "on-hold", "wc-shipped"])
    assert list(committed(named.order(str(order["id"]))).values()) == [3]


# Reading everything -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page_size", [2, 7, 100])
@pytest.mark.parametrize(
    "switches",
    [{}, {"modified_after_inclusive": True, "modified_before_inclusive": True}, {"orderby_modified": False}],
    ids=str,
)
def test_every_order_comes_whatever_the_page_size(world: World, page_size: int, switches: dict[str, Any]) -> None:
    world.switch(**switches)
    world.channel = world.open(page_size=page_size)
    since = world.channel.cursor_at(START)
    placed = []
    for _ in range(60):
        placed.append(str(world.api.place()["id"]))
        world.clock.advance(0.2)
    orders, cursor = world.poll(since)
    assert list(newest(orders)) == placed
    assert world.poll(cursor)[0] == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("switches", [{}, {"modified_after_inclusive": True}, {"orderby_modified": False}], ids=str)
def test_orders_that_change_while_pages_are_read_are_not_lost(
    world: World, seed: int, switches: dict[str, Any]
) -> None:
    world.switch(**switches)
    world.channel = world.open(page_size=4)
    placed = [int(world.api.place()["id"]) for _ in range(30)]
    luck = random.Random(seed)
    known: dict[str, Order] = {}

    def touch(_: httpx.Request) -> None:
        # Between two requests of one page too: this is when page numbers would skip.
        if luck.random() < 0.4:
            order_id = luck.choice(placed)
            world.api.control(f"orders/{order_id}/edit", {"add": [{"sku": "MORE", "quantity": luck.randint(1, 9)}]})
        world.clock.advance(luck.choice([0, 0, 0.3, 1]))

    world.clock.advance(5)
    cursor = world.channel.cursor_at(START)
    world.meddle = touch
    for _ in range(25):
        try:
            page = world.channel.orders(cursor)
        except Unavailable:
            continue  # It never stood still; the next poll reads it again.
        cursor = page.cursor
        known.update(newest(list(page.orders)))
    world.meddle = None
    known.update(newest(world.poll(cursor)[0]))
    assert {order_id: committed(order) for order_id, order in known.items()} == {
        str(order_id): world.truth(order_id) for order_id in placed
    }


def test_a_second_whose_orders_go_on_changing_is_read_again_later(world: World) -> None:
    world.channel = world.open(page_size=5)
    placed = world.place_many(40)
    world.clock.advance(5)
    since = world.channel.cursor_at(START)
    left = iter(placed)

    def touch(request: httpx.Request) -> None:
        if "orderby=modified" in str(request.url):
            world.api.control(f"orders/{next(left)}/touch")

    world.meddle = touch
    with pytest.raises(Unavailable, match="changed while they were being listed"):
        world.channel.orders(since)
    world.meddle = None
    assert set(newest(world.poll(since)[0])) == {str(order_id) for order_id in placed}


def test_a_site_in_another_time_zone_shows_the_same_orders() -> None:
    for offset in (-720, 0, 330):
        with a_world(utc_offset_minutes=offset) as world:
            placed = []
            for _ in range(5):
                placed.append(str(world.api.place()["id"]))
                world.clock.advance(3600)
            since = world.channel.cursor_at(START + timedelta(hours=2))
            orders, _ = world.poll(since)
            assert [order.order_id for order in orders] == placed[2:]
            assert [order.placed_at for order in orders] == [START + timedelta(hours=hour) for hour in (2, 3, 4)]


def test_a_site_that_does_not_filter_by_modification_is_refused_and_reported(world: World) -> None:
    world.switch(modified_filters=False)
    world.api.place()
    world.clock.advance(3600)
    with pytest.raises(Rejected, match="bring it up to date"):
        world.channel.orders(world.channel.cursor_at(START + timedelta(minutes=30)))
    world.api.place()
    assert "orders by modification" in world.failing()


@pytest.mark.parametrize("offset", [-300, 330])
def test_a_site_that_reads_dates_in_its_own_zone_is_reported(offset: int) -> None:
    with a_world(utc_offset_minutes=offset, switches={"dates_are_gmt": False}) as world:
        world.api.place()
        assert "orders by modification" in world.failing()


def test_what_is_shown_late_is_found_by_the_overlap(world: World) -> None:
    placed = world.api.place()
    refs = [ref for page in world.channel.recent(START - timedelta(minutes=10)) for ref in page]
    assert refs == [OrderRef(str(placed["id"]), int(START.timestamp()))]


@pytest.mark.parametrize("orderby_modified", [True, False])
def test_recent_reads_hundreds(world: World, *, orderby_modified: bool) -> None:
    world.switch(orderby_modified=orderby_modified)
    placed = []
    for _ in range(6):
        placed += world.place_many(103)
        world.clock.advance(1)
    refs = [ref for page in world.channel.recent(START) for ref in page]
    assert all(isinstance(ref, OrderRef) for ref in refs)
    assert {ref.order_id for ref in refs} == {str(order_id) for order_id in placed}


def test_a_deleted_order_is_gone_and_one_in_the_trash_is_not(world: World) -> None:
    order = world.api.place({"sku": "A", "quantity": 3})
    order_id = str(order["id"])
    world.api.control(f"orders/{order_id}/trash")
    # The shop did not give its units back.
    assert list(committed(world.channel.order(order_id)).values()) == [3]
    world.api.delete(order)
    gone = world.channel.order(order_id)
    assert isinstance(gone, Gone)
    assert gone.order_id == order_id


def test_without_a_rest_api_no_order_passes_for_deleted(world: World) -> None:
    order_id = str(world.api.place()["id"])
    world.fail(operation="order", kind="answer", status=404, body="<html>Not found</html>")
    with pytest.raises(NotFound, match="permalinks"):
        world.channel.order(order_id)
    body = '{"code":"rest_no_route","message":"No route","data":{"status":404}}'
    world.fail(operation="order", kind="answer", status=404, body=body, content_type="application/json")
    with pytest.raises(NotFound) as caught:
        world.channel.order(order_id)
    assert caught.value.code == "rest_no_route"


def test_exclusion_rules_hold_on_both_roads(world: World, receiver: Receiver) -> None:
    world.channel = world.open(exclude_created_via=["REST-API"], exclude_meta_keys=["_marketplace_order"])
    world.channel.subscribe(receiver.url)
    kinds: list[tuple[dict[str, Any], str | None]] = [
        ({"created_via": "rest-api"}, "created via rest-api"),
        ({"meta": {"_other": 1, "_marketplace_order": "For Bob"}}, "meta key _marketplace_order"),
        ({"created_via": "checkout", "meta": {"_other": "For Bob"}}, None),
    ]
    expected = {str(world.api.place(**order)["id"]): reason for order, reason in kinds}
    orders, _ = world.poll(world.channel.cursor_at(START))
    assert {order.order_id: order.excluded for order in orders} == expected
    for delivery in receiver.wait_for(len(kinds)):
        told = read(world.channel, delivery)
        assert isinstance(told, Order)
        assert told.excluded == expected[told.order_id]
        assert not any(personal in world.channel.receive(delivery.headers, delivery.body).kept for personal in BUYERS)


# Trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "answer", "status": 200, "body": "<html>We are moving</html>"}, Unavailable),
        ({"kind": "answer", "status": 200, "body": ""}, Unavailable),
        ({"kind": "answer", "status": 403, "body": "<html>Blocked by the firewall</html>"}, Unavailable),
        ({"kind": "answer", "status": 401, "body": "<html>Staging: who are you?</html>"}, Unauthorized),
        ({"kind": "answer", "status": 301, "body": ""}, Rejected),
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


@pytest.mark.parametrize("code", ["woocommerce_rest_authentication_error", "woocommerce_rest_cannot_view"])
def test_a_wrong_key_is_refused_and_reported(world: World, code: str) -> None:
    world.switch(wrong_key_code=code)
    wrong = world.open(consumer_secret="cs_wrong")
    with pytest.raises(Unauthorized) as caught:
        wrong.order("1")
    assert caught.value.code == code
    assert world.failing(wrong) == ["access"]


def test_a_sound_shop_passes_every_check(world: World, receiver: Receiver) -> None:
    assert world.failing() == ["webhooks"]
    world.channel.subscribe(receiver.url)
    assert world.failing() == []
    world.api.place()
    assert world.failing() == []
    world.switch(orderby_modified=False)
    assert world.failing() == []


# Webhooks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ping_on_rest", [True, False])
def test_registering_registers_each_topic_once(world: World, receiver: Receiver, *, ping_on_rest: bool) -> None:
    world.switch(ping_on_rest=ping_on_rest)
    assert {one.problem for one in world.channel.subscriptions(receiver.url)} == {MISSING}
    wanted = [Subscription(topic, receiver.url) for topic in TOPICS]
    assert world.channel.subscribe(receiver.url) == wanted
    assert world.channel.subscribe(receiver.url) == wanted
    assert world.channel.subscriptions(receiver.url) == wanted
    assert len(world.api.show("state")["webhooks"]) == len(TOPICS)
    pings = [world.channel.receive(ping.headers, ping.body) for ping in receiver.pings]
    assert len(pings) == (len(TOPICS) if ping_on_rest else 0)
    assert {world.channel.read(ping.topic, ping.kept) for ping in pings} <= {(Ignored("ping"),)}


def test_an_address_that_does_not_answer_its_ping_is_told(world: World, receiver: Receiver) -> None:
    receiver.status = 500
    found = world.channel.subscribe(receiver.url)
    assert all(one.problem.startswith(f"{MISSING}: the shop refused it: ") for one in found)
    receiver.status = 200
    assert [one for one in world.channel.subscribe(receiver.url) if one.problem] == []


def test_registrations_among_very_many_are_found(world: World, receiver: Receiver) -> None:
    world.switch(ping_on_rest=False)
    for place in range(150):
        world.api.register("order.updated", f"https://elsewhere.example/{place}")
    world.channel.subscribe(receiver.url)
    world.channel.subscribe(receiver.url)
    assert len(world.api.show("state")["webhooks"]) == 150 + len(TOPICS)


@pytest.mark.parametrize("after", [5, 7])
def test_a_webhook_the_shop_turned_off_is_noticed_and_turned_on_again(
    world: World, receiver: Receiver, after: int
) -> None:
    world.switch(disabled_after_failures=after)
    world.channel.subscribe(receiver.url)
    receiver.status = 500
    for _ in range(after - 1):
        world.api.place()
    world.api.until_quiet()
    assert [one for one in world.channel.subscriptions(receiver.url) if one.problem] == []
    world.api.place()
    world.api.until_quiet()
    off = {one.topic: one.problem for one in world.channel.subscriptions(receiver.url) if one.problem}
    assert off == {"order.created": TURNED_OFF}
    assert world.failing() == ["webhooks"]

    receiver.status = 200
    assert [one for one in world.channel.subscribe(receiver.url) if one.problem] == []
    assert world.failing() == []
    before = len(receiver.received)
    placed = str(world.api.place()["id"])
    told = read(world.channel, receiver.wait_for(before + 1)[-1])
    assert isinstance(told, Order)
    assert told.order_id == placed
    # What happened meanwhile was told to nobody; polling has it.
    assert len(newest(world.poll(world.channel.cursor_at(START))[0])) == after + 1


def test_a_webhook_with_another_secret_goes_off_and_comes_back_with_ours(world: World, receiver: Receiver) -> None:
    world.switch(disabled_after_failures=1)
    world.channel = world.open(include_topics=["order.created"])
    world.api.register("order.created", receiver.url, secret="somebody else's")
    receiver.status = 401
    world.api.place()
    world.api.until_quiet()
    with pytest.raises(InvalidSignature):
        read(world.channel, receiver.received[-1])
    receiver.status = 200
    assert [one.problem for one in world.channel.subscribe(receiver.url)] == [""]
    world.api.place()
    assert isinstance(read(world.channel, receiver.wait_for(2)[-1]), Order)


def test_what_somebody_paused_stays_paused_and_is_told(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    paused = world.api.show("state")["webhooks"][1]
    world.api.control(f"webhooks/{paused['id']}/status", {"status": "paused"})
    found = {one.topic: one.problem for one in world.channel.subscribe(receiver.url) if one.problem}
    assert found == {paused["topic"]: PAUSED}
    assert world.api.show("state")["webhooks"][1]["status"] == "paused"


def test_a_key_that_may_only_read_polls_and_says_so(receiver: Receiver) -> None:
    with a_world(permissions="read") as world:
        placed = str(world.api.place()["id"])
        assert [order.order_id for order in world.poll(world.channel.cursor_at(START))[0]] == [placed]
        found = world.channel.subscribe(receiver.url)
        assert all("refused" in one.problem for one in found)
    with a_world(sees_webhooks=False) as world:
        assert all("does not let this key see webhooks" in one.problem for one in world.channel.subscribe(receiver.url))
        assert world.failing() == ["webhooks"]


def test_every_topic_says_what_to_do(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    order = world.api.place({"sku": "U", "quantity": 3, "managed": False})
    order_id = str(order["id"])
    world.api.become(order, "completed")
    world.api.until_quiet()
    world.api.refund(order, (0, 1))
    world.api.control(f"orders/{order_id}/trash")
    world.api.until_quiet()
    world.api.control(f"orders/{order_id}/restore")
    world.api.until_quiet()
    world.api.delete(order)
    world.api.until_quiet()
    said: dict[str, set[str]] = {}
    for delivery in receiver.received:
        notice = read(world.channel, delivery)
        assert isinstance(notice, Order | Look)
        assert notice.order_id == order_id
        said.setdefault(delivery.topic, set()).add(type(notice).__name__)
    assert said == {
        "order.created": {"Order"},
        # A refund of a line the shop keeps no account of has to be asked for.
        "order.updated": {"Order", "Look"},
        "order.deleted": {"Look"},
        "order.restored": {"Look"},
    }


def test_two_orders_of_one_second_share_a_delivery_id_and_are_two_deliveries(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    world.place_many(2)
    receipts = [world.channel.receive(one.headers, one.body) for one in receiver.wait_for(2)]
    assert receipts[0].delivery_id == receipts[1].delivery_id
    assert receipts[0].kept != receipts[1].kept


def test_a_late_delivery_tells_the_state_of_its_own_moment(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    world.api.control("delivery_faults", {"delay_seconds": [30, 30]})
    order = world.api.place({"sku": "A", "quantity": 3})
    world.clock.advance(2)
    world.api.become(order, "cancelled")
    world.clock.advance(60)
    world.api.until_quiet()
    assert [(one.topic, committed(read(world.channel, one))) for one in receiver.received] == [
        ("order.created", {str(order["lines"][0]): 0}),
        ("order.updated", {str(order["lines"][0]): 0}),
    ]


def test_changes_that_were_merged_into_one_delivery_are_all_in_it(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    order = world.api.place({"sku": "A", "quantity": 3})
    world.api.until_quiet()
    world.api.control("delivery_faults", {"delay_seconds": [30, 30]})
    for units in (4, 5, 6):
        world.clock.advance(1)
        world.api.set_quantity(order, 0, units)
    world.clock.advance(60)
    world.api.until_quiet()
    assert world.api.show("counts")["deliveries"]["coalesced"] == 2
    (updated,) = [one for one in receiver.received if one.topic == "order.updated"]
    assert committed(read(world.channel, updated)) == world.truth(order["id"])


def test_an_owner_who_lost_the_right_to_read_is_told(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    world.switch(owner_may_read=False)
    world.api.place()
    (delivery,) = receiver.wait_for(1)
    with pytest.raises(Unreadable, match="woocommerce_rest_cannot_view"):
        read(world.channel, delivery)


def test_what_is_kept_of_a_delivery_holds_nothing_personal(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    world.api.place({"sku": "A", "quantity": 3, "meta": {"Engraving": "For Bob"}}, meta={"_gift_for": "For Bob"})
    (delivery,) = receiver.wait_for(1)
    assert all(personal in delivery.body for personal in BUYERS)
    receipt = world.channel.receive(delivery.headers, delivery.body)
    assert not receipt.raw
    assert not any(personal in receipt.kept for personal in BUYERS)


def test_nothing_personal_travels_where_the_site_heeds_the_fields_asked_for(world: World) -> None:
    world.api.place({"sku": "A", "quantity": 3})
    params = {"_fields": "id,status,date_created_gmt,date_modified_gmt,line_items,refunds"}
    answer = world.api.call("GET", "orders", params=params)
    assert not any(personal in answer.content for personal in BUYERS)


def test_forged_tampered_and_truncated_deliveries_do_no_harm(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    world.api.control("delivery_faults", {"forge_rate": 0.5, "tamper_rate": 0.5, "truncate_rate": 0.3})
    placed = {str(world.api.place()["id"]) for _ in range(60)}
    world.api.until_quiet()
    outcomes: Counter[str] = Counter()
    for delivery in receiver.received:
        try:
            receipt = world.channel.receive(delivery.headers, delivery.body)
        except InvalidSignature as refusal:
            outcomes[refusal.code] += 1
            continue
        if receipt.raw:
            outcomes["raw"] += 1
            continue
        (notice,) = world.channel.read(receipt.topic, receipt.kept)
        # Under a false topic too, a whole order is one: it is not deleted for it.
        assert isinstance(notice, Order)
        assert notice.order_id in placed
        assert list(committed(notice).values()) == [3]
    assert outcomes.keys() == {"signature", "source", "raw"}


def test_a_secret_can_be_replaced_without_losing_a_delivery(world: World, receiver: Receiver) -> None:
    world.channel.subscribe(receiver.url)
    world.api.place()
    both = world.open(webhook_secrets=["a new one", SECRET])
    assert isinstance(read(both, receiver.wait_for(1)[0]), Order)
    for webhook in world.api.show("state")["webhooks"]:
        world.api.call("PUT", f"webhooks/{webhook['id']}", json={"secret": "a new one"})
    world.api.place()
    assert all(isinstance(read(both, delivery), Order) for delivery in receiver.wait_for(2))
    with pytest.raises(InvalidSignature):
        read(world.channel, receiver.received[-1])
