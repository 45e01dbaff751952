"""The Elastic Path connector against its sandbox, over real HTTP, on one virtual clock for both."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.budget import LocalBudgets
from connectors.contract import (
    UNDEFINED,
    UNLIMITED,
    Author,
    Evidence,
    Gone,
    Listing,
    ListingState,
    Look,
    Order,
    OrderRef,
    Stock,
    UnreadableListing,
    UnreadableOrder,
)
from connectors.elasticpath import ClosingMarketplace, ElasticPathChannel, ElasticPathMarketplace
from connectors.elasticpath.sandbox import Options, create_app
from connectors.elasticpath.subscriptions import EVENTS
from connectors.errors import (
    ConnectorError,
    InvalidSignature,
    NotFound,
    OutcomeUnknown,
    Rejected,
    StockMismatch,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from connectors.http import Toolbox
from connectors.registry import connector
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from tests.conformance.shopify_sandbox.api import until

WRITE = "transactions/create"
MISSING = "00000000-0000-4000-8000-000000000000"
START = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "a-secret-of-this-channel"
FLAVOURS: list[dict[str, Any]] = [
    {},
    {"inventory": "multi_location"},
    {"inventory": "multi_location", "location": "york"},
]


class Site:
    """A served store: our connectors to it, and everybody else's hands."""

    def __init__(self, url: str, clock: VirtualClock, options: Options) -> None:
        self.url = url
        self.clock = clock
        self.options = options
        self._control = httpx.Client(base_url=f"{url}/_control", timeout=10)
        self.budgets = LocalBudgets(clock)
        self._opened: list[ElasticPathMarketplace | ElasticPathChannel] = []
        self.marketplace = self.open()
        self.channel = self.open_channel()

    def open(self, *, clock: VirtualClock | None = None, **changes: Any) -> ElasticPathMarketplace:
        """One more marketplace, opened as the worker opens it."""
        found = connector("elasticpath")
        assert found.marketplace_settings is not None
        assert found.open_marketplace is not None
        settings = found.marketplace_settings.model_validate({**self._account(), **changes})
        toolbox = Toolbox(clock or self.clock, self.budgets, random.Random(1))
        opened = found.open_marketplace(settings, toolbox)
        assert isinstance(opened, ElasticPathMarketplace)
        self._opened.append(opened)
        return opened

    def open_channel(self, **changes: Any) -> ElasticPathChannel:
        """One more channel."""
        found = connector("elasticpath")
        assert found.channel_settings is not None
        assert found.open_channel is not None
        settings = found.channel_settings.model_validate({**self._account(), "webhook_secrets": [SECRET], **changes})
        opened = found.open_channel("shop", settings, Toolbox(self.clock, self.budgets, random.Random(1)))
        assert isinstance(opened, ElasticPathChannel)
        self._opened.append(opened)
        return opened

    def _account(self) -> dict[str, Any]:
        return {
            "client_id": self.options.client_id,
            "client_secret": self.options.client_secret,
            "base_url": self.url,
            "environment": self.options.profile,
        }

    def control(self, path: str, body: Any = None) -> Any:
        response = self._control.post(path, json={} if body is None else body)
        assert response.status_code == 200, response.text
        return response.json()

    def look(self, path: str) -> Any:
        return self._control.get(path).json()

    def product(self, stock: int | None = None, **details: Any) -> str:
        made = self.control("/products", {"products": [{"stock": stock, **details}]})
        return str(made["products"][0]["id"])

    def stocked(self, flavour: dict[str, Any], stock: int) -> str:
        """A product whose stock lies where that flavour counts it."""
        place = flavour.get("location")
        return self.product(locations={place: stock, "hull": 50}) if place else self.product(stock)

    def available(self, product_id: str, location: str | None = None) -> int:
        found = self.look(f"/products/{product_id}")
        return int(found["available"] if location is None else found["locations"][location])

    def fault(self, kind: str, operation: str = WRITE, **more: Any) -> None:
        self.control("/faults", {"operation": operation, "kind": kind, **more})

    def switch(self, **switches: Any) -> None:
        self.control("/switches", switches)

    def sell(self, *items: dict[str, Any], steps: tuple[str, ...] = ("pay",), **details: Any) -> Any:
        """One order: a checkout and what follows at once."""
        return self.control("/orders", {"orders": [{"items": list(items), "steps": steps, **details}]})["orders"][0]

    def step(self, order_id: str, step: str, **more: Any) -> Any:
        self.clock.advance(1)
        return self.control(f"/orders/{order_id}/{step}", more)

    def poll(self, cursor: str, channel: ElasticPathChannel | None = None) -> tuple[list[Order], str]:
        """Everything until no more is waiting, once the seconds are over."""
        self.clock.advance(5)
        orders: list[Order] = []
        while True:
            page = (channel or self.channel).orders(cursor)
            assert page.unreadable == ()
            orders += page.orders
            cursor = page.cursor
            if not page.more:
                return orders, cursor

    def written(self) -> Counter[str]:
        """What became of the stock transactions that arrived."""
        return Counter(self.look("/counts")["outcomes"].get(WRITE, {}))

    def close(self) -> None:
        for opened in self._opened:
            if isinstance(opened, ElasticPathMarketplace):
                opened.disconnect()
            else:
                opened.close()
        self._control.close()


@contextmanager
def served(clock: VirtualClock, **options: Any) -> Iterator[Site]:
    chosen = Options.model_validate(options)
    with serve(create_app(chosen, clock)) as url:
        site = Site(url, clock, chosen)
        try:
            yield site
        finally:
            site.close()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def site(clock: VirtualClock) -> Iterator[Site]:
    with served(clock) as site:
        yield site


@contextmanager
def ticking(clock: VirtualClock) -> Iterator[None]:
    """Lets a millisecond pass again and again while the block runs."""
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.002):
            clock.advance(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()


# Reading and writing


def test_a_listing_as_the_store_has_it(site: Site) -> None:
    product_id = site.product(7, name="Red mug", sku="MUG-R")
    site.control(f"/products/{product_id}/act", {"action": "allocate", "quantity": 2})
    found = site.marketplace.listing(product_id)
    assert found == Listing(product_id, ListingState.PUBLISHED, Stock.counted(5), "", "Red mug", "MUG-R")
    assert site.marketplace.listing(site.product(0, status="draft")).state is ListingState.CLOSED


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_write_moves_what_is_available_where_it_counts(site: Site, flavour: dict[str, Any]) -> None:
    marketplace = site.open(**flavour)
    product_id = site.stocked(flavour, 7)
    assert marketplace.listing(product_id).stock == Stock.counted(7)
    first = marketplace.adjust(product_id, seen=7, delta=-3)
    second = marketplace.adjust(product_id, seen=4, delta=+1)
    assert (first.total, second.total) == (4, 5)
    assert site.available(product_id, flavour.get("location")) == 5
    listed = {
        each["id"]: (each["action"], each["quantity"]) for each in site.look(f"/products/{product_id}")["transactions"]
    }
    assert listed[first.adjustment_id or ""] == ("decrement", 3)
    assert listed[second.adjustment_id or ""] == ("increment", 1)
    if "location" in flavour:
        assert site.available(product_id, "hull") == 50


def test_a_mismatch_is_seen_before_anything_is_sent(site: Site) -> None:
    product_id = site.product(7)
    with pytest.raises(StockMismatch):
        site.marketplace.adjust(product_id, seen=8, delta=-1)
    assert site.available(product_id) == 7
    assert site.look("/counts")["calls"].get(WRITE, 0) == 0


def test_a_location_without_a_record_is_undefined_and_one_that_is_not_chosen_is_unreadable(site: Site) -> None:
    product_id = site.product(locations={"hull": 4})
    assert site.open(inventory="multi_location", location="york").listing(product_id).stock == UNDEFINED
    for switch in ("sum", "separate"):
        site.switch(located_available=switch)
        with pytest.raises(Unreadable, match="set `location`"):
            site.open(inventory="multi_location").listing(product_id)


def test_stock_below_zero_is_shown_and_what_does_not_add_up_is_unreadable(site: Site) -> None:
    below, wrong, fine = site.product(3), site.product(3), site.product(3)
    site.control(f"/products/{below}/break", {"available": -2})
    site.control(f"/products/{wrong}/break", {"discrepancy": 1})
    assert site.marketplace.listing(below).stock == Stock.counted(-2)
    with pytest.raises(Unreadable, match="its total of 4 is not the 3 available and the 0 allocated"):
        site.marketplace.listing(wrong)
    with pytest.raises(Rejected, match="not sent"):
        site.marketplace.adjust(wrong, seen=3, delta=-1)
    (page,) = site.marketplace.listings()
    assert [type(each) for each in page] == [Listing, UnreadableListing, Listing]
    assert page[1].listing_id == wrong
    assert page[2].listing_id == fine


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_organisations_product_is_named_as_such_whatever_the_status(clock: VirtualClock, status: int) -> None:
    with served(clock, switches={"organization_status": status}) as site:
        product_id = site.product(5, organization=True)
        assert site.marketplace.listing(product_id).stock == Stock.counted(5)
        with pytest.raises(Rejected, match="belongs to the organisation") as caught:
            site.marketplace.adjust(product_id, seen=5, delta=-1)
        assert caught.value.code == "organization_product"


def test_a_write_conflict_changed_nothing(site: Site) -> None:
    product_id = site.product(7)
    body = '{"errors":[{"title":"Write conflict detected","status":409}]}'
    site.fault("answer", status=409, body=body, content_type="application/json")
    with pytest.raises(StockMismatch):
        site.marketplace.adjust(product_id, seen=7, delta=-1)
    assert site.marketplace.adjust(product_id, seen=7, delta=-1).total == 6


def test_many_threads_never_write_to_one_product_at_once(site: Site) -> None:
    product_id, other = site.product(40), site.product(40)
    site.fault("delay", times=None, seconds=0.001)

    def sell(number: int) -> None:
        wanted = product_id if number % 2 else other
        while True:
            seen = site.marketplace.listing(wanted).stock.total
            try:
                site.marketplace.adjust(wanted, seen=seen, delta=-1)
            except StockMismatch:
                continue
            return

    with ticking(site.clock), ThreadPoolExecutor(8) as pool:
        list(pool.map(sell, range(40)))
    assert (site.available(product_id), site.available(other)) == (20, 20)
    assert site.look("/counts")["most_at_once"] == {product_id: 1, other: 1}


# The history


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("form", ["go", "rfc3339"])
@pytest.mark.parametrize("order", ["oldest_first", "newest_first"])
def test_the_history_in_any_form_and_order(clock: VirtualClock, flavour: dict[str, Any], form: str, order: str) -> None:
    with served(clock, switches={"transaction_time": form, "transaction_order": order}) as site:
        marketplace = site.open(**flavour)
        product_id = site.stocked(flavour, 300)
        for number in range(120):
            clock.advance(0.4)
            marketplace.adjust(product_id, seen=300 - number, delta=-1)
        found = marketplace.adjustments(product_id, since=START)
        assert [each.quantity for each in found] == [300] + [-1] * 120
        assert [each.at for each in found] == sorted({each.at for each in found})
        assert [each.author for each in found] == [Author.OTHER] + [None] * 120
        truth = [each for each in site.look(f"/products/{product_id}")["adjustments"] if each["location"] != "hull"]
        assert sum(each.quantity for each in found) == truth[-1]["available"]


@pytest.mark.parametrize("flavour", FLAVOURS[:2])
def test_a_history_by_pages_is_read_whole(clock: VirtualClock, flavour: dict[str, Any]) -> None:
    with served(clock, switches={"transaction_paging": "paged"}) as site:
        marketplace = site.open(**flavour)
        product_id = site.product(200)
        for number in range(150):
            clock.advance(1)
            marketplace.adjust(product_id, seen=200 - number, delta=-1)
        assert len(marketplace.adjustments(product_id, since=START)) == 151
        assert len(marketplace.adjustments(product_id, since=clock.now())) == 1


def test_what_orders_do_is_never_ours(site: Site) -> None:
    product_id = site.product(20)
    marketplace = site.open(sole_writer=True)
    assert (marketplace.evidence, site.marketplace.evidence) == (Evidence.ATTRIBUTED, Evidence.ANONYMOUS)
    order = site.sell({"product_id": product_id, "quantity": 3})
    site.step(order["id"], "cancel")
    kept = site.sell({"product_id": product_id, "quantity": 2})
    marketplace.adjust(product_id, seen=18, delta=-1)
    site.step(kept["id"], "fulfil")
    found = marketplace.adjustments(product_id, since=START)
    assert [(each.quantity, each.author) for each in found] == [
        (20, Author.OTHER),
        (-3, Author.OTHER),
        (3, Author.OTHER),
        (-2, Author.OTHER),
        (-1, Author.OURS),
    ]


@pytest.mark.parametrize("shown", ["none", "deallocate_decrement"])
def test_a_shipment_does_not_move_what_is_available(clock: VirtualClock, shown: str) -> None:
    with served(clock, switches={"fulfilment_transactions": shown}) as site:
        product_id = site.product(9)
        site.step(site.sell({"product_id": product_id, "quantity": 4})["id"], "fulfil")
        found = site.marketplace.adjustments(product_id, since=START)
        assert sum(each.quantity for each in found) == site.available(product_id) == 5
        assert site.marketplace.listing(product_id).stock == Stock.counted(5)


def test_a_total_that_is_set_counts_by_how_far_it_moved(site: Site) -> None:
    product_id = site.product(10)
    site.control(f"/products/{product_id}/act", {"action": "allocate", "quantity": 4})
    site.control(f"/products/{product_id}/act", {"action": "set", "quantity": 12})
    found = site.open(inventory="multi_location").adjustments(product_id, since=START)
    assert [each.quantity for each in found] == [10, -4, 2]
    assert sum(each.quantity for each in found) == site.available(product_id) == 8


@pytest.mark.parametrize("history", ["kept", "cleared"])
def test_stock_that_is_deleted_is_unlimited_and_made_again_adds_up(clock: VirtualClock, history: str) -> None:
    with served(clock, switches={"recreated_history": history}) as site:
        product_id = site.product(10)
        site.marketplace.adjust(product_id, seen=10, delta=-3)
        site.control(f"/products/{product_id}/unmanage")
        assert site.marketplace.listing(product_id).stock == UNLIMITED
        clock.advance(60)
        site.control(f"/products/{product_id}/create", {"quantity": 4})
        found = site.marketplace.adjustments(product_id, since=START)
        assert sum(each.quantity for each in found) == site.available(product_id) == 4


def test_an_unknown_action_and_hidden_orders_do_not_stop_the_reader(clock: VirtualClock) -> None:
    with served(clock, switches={"unknown_transactions": True, "order_transactions": "hidden"}) as site:
        product_id = site.product(10)
        site.sell({"product_id": product_id, "quantity": 2})
        site.marketplace.adjust(product_id, seen=8, delta=-1)
        found = site.marketplace.adjustments(product_id, since=START)
        assert [each.quantity for each in found] == [10, -1]
        # What is not shown is missing from the sum, so that nobody takes the evidence for whole.
        assert sum(each.quantity for each in found) != site.available(product_id)


# The sweep


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("unknown", ["left_out", "refused", "refused_named"])
def test_a_sweep_sees_every_product_once(clock: VirtualClock, flavour: dict[str, Any], unknown: str) -> None:
    with served(clock, switches={"unknown_ids": unknown}) as site:
        marketplace = site.open(**flavour)
        place = flavour.get("location")
        new: list[dict[str, Any]] = [
            {"stock": None, "locations": {}}
            if number % 7 == 0
            else {"stock": None, "locations": {place: number}}
            if place
            else {"stock": number}
            for number in range(230)
        ]
        made = site.control("/products", {"products": new})["products"]
        found = [each for page in marketplace.listings() for each in page if isinstance(each, Listing)]
        assert [each.listing_id for each in found] == [each["id"] for each in made]
        assert [None if each.stock == UNLIMITED else each.stock.total for each in found] == [
            each["available"] for each in made
        ]
        assert all(each.state is ListingState.PUBLISHED for each in found)


def test_a_bulk_read_that_takes_fewer_ids_falls_back_to_single_ones(clock: VirtualClock) -> None:
    with served(clock, switches={"most_ids": 10}) as site:
        ids = [site.product(number) for number in range(12)]
        found = [each for page in site.marketplace.listings() for each in page if isinstance(each, Listing)]
        assert [(each.listing_id, each.stock.total) for each in found] == list(zip(ids, range(12), strict=True))


def test_products_deleted_during_a_sweep_hide_no_other(site: Site) -> None:
    made = [each["id"] for each in site.control("/products", {"products": [{"stock": 1}] * 250})["products"]]
    found: list[str] = []
    for page in site.marketplace.listings():
        found += [each.listing_id for each in page if each.listing_id is not None]
        for product_id in made[:5]:
            if len(found) < 150:
                site.control(f"/products/{product_id}/delete")
    assert found == made


# Closing and opening


def test_only_a_marketplace_that_may_close_can(site: Site) -> None:
    assert not isinstance(site.marketplace, ClosingMarketplace)
    marketplace = site.open(close_by_status=True)
    assert isinstance(marketplace, ClosingMarketplace)
    product_id = site.product(0)
    for act, status, state in (
        (marketplace.close, "draft", ListingState.CLOSED),
        (marketplace.open, "live", ListingState.PUBLISHED),
    ):
        act(product_id)
        act(product_id)
        assert site.look(f"/products/{product_id}")["status"] == status
        assert marketplace.listing(product_id).state is state
    with pytest.raises(NotFound):
        marketplace.close(MISSING)
    site.fault("drop_after", "products/update")
    with pytest.raises(OutcomeUnknown):
        marketplace.close(product_id)


# Trouble


@pytest.mark.parametrize("flavour", FLAVOURS[:2])
@pytest.mark.parametrize(
    ("kind", "more", "applied"),
    [
        ("drop_after", {}, 1),
        ("answer", {"status": 404, "body": "<html>"}, 0),
    ],
)
def test_p4_a_write_whose_answer_says_nothing_is_unknown_and_sent_once(
    site: Site, flavour: dict[str, Any], kind: str, more: dict[str, Any], applied: int
) -> None:
    marketplace = site.open(**flavour)
    product_id = site.product(7)
    # On a connection that is open already, as most are.
    marketplace.listing(product_id)
    site.fault(kind, **more)
    with pytest.raises(OutcomeUnknown):
        marketplace.adjust(product_id, seen=7, delta=-1)
    assert site.available(product_id) == 7 - applied
    assert site.look("/counts")["calls"][WRITE] == 1
    # The store's own list tells which of them it was.
    assert len(marketplace.adjustments(product_id, since=START)) == 1 + applied


@pytest.mark.parametrize(
    ("kind", "more", "error"),
    [
        # Not the vendor's own word, so not a product without stock.
        ("answer", {"status": 404, "body": "<html>"}, Unavailable),
        ("answer", {"status": 403, "body": "<html>"}, Unauthorized),
    ],
)
def test_a_read_says_what_does_not_pass(
    site: Site, kind: str, more: dict[str, Any], error: type[ConnectorError]
) -> None:
    product_id = site.product(7)
    site.fault(kind, "inventories/show", times=None, **more)
    with pytest.raises(error):
        site.marketplace.listing(product_id)
    site.control("/faults/clear")
    assert site.marketplace.listing(product_id).stock.total == 7


# Tokens and limits


@pytest.mark.parametrize("wrapped", [False, True])
def test_tokens_that_end_early_are_replaced_without_a_word(clock: VirtualClock, wrapped: bool) -> None:
    with served(clock, switches={"token_wrapped": wrapped}) as site:
        product_id = site.product(9)
        for number in range(3):
            assert site.marketplace.adjust(product_id, seen=9 - number, delta=-1).total == 8 - number
            site.control("/tokens/expire")
        assert site.written() == {"applied": 3}


def test_tokens_are_renewed_before_they_end(site: Site) -> None:
    product_id = site.product(9)
    for _ in range(5):
        site.marketplace.listing(product_id)
        site.clock.advance(3571)
    assert site.look("/counts")["outcomes"]["products/show"] == {"ok": 5}


def test_wrong_credentials(site: Site) -> None:
    wrong = site.open(client_secret="wrong")
    with pytest.raises(Unauthorized):
        wrong.listing(MISSING)
    with pytest.raises(Unauthorized):
        wrong.adjust(MISSING, seen=1, delta=-1)
    (check,) = wrong.check()
    assert not check.ok
    assert check.remedy


def test_the_limits_of_a_development_store_are_kept(clock: VirtualClock) -> None:
    with served(clock, profile="development") as site:
        product_id = site.product(100)
        for number in range(60):
            site.marketplace.adjust(product_id, seen=100 - number, delta=-1)
        assert site.written() == {"applied": 60}
        assert site.look("/counts")["outcomes"]["inventories/show"] == {"ok": 60}


# Doctor


def test_a_healthy_marketplace(site: Site) -> None:
    names = [(check.name, check.ok) for check in site.marketplace.check()]
    assert names == [("access", True), ("stock", True), ("clock", True)]


def test_a_location_that_is_not_there_is_found(site: Site) -> None:
    site.product(locations={"hull": 3})
    for slug, ok in (("hull", True), ("york", False)):
        marketplace = site.open(inventory="multi_location", location=slug)
        assert [check.ok for check in marketplace.check() if check.name == "location"] == [ok]


# The channel: what orders commit


def committed(order: object) -> dict[str, int]:
    assert isinstance(order, Order)
    return {line.line_id: line.committed for line in order.lines}


def truth(order: Any) -> dict[str, int]:
    """As the sandbox itself counts them; custom items and promotions take nothing and are no lines."""
    return {item["id"]: item["committed"] for item in order["items"] if item["committed"] or item["product_id"]}


@pytest.mark.parametrize(
    "steps",
    [
        (),
        ("authorize",),
        ("part_pay",),
        ("pay",),
        ("authorize", "pay"),
        ("pay", "fulfil"),
        ("cancel",),
        ("authorize", "cancel"),
        ("pay", "cancel"),
    ],
)
def test_an_order_commits_what_the_store_holds_for_it(site: Site, steps: tuple[str, ...]) -> None:
    product_id = site.product(9, sku="MUG")
    order = site.sell({"product_id": product_id, "sku": "MUG", "quantity": 2}, {"sku": "BOWL"}, steps=steps)
    (found,), _ = site.poll(site.channel.cursor_at(START))
    assert committed(found) == truth(order)
    assert [(line.sku, line.item_key) for line in found.lines] == [
        (item["sku"], item["product_id"]) for item in order["items"]
    ]
    assert found.lines[0].item_key == product_id
    fetched = site.channel.order(order["id"])
    assert committed(fetched) == committed(found)


def test_promotions_and_custom_items_are_no_lines(site: Site) -> None:
    order = site.sell(
        {"sku": "MUG", "quantity": 2},
        {"sku": "SAVE-10", "unit_amount": -100},
        {"sku": "engraving", "product_id": ""},
    )
    (found,), _ = site.poll(site.channel.cursor_at(START))
    assert committed(found) == {order["items"][0]["id"]: 2}


def test_a_refund_in_full_is_asked_about_unless_the_operator_has_said_what_it_means(site: Site) -> None:
    order = site.sell({"sku": "MUG", "quantity": 2})
    site.step(order["id"], "refund", amount=100)
    cursor = site.channel.cursor_at(START)
    (found,), _ = site.poll(cursor)
    assert list(committed(found).values()) == [2]
    site.step(order["id"], "refund")
    site.clock.advance(5)
    page = site.channel.orders(cursor)
    assert page.orders == ()
    (parked,) = page.unreadable
    assert parked.order_id == order["id"]
    assert "refunded in full" in parked.reason
    assert b"Ada" not in parked.raw
    assert b"Analytical" not in parked.raw
    assert json.loads(parked.raw)["items"][0]["sku"] == "MUG"
    with pytest.raises(Unreadable, match="refunded in full") as caught:
        site.channel.order(order["id"])
    assert caught.value.order_id == order["id"]
    for meaning, units in (("kept", 2), ("returned", 0)):
        (found,), _ = site.poll(cursor, site.open_channel(refunded=meaning))
        assert list(committed(found).values()) == [units]


def test_an_order_that_is_refunded_and_cancelled_commits_nothing(site: Site) -> None:
    order = site.sell({"sku": "MUG", "quantity": 2}, steps=("pay", "refund", "cancel"))
    assert list(committed(site.channel.order(order["id"])).values()) == [0]


@pytest.mark.parametrize("refs", ["null", "left_out"])
@pytest.mark.parametrize("effect", ["none", "deallocate"])
def test_whatever_a_refund_does_to_stock_it_is_asked_about(clock: VirtualClock, refs: str, effect: str) -> None:
    with served(clock, switches={"refund_effect": effect, "missing_refs": refs}) as site:
        product_id = site.product(9)
        order = site.sell({"product_id": product_id, "quantity": 2})
        assert list(committed(site.channel.order(order["id"])).values()) == [2]
        site.step(order["id"], "refund")
        assert site.available(product_id) == (7 if effect == "none" else 9)
        with pytest.raises(Unreadable, match="refunded in full"):
            site.channel.order(order["id"])


def test_mirrored_orders_do_not_count(site: Site) -> None:
    site.sell({"sku": "MUG"}, external_ref="market-17", steps=("pay", "refund"))
    (found,), _ = site.poll(site.channel.cursor_at(START), site.open_channel(exclude_external_refs=["market-"]))
    assert found.excluded == "external_ref market-"


@pytest.mark.parametrize("includes", [True, False])
def test_a_single_order_is_whole_whether_or_not_its_items_are_included(clock: VirtualClock, includes: bool) -> None:
    with served(clock, switches={"order_includes": includes}) as site:
        order = site.sell({"sku": "MUG", "quantity": 2}, {"sku": "BOWL"})
        assert committed(site.channel.order(order["id"])) == truth(order)
        assert isinstance(site.channel.order(MISSING), Gone)


# The channel: polling


def test_a_poll_goes_on_where_it_stood_and_sees_every_change(site: Site) -> None:
    cursor = site.channel.cursor_at(START)
    seen: dict[str, int] = {}
    made: list[str] = []
    for number in range(12):
        made.append(site.sell({"sku": "MUG"}, steps=())["id"])
        site.clock.advance(0.4)
        if number % 2:
            site.step(made[number // 2], "pay")
        orders, cursor = site.poll(cursor)
        for order in orders:
            assert order.revision >= seen.get(order.order_id, 0)
            seen[order.order_id] = order.revision
    assert set(seen) == set(made)
    assert {order_id: site.channel.order(order_id).revision for order_id in made} == seen  # type: ignore[union-attr]


def test_orders_that_change_while_a_window_is_read_hide_no_other(site: Site) -> None:
    made = [each["id"] for each in _bulk(site, 350)]
    site.clock.advance(10)
    cursor = site.channel.cursor_at(START)
    found: list[str] = []
    while True:
        page = site.channel.orders(cursor)
        found += [order.order_id for order in page.orders]
        cursor = page.cursor
        if not page.more:
            break
        # They leave the window that is being read, and all that follow move up.
        for order_id in made[:20]:
            site.control(f"/orders/{order_id}/touch")
    assert set(found) == set(made)
    assert site.look("/counts")["outcomes"]["orders/list"] == {"ok": 5}


def test_recent_names_every_order_with_its_revision(site: Site) -> None:
    made = _bulk(site, 130)
    refs = [each for page in site.channel.recent(START) for each in page if isinstance(each, OrderRef)]
    assert {each.order_id for each in refs} == {each["id"] for each in made}
    assert not [each for page in site.channel.recent(START) for each in page if isinstance(each, UnreadableOrder)]
    later = site.clock.now() + timedelta(seconds=1)
    site.step(made[3]["id"], "pay")
    (ref,) = {each for page in site.channel.recent(later) for each in page}
    assert isinstance(ref, OrderRef)
    assert ref.order_id == made[3]["id"]


def test_a_list_that_lags_is_made_up_for_by_recent(site: Site) -> None:
    site.switch(order_lag_seconds=60)
    order = site.sell({"sku": "MUG"})
    orders, cursor = site.poll(site.channel.cursor_at(START))
    assert orders == []
    site.clock.advance(120)
    assert site.poll(cursor)[0] == []
    assert [each.order_id for page in site.channel.recent(START) for each in page] == [order["id"]]


def test_a_cursor_of_another_connector_is_rejected(site: Site) -> None:
    for cursor in ('{"since":"2026-01-01T00:00:00"}', '{"since":"2026-01-01T00:00:00Z","offset":-1}'):
        with pytest.raises(Rejected, match="poll from anew"):
            site.channel.orders(cursor)


def _bulk(site: Site, count: int, *, apart: float = 1.0) -> list[Any]:
    moments = [
        (START - timedelta(days=1) + timedelta(seconds=number // 3 * apart)).isoformat() for number in range(count)
    ]
    new = [{"items": [{"sku": "MUG"}], "placed_at": moment, "steps": []} for moment in moments]
    made = site.control("/orders", {"orders": new})["orders"]
    assert len(made) == count
    return list(made)


# The channel: events


class Receiver:
    """Takes deliveries in and keeps them."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.received.append((dict(request.headers), await request.body()))
        return Response(status_code=self.status)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with serve(receiver.app) as url:
        receiver.url = f"{url}/hook"
        yield receiver


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("status", [200, 201])
def test_registering_is_idempotent_and_sets_right_what_is_broken(
    clock: VirtualClock, receiver: Receiver, listed: bool, status: int
) -> None:
    with served(clock, switches={"secret_listed": listed, "integration_created": status}) as site:
        address = receiver.url
        assert [each.problem for each in site.channel.subscriptions(address)] == ["not registered"] * 5
        for _ in range(2):
            registered = site.channel.subscribe(address)
            assert [(each.topic, each.problem) for each in registered] == [(event, "") for event in EVENTS]
        assert site.look("/counts")["calls"]["integrations/create"] == 1
        rotated = site.open_channel(webhook_secrets=["quite-another-secret", SECRET])
        expected = "sends another secret than this channel's first" if listed else ""
        assert {each.problem for each in rotated.subscriptions(address)} == {expected}
        assert {each.problem for each in rotated.subscribe(address)} == {""}
        site.sell({"sku": "MUG"}, steps=("pay",))
        until(lambda: len(receiver.received) == 2)
        assert {headers["x-moltin-secret-key"] for headers, _ in receiver.received} == {"quite-another-secret"}


def test_a_delivery_says_only_which_order_to_look_at_and_leaks_no_secret(site: Site, receiver: Receiver) -> None:
    site.channel.subscribe(receiver.url)
    site.control("/delivery_faults", {"duplicate_rate": 1.0})
    order = site.sell({"sku": "MUG"}, steps=("pay",))
    until(lambda: len(receiver.received) == 4)
    ids = set()
    for headers, body in receiver.received:
        receipt = site.channel.receive(headers, body)
        assert SECRET.encode() not in receipt.kept
        assert b"Ada" not in receipt.kept
        assert not receipt.raw
        assert receipt.topic in {"order.paid", "order.updated"}
        assert site.channel.read(receipt.topic, receipt.kept) == (Look(order["id"]),)
        ids.add(receipt.delivery_id)
    assert len(ids) == 2
    headers, body = receiver.received[0]
    for forged in ({**headers, "x-moltin-secret-key": "wrong"}, {"x-other": "x"}):
        with pytest.raises(InvalidSignature):
            site.channel.receive(forged, body)


@pytest.mark.parametrize("event_id", ["same", "new"])
def test_a_failed_delivery_comes_again(clock: VirtualClock, receiver: Receiver, event_id: str) -> None:
    with served(clock, switches={"event_id": event_id}) as site:
        site.channel.subscribe(receiver.url)
        receiver.status = 503
        site.sell({"sku": "MUG"}, steps=("authorize",))
        until(lambda: site.look("/quiet")["retries"] == 2)
        receiver.status = 200
        site.clock.advance(60)
        until(lambda: bool(site.look("/quiet")["quiet"]))
        kept = [site.channel.receive(headers, body).kept for headers, body in receiver.received]
        assert len(kept) == 4
        # Whatever the id, a repeated delivery is kept as the same few bytes.
        assert len(set(kept)) == 2


def test_a_healthy_channel(site: Site, receiver: Receiver) -> None:
    before = {check.name: check.ok for check in site.channel.check()}
    assert before == {"access": True, "clock": True, "webhooks": False, "webhook secret": True, "refunds": True}
    site.channel.subscribe(receiver.url)
    assert all(check.ok for check in site.channel.check())
    bare = site.open_channel(webhook_secrets=[])
    assert {check.name for check in bare.check() if not check.ok} == {"webhooks", "webhook secret"}
    with pytest.raises(Rejected, match="webhook_secrets is not set"):
        bare.subscribe(receiver.url)
