"""A Marketplacer site and the rooms of the worker: a seller's sales through the real receiver and the poller, its stock
written, its adverts closed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from config.settings import (
    BrokerSettings,
    ChannelSettings,
    MarketplaceSettings,
    PolicySettings,
    SecretUrl,
    Settings,
    WebSettings,
)
from connectors.marketplacer import (
    MarketplacerChannelSettings,
    MarketplacerMarketplace,
    MarketplacerMarketplaceSettings,
)
from connectors.marketplacer.sandbox import Options, create_app
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from tests.conformance.marketplacer_sandbox.api import Api
from tests.conformance.shopify_sandbox.api import until
from worker.doorbell import Doorbell
from worker.services import Services
from worker.store import Store
from worker.store.tables import (
    Delivery,
    DeliveryState,
    Operation,
    OperationKind,
    OperationState,
    OrderLineRow,
    OrderRow,
)
from worker.web import WebServer
from worker.web import create_app as create_receiver

CHANNEL = "toys"
SECRET = "a-secret-of-this-channel"


class Bell(Doorbell):
    """Nobody listens: the test itself does what is due."""

    def __init__(self) -> None:
        pass

    def ring(self, task: str) -> None:
        pass


class Site:
    """A site, and a deployment that takes one seller's sales and keeps its stock; both by one clock."""

    def __init__(self, store: Store, stack: ExitStack, **options: Any) -> None:
        self.store, self.clock = store, VirtualClock()
        chosen = Options.model_validate(options)
        url = stack.enter_context(serve(create_app(chosen, self.clock)))
        self.site = Api(stack.enter_context(httpx.Client(base_url=url, timeout=20)))
        self.services = Services(_settings(chosen, url), clock=self.clock, store=store)
        self.services.register_channels()
        stack.callback(self._close)
        server = WebServer(create_receiver(self.services, Bell(), most_waiting=2000), "127.0.0.1", 0)
        self.hook = f"{server.start()}/hooks/{CHANNEL}"
        stack.callback(server.stop)

    def register(self, secret: str = SECRET, **more: Any) -> int:
        body = {"url": self.hook, "headers": {"auth-key": secret}, **more}
        return int(self.site.control("/webhooks", body)["id"])

    def until_quiet(self) -> None:
        """Until everything that is to be sent now has been."""
        until(lambda: not any(self.site.look("/quiet")[name] for name in ("queued", "in_flight")))

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
        """The same, as the site itself counts."""
        invoices = self.site.look("/state")["invoices"]
        return {str(line["id"]): line["committed"] for each in invoices for line in each["lines"] if line["committed"]}

    def look_after(self) -> None:
        """Sweep, then look at every listing that needs it."""
        self.clock.advance(1)
        self.services.sweeper.sweep()
        for _ in range(4):
            self.clock.advance(1)
            self.services.reconciler.drain()
            self.services.keeper.drain()

    def closings(self) -> list[Any]:
        query = select(Operation.listing_id, Operation.kind, Operation.state).where(
            Operation.kind != OperationKind.STOCK
        )
        with self.store.read() as transaction:
            return [tuple(row) for row in transaction.execute(query)]

    def published(self, name: str) -> bool:
        return bool(self.site.look(f"/variants/{name}")["published"])

    def deliveries(self) -> list[Any]:
        with self.store.read() as transaction:
            return list(transaction.execute(select(Delivery.topic, Delivery.state, Delivery.outcome, Delivery.kept)))

    def webhook(self) -> Any:
        return self.site.look("/state")["webhooks"][0]

    def _close(self) -> None:
        self.services.channels[CHANNEL].close()  # type: ignore[attr-defined]
        assert isinstance(self.services.marketplace, MarketplacerMarketplace)
        self.services.marketplace.disconnect()
        self.services.executor.shutdown()


def _settings(options: Options, url: str) -> Settings:
    return Settings(
        broker=BrokerSettings(url=SecretUrl("memory://")),
        marketplace=MarketplaceSettings(
            connector="marketplacer",
            options=MarketplacerMarketplaceSettings(api_key=options.api_key, base_url=url, close_adverts=True),
        ),
        policy=PolicySettings(close_after_seconds=0, confirm_new_channels=False),
        channels={
            CHANNEL: ChannelSettings(
                name=CHANNEL,
                connector="marketplacer",
                any_seller=True,
                options=MarketplacerChannelSettings(
                    api_key=options.api_key, base_url=url, webhook_secrets=(SecretStr(SECRET),), refunded="returned"
                ),
            )
        },
        web=WebSettings(port=0),
    )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def live(site: Site, luck: random.Random, invoices: list[Any]) -> None:
    """One thing that happens on the site."""
    api, what = site.site, luck.randrange(8)
    if what < 4 or not invoices:
        invoices += api.sell(
            *luck.choices("ABC", k=luck.randint(1, 3)),
            quantity=luck.randint(1, 5),
            delivery_type=luck.choice(["buy_online", "click_and_collect"]),
            steps=luck.choice([(), ("pay",)]),
        )
        return
    invoice = luck.choice(invoices)
    if what == 7:
        path, body = f"/invoices/{invoice['id']}/cancel", {"line_id": invoice["lines"][0]["id"]}
    else:
        step = luck.choice(["pay", "send", "part_send", "ready", "collect", "refund"])
        path, body = f"/invoices/{invoice['id']}/{step}", {}
    # Not every step can follow on every other.
    assert api.http.post(f"/_control{path}", json=body).status_code in {200, 404, 422}


@pytest.mark.parametrize(("seed", "items"), [(0, "included"), (1, "within"), (2, "left_out")])
def test_p6_every_unit_arrives_whatever_becomes_of_the_webhooks(
    store: Store, stack: ExitStack, seed: int, items: str
) -> None:
    switches = {"refund_restocks": True, "line_items": items, "list_order": "last_changed_first"}
    site = Site(store, stack, seed=seed, switches=switches)
    for name in "ABC":
        site.site.variant(name, 10_000)
    luck, invoices = random.Random(seed), list[Any]()
    site.register()
    faults = {"drop_rate": 0.2, "duplicate_rate": 0.2, "reorder_rate": 0.2, "forge_rate": 0.5}
    site.site.control("/delivery_faults", faults)
    for _ in range(60):
        live(site, luck, invoices)
        # Several within one second, of which none shows when it changed.
        site.clock.advance(luck.choice([0, 0, 0.5, 2]))
        if luck.random() < 0.3:
            site.take_in()
        if luck.random() < 0.1:
            site.poll()
    site.clock.advance(10)
    site.site.control("/deliveries/flush")
    site.until_quiet()
    site.poll()
    assert site.held() == site.truth()
    assert site.truth()
    assert {row.state for row in site.deliveries()} == {DeliveryState.HANDLED}
    counts = site.site.look("/counts")["deliveries"]
    assert counts["forged_refused"]
    assert "forged_accepted" not in counts
    assert site.webhook()["enabled"] is True


def test_a_wrong_secret_loses_nothing_and_turns_nothing_off(store: Store, stack: ExitStack) -> None:
    site = Site(store, stack)
    site.site.variant("A")
    number = site.register("the-secret-of-before")
    site.site.sell("A")
    site.until_quiet()
    assert (site.webhook()["responses"], site.webhook()["enabled"]) == ([503], True)
    assert site.deliveries() == []
    site.site.control(f"/webhooks/{number}", {"headers": {"auth-key": SECRET}})
    site.site.control("/deliveries/flush")
    until(lambda: site.webhook()["responses"] == [503, 200])
    site.take_in()
    assert site.held() == site.truth()
    assert len(site.held()) == 1


@pytest.mark.parametrize("fields", ["type", "broken", "legacy"])
def test_a_delivery_that_cannot_be_read_is_taken_and_told(store: Store, stack: ExitStack, fields: str) -> None:
    site = Site(store, stack)
    site.site.variant("A")
    site.register(fields=fields)
    site.site.sell("A")
    site.until_quiet()
    until(lambda: site.webhook()["responses"] == [200])
    site.take_in()
    (delivery,) = site.deliveries()
    assert delivery.state is DeliveryState.PARKED
    assert site.webhook()["enabled"] is True
    site.poll()
    assert site.held() == site.truth()


def in_pieces(body: bytes) -> Iterator[bytes]:
    """Of a length that nobody announces."""
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


@pytest.mark.parametrize("announced", [True, False])
def test_what_is_too_large_turns_nothing_off_and_its_beginning_is_kept(
    store: Store, stack: ExitStack, announced: bool
) -> None:
    site = Site(store, stack)
    limit = site.services.settings.web.max_body_bytes
    body = b'{"event_name": "update", "about": "' + b"x" * limit

    def post(secret: str) -> int:
        content = body if announced else in_pieces(body)
        return httpx.post(site.hook, content=content, headers={"auth-key": secret}, timeout=30).status_code

    # Neither is a 4xx, for which the vendor would turn the webhook off; the forged one is refused all the same.
    assert (post("another"), post(SECRET)) == (503, 200)
    site.take_in()
    (delivery,) = site.deliveries()
    assert delivery.state is DeliveryState.PARKED
    assert body.startswith(delivery.kept)
    assert 0 < len(delivery.kept) <= limit
    assert [view.kind for view in site.services.anomalies.list()] == ["parked-delivery"]


def test_an_advert_closes_with_the_last_of_its_variants_and_nobody_is_bothered_before(
    store: Store, stack: ExitStack
) -> None:
    site = Site(store, stack)
    variants = [{"external_id": name, "records": [{"count_on_hand": 2}]} for name in ("RED", "BLUE")]
    site.site.control("/adverts", {"adverts": [{"variants": variants}]})
    site.look_after()
    site.site.control("/variants/RED/edit", {"count_on_hand": 0})
    for _ in range(3):
        site.look_after()
    assert site.published("RED")
    # Sold out by itself: asked for once, however often it is looked at.
    assert site.closings() == [("RED", OperationKind.CLOSE, OperationState.APPLIED)]
    assert site.services.anomalies.list() == []

    site.site.control("/variants/BLUE/edit", {"count_on_hand": 0})
    site.look_after()
    assert not site.published("BLUE")
    site.site.control("/variants/BLUE/edit", {"count_on_hand": 1})
    site.look_after()
    assert site.published("BLUE")
    assert site.closings()[1:] == [
        ("BLUE", OperationKind.CLOSE, OperationState.APPLIED),
        ("BLUE", OperationKind.OPEN, OperationState.APPLIED),
    ]


def test_an_advert_that_we_closed_is_opened_for_whichever_of_its_variants_comes_back(
    store: Store, stack: ExitStack
) -> None:
    site = Site(store, stack)
    variants = [{"external_id": name, "records": [{"count_on_hand": 2}]} for name in ("RED", "BLUE")]
    [advert] = site.site.control("/adverts", {"adverts": [{"variants": variants}]})["adverts"]
    site.look_after()
    for name in ("RED", "BLUE"):
        site.site.control(f"/variants/{name}/edit", {"count_on_hand": 0})
        site.look_after()
    assert not site.published("BLUE")
    site.site.control("/variants/RED/edit", {"count_on_hand": 1})
    site.look_after()
    assert site.published("RED")
    assert site.closings()[-1] == ("RED", OperationKind.OPEN, OperationState.APPLIED)
    # The mark is gone from both: what a person takes off sale now stays off.
    site.site.control(f"/adverts/{advert['id']}", {"published": False})
    site.look_after()
    site.site.control("/variants/BLUE/edit", {"count_on_hand": 1})
    site.look_after()
    assert not site.published("BLUE")


def test_what_a_person_took_off_sale_stays_off_whichever_variant_comes_back(store: Store, stack: ExitStack) -> None:
    site = Site(store, stack)
    variants = [{"external_id": name, "records": [{"count_on_hand": 2}]} for name in ("RED", "BLUE")]
    [advert] = site.site.control("/adverts", {"adverts": [{"variants": variants}]})["adverts"]
    site.look_after()
    site.site.control(f"/adverts/{advert['id']}", {"published": False})
    for count in (0, 1):
        for name in ("RED", "BLUE"):
            site.site.control(f"/variants/{name}/edit", {"count_on_hand": count})
            site.look_after()
    assert not site.published("RED")
