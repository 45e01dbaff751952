"""A WooCommerce shop's sales into the store: its webhooks through the real receiver, polling for what they lose."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from config.settings import BrokerSettings, ChannelSettings, MarketplaceSettings, SecretUrl, Settings, WebSettings
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.sharetribe.marketplace import SharetribeMarketplace
from connectors.sharetribe.settings import SharetribeMarketplaceSettings
from connectors.woocommerce import WooCommerceChannel, WooCommerceSettings
from connectors.woocommerce.sandbox import Options, create_app
from tests.conformance.woocommerce_sandbox.api import SECRET, Api
from worker.doorbell import Doorbell
from worker.services import Services
from worker.store import Store
from worker.store.tables import Delivery, DeliveryState, OrderLineRow, OrderRow
from worker.web import WebServer
from worker.web import create_app as create_receiver

CHANNEL = "toys"


class Bell(Doorbell):
    """Nobody listens: the test itself does what is due."""

    def __init__(self) -> None:
        pass

    def ring(self, task: str) -> None:
        pass


class Site:
    """A shop, and a deployment that takes its sales; both by one clock."""

    def __init__(self, store: Store, stack: ExitStack, **options: Any) -> None:
        self.store, self.clock = store, VirtualClock()
        chosen = Options.model_validate(options)
        url = stack.enter_context(serve(create_app(chosen, self.clock)))
        self.shop = Api(stack.enter_context(httpx.Client(base_url=url, timeout=20)), chosen)
        self.services = Services(_settings(chosen, url), clock=self.clock, store=store)
        self.services.register_channels()
        stack.callback(self._close)
        server = WebServer(create_receiver(self.services, Bell(), most_waiting=2000), "127.0.0.1", 0)
        self.hook = f"{server.start()}/hooks/{CHANNEL}"
        stack.callback(server.stop)

    @property
    def channel(self) -> WooCommerceChannel:
        channel = self.services.channels[CHANNEL]
        assert isinstance(channel, WooCommerceChannel)
        return channel

    def take_in(self) -> None:
        """Everything that is there to be taken in by now."""
        while self.services.inbox.drain() or self.services.fetcher.drain():
            pass

    def poll(self) -> None:
        self.clock.advance(5)
        assert self.services.poller.poll(CHANNEL)
        self.take_in()

    def held(self) -> dict[str, int]:
        """Line id -> committed units, of the orders that count."""
        query = select(OrderLineRow.line_id, OrderLineRow.committed).join(
            OrderRow, OrderRow.id == OrderLineRow.order_row
        )
        with self.store.read() as transaction:
            return {row.line_id: row.committed for row in transaction.execute(query) if row.committed}

    def truth(self) -> dict[str, int]:
        """The same, as the shop itself counts."""
        orders = self.shop.show("state")["orders"]
        return {str(line["id"]): line["committed"] for order in orders for line in order["lines"] if line["committed"]}

    def deliveries(self) -> list[Any]:
        with self.store.read() as transaction:
            return list(transaction.execute(select(Delivery.topic, Delivery.state, Delivery.outcome, Delivery.kept)))

    def _close(self) -> None:
        self.channel.close()
        assert isinstance(self.services.marketplace, SharetribeMarketplace)
        self.services.marketplace.disconnect()
        self.services.executor.shutdown()


def _settings(options: Options, url: str) -> Settings:
    return Settings(
        broker=BrokerSettings(url=SecretUrl("memory://")),
        marketplace=MarketplaceSettings(
            connector="sharetribe",
            options=SharetribeMarketplaceSettings(client_id="trueup", client_secret=SecretStr("unused")),
        ),
        channels={
            CHANNEL: ChannelSettings(
                name=CHANNEL,
                connector="woocommerce",
                any_seller=True,
                options=WooCommerceSettings(
                    site=options.site,
                    base_url=url,
                    consumer_key=options.consumer_key,
                    consumer_secret=options.consumer_secret,
                    webhook_secrets=(SecretStr(SECRET),),
                    page_size=7,
                ),
            )
        },
        web=WebSettings(port=0),
    )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def live(site: Site, luck: random.Random, orders: list[Any]) -> None:
    """One thing that happens at the shop."""
    shop = site.shop
    what = luck.randrange(10)
    if what < 4 or not orders:
        lines = [
            {"sku": luck.choice("ABC") + ("" if managed else "-U"), "quantity": luck.randint(2, 6), "managed": managed}
            for managed in luck.choices([True, False], k=luck.randint(1, 3))
        ]
        orders.append(shop.place(*lines, status=luck.choice(["pending", "on-hold", "processing"])))
        return
    order = luck.choice(orders)
    if what < 7:
        shop.become(order, luck.choice(["processing", "completed", "on-hold", "cancelled", "pending", "failed"]))
    elif what == 7:
        body = {"lines": [{"line_id": order["lines"][0], "quantity": 1}], "restock": luck.random() < 0.5}
        assert shop.http.post(f"/_control/orders/{order['id']}/refund", json=body).status_code in {200, 409}
    elif what == 8:
        shop.control(f"orders/{order['id']}/edit", {"add": [{"sku": "NEW-U", "quantity": 2, "managed": False}]})
    else:
        orders.remove(order)
        shop.delete(order)


@pytest.mark.parametrize("seed", range(3))
def test_p6_every_unit_arrives_whatever_becomes_of_the_webhooks(store: Store, stack: ExitStack, seed: int) -> None:
    site = Site(store, stack, seed=seed)
    luck, orders = random.Random(seed), list[Any]()
    assert [one.problem for one in site.channel.subscribe(site.hook) if one.problem] == []
    faults = {"drop_rate": 0.2, "duplicate_rate": 0.2, "reorder_rate": 0.2, "forge_rate": 0.2, "tamper_rate": 0.2}
    site.shop.control("delivery_faults", faults)
    for _ in range(60):
        live(site, luck, orders)
        # Several within one second: their revisions are the same.
        site.clock.advance(luck.choice([0, 0, 0.5, 2]))
        if luck.random() < 0.3:
            site.take_in()
        if luck.random() < 0.1:
            site.poll()
    site.clock.advance(10)
    site.shop.until_quiet()
    site.poll()
    # A deletion that nobody told is found by the late looks.
    for days in (2, 6, 24):
        site.clock.advance(days * 86_400)
        while site.services.fetcher.look_again():
            site.take_in()
    assert site.held() == site.truth()
    assert site.truth()
    assert not any(b"Lovelace" in (row.kept or b"") for row in site.deliveries())
    assert {row.state for row in site.deliveries()} == {DeliveryState.HANDLED}


def test_pings_are_answered_and_come_to_nothing(store: Store, stack: ExitStack) -> None:
    site = Site(store, stack)
    assert [one.problem for one in site.channel.subscribe(site.hook) if one.problem] == []
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert httpx.post(site.hook, content=b"webhook_id=1", headers=form).status_code == 200
    assert httpx.post(site.hook, content=b"id=1", headers=form).status_code == 401
    site.take_in()
    assert [(row.topic, row.outcome) for row in site.deliveries()] == [("ping", "ignored: ping")] * 4
    assert site.held() == {}


def test_webhooks_that_went_off_in_an_outage_are_on_again_and_nothing_is_missing(
    store: Store, stack: ExitStack
) -> None:
    site = Site(store, stack, switches={"disabled_after_failures": 2})
    site.channel.subscribe(site.hook)
    for one in site.shop.show("state")["webhooks"]:
        # As if our address had been gone for a while.
        site.shop.call("PUT", f"webhooks/{one['id']}", json={"secret": "not ours"})
    for _ in range(3):
        site.shop.place()
    site.shop.until_quiet()
    assert [one.topic for one in site.channel.subscriptions(site.hook) if one.problem] == ["order.created"]
    site.take_in()
    assert site.held() == {}

    assert [one.problem for one in site.channel.subscribe(site.hook) if one.problem] == []
    site.shop.place()
    site.shop.until_quiet()
    site.take_in()
    assert len(site.held()) == 1
    site.poll()
    assert site.held() == site.truth()
    assert len(site.held()) == 4
