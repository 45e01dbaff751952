"""A standard channel's sales into the store: signed messages through the real receiver, and what else brings them."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
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
from connectors.standard import StandardChannel, StandardSettings
from connectors.standard.sandbox import Options, create_app
from tests.conformance.standard_sandbox.api import Api
from worker.doorbell import Doorbell
from worker.services import Services
from worker.store import Store
from worker.store.tables import Anomaly, AnomalyState, Delivery, DeliveryState, OrderLineRow, OrderRow, OrderState
from worker.web import WebServer
from worker.web import create_app as create_receiver

CHANNEL = "till"


class Bell(Doorbell):
    """Nobody listens: the test itself does what is due."""

    def __init__(self) -> None:
        pass

    def ring(self, task: str) -> None:
        pass


class Site:
    """A shop, and a deployment that takes its sales; both by one clock."""

    def __init__(self, store: Store, stack: ExitStack, *, seed: int = 0, **changes: Any) -> None:
        self.store, self.clock = store, VirtualClock(datetime.now().astimezone())
        chosen = Options(seed=seed, retry_seconds=(2, 5))
        url = stack.enter_context(serve(create_app(chosen, self.clock)))
        self.shop = Api(stack.enter_context(httpx.Client(base_url=url, timeout=20)), chosen)
        if changes.pop("asked", False):
            changes |= {"orders_url": f"{url}/orders", "orders_token": chosen.token, "page_size": 7}
        self.services = Services(_settings(chosen, changes), clock=self.clock, store=store)
        self.services.register_channels()
        stack.callback(self._close)
        server = WebServer(create_receiver(self.services, Bell(), most_waiting=2000), "127.0.0.1", 0)
        self.hook = f"{server.start()}/hooks/{CHANNEL}"
        stack.callback(server.stop)

    @property
    def channel(self) -> StandardChannel:
        channel = self.services.channels[CHANNEL]
        assert isinstance(channel, StandardChannel)
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
        return {line["id"]: line["committed"] for order in orders for line in order["lines"] if line["committed"]}

    def deliveries(self) -> list[Any]:
        with self.store.read() as transaction:
            return list(transaction.execute(select(Delivery.topic, Delivery.state, Delivery.outcome, Delivery.kept)))

    def states(self) -> dict[str, OrderState]:
        with self.store.read() as transaction:
            return {row.order_id: row.state for row in transaction.execute(select(OrderRow.order_id, OrderRow.state))}

    def anomalies(self) -> list[str]:
        open_ones = select(Anomaly.kind).where(Anomaly.state != AnomalyState.RESOLVED)
        with self.store.read() as transaction:
            return sorted(kind for kind in transaction.scalars(open_ones) if kind != "unlinked-sku")

    def _close(self) -> None:
        getattr(self.channel, "close", lambda: None)()
        assert isinstance(self.services.marketplace, SharetribeMarketplace)
        self.services.marketplace.disconnect()
        self.services.executor.shutdown()


def _settings(options: Options, changes: dict[str, Any]) -> Settings:
    return Settings(
        broker=BrokerSettings(url=SecretUrl("memory://")),
        marketplace=MarketplaceSettings(
            connector="sharetribe",
            options=SharetribeMarketplaceSettings(client_id="trueup", client_secret=SecretStr("unused")),
        ),
        channels={
            CHANNEL: ChannelSettings(
                name=CHANNEL,
                connector="standard",
                any_seller=True,
                options=StandardSettings.model_validate({"webhook_secrets": [options.secret], **changes}),
            )
        },
        web=WebSettings(port=0),
    )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def live(site: Site, luck: random.Random, orders: list[Any], *, deletions: bool) -> None:
    """One thing that happens at the shop."""
    shop = site.shop
    what = luck.randrange(10)
    if what < 4 or not orders:
        lines = [{"sku": luck.choice("ABC"), "quantity": luck.randint(2, 6)} for _ in range(luck.randint(1, 3))]
        orders.append(shop.place(*lines))
        return
    order = luck.choice(orders)
    path = f"/_control/orders/{order['id']}"
    part = {"lines": [{"line_id": order["lines"][0], "quantity": 1}]}
    match what:
        case 4 | 5:
            assert shop.http.post(f"{path}/cancel", json=part).status_code in {200, 409}
        case 6:
            assert shop.http.post(f"{path}/restock", json=part).status_code in {200, 409}
        case 7:
            shop.control(f"orders/{order['id']}/edit", {"add": [{"sku": "NEW", "quantity": 2}]})
        case 8:
            shop.change("cancel", order)
        case _ if deletions:
            orders.remove(order)
            shop.delete(order)
        case _:
            shop.control(f"orders/{order['id']}/touch")


FAULTS = {"duplicate_rate": 0.2, "repeat_rate": 0.2, "reorder_rate": 0.3, "forge_rate": 0.2, "tamper_rate": 0.2}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ordered_by", ["version", "updated_at"])
def test_p6_every_unit_arrives_whatever_becomes_of_the_messages(
    store: Store, stack: ExitStack, seed: int, ordered_by: str
) -> None:
    site = Site(store, stack, seed=seed, asked=True, ordered_by=ordered_by)
    luck, orders = random.Random(seed), list[Any]()
    site.shop.register(site.hook)
    site.shop.control("delivery_faults", {**FAULTS, "drop_rate": 0.2, "stale_rate": 0.2})
    for _ in range(60):
        live(site, luck, orders, deletions=True)
        site.clock.advance(luck.choice([0.001, 0.5, 2]))
        if luck.random() < 0.3:
            site.take_in()
        if luck.random() < 0.1:
            site.poll()
    site.clock.advance(10)
    site.shop.until_quiet()
    site.poll()
    # A deletion is never told; the late looks find it.
    for days in (2, 6, 24):
        site.clock.advance(days * 86_400)
        while site.services.fetcher.look_again():
            site.take_in()
    assert site.held() == site.truth()
    assert site.truth()
    assert not any(b"Lovelace" in (row.kept or b"") or b"Bob" in (row.kept or b"") for row in site.deliveries())
    assert {row.state for row in site.deliveries()} == {DeliveryState.HANDLED}
    assert site.anomalies() == []


@pytest.mark.parametrize("seed", range(3))
def test_p6_messages_alone_bring_every_unit_unless_the_shop_gives_one_up(
    store: Store, stack: ExitStack, seed: int
) -> None:
    site = Site(store, stack, seed=seed)
    luck, orders = random.Random(seed), list[Any]()
    site.shop.register(site.hook)
    site.shop.control("delivery_faults", FAULTS)
    for _ in range(60):
        live(site, luck, orders, deletions=False)
        site.clock.advance(luck.choice([0, 0.5, 2]))
        if luck.random() < 0.3:
            site.take_in()
    site.clock.advance(10)
    site.shop.until_quiet()
    site.take_in()
    site.clock.advance(31 * 86_400)
    while site.services.fetcher.look_again():
        site.take_in()
    assert site.held() == site.truth()
    assert site.truth()
    status = site.services.overview.now()
    assert (status.orders_to_fetch, status.orders_parked, status.deliveries_parked) == (0, 0, 0)
    assert [reading.name for reading in status.readings] == ["feed"]
    assert site.anomalies() == []


def test_a_version_that_is_given_twice_is_told_and_mended_by_a_higher_one(store: Store, stack: ExitStack) -> None:
    site = Site(store, stack)
    site.shop.register(site.hook)
    order = site.shop.place({"sku": "A", "quantity": 3})
    site.shop.until_quiet()
    site.take_in()
    (told,) = [json.loads(row.kept) for row in site.deliveries()]
    told["data"]["lines"][0]["quantity"] = 9
    assert site.shop.control("webhooks", {"body": told})["answers"][0]["status"] == 200
    site.take_in()
    assert (list(site.held().values()), site.anomalies()) == ([3], ["parked-order"])
    site.shop.change("restock", order, (0, 1))
    site.shop.until_quiet()
    site.take_in()
    assert (list(site.held().values()), site.anomalies()) == ([2], [])


def test_what_cannot_be_read_is_parked_and_replayed(store: Store, stack: ExitStack) -> None:
    site = Site(store, stack)
    site.shop.register(site.hook)
    body = {"type": "order.upserted", "data": {"order_id": "S-1", "lines": []}}
    assert site.shop.control("webhooks", {"body": body})["answers"][0]["status"] == 200
    assert site.shop.control("webhooks", {"body": body, "signed": False})["answers"][0]["status"] == 401
    site.take_in()
    (row,) = site.deliveries()
    assert (row.state, "placed_at" in row.outcome, site.anomalies()) == (
        DeliveryState.PARKED,
        True,
        ["parked-delivery"],
    )


# Files ------------------------------------------------------------------------------------------------------------

HEADER = "order_id,version,placed_at,sku,quantity\n"


class Till(Site):
    """A deployment that watches a directory."""

    def __init__(self, store: Store, stack: ExitStack, folder: Path) -> None:
        super().__init__(store, stack, orders_directory=folder, page_size=2)
        self.folder = folder

    def export(self, name: str, *rows: str) -> None:
        path = self.folder / name
        path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
        moment = (self.clock.now() - timedelta(seconds=60)).timestamp()
        os.utime(path, (moment, moment))

    def sale(self, order_id: str, quantity: Any, version: int = 1) -> str:
        return f"{order_id},{version},{self.clock.now().isoformat()},{order_id},{quantity}"


@pytest.fixture
def till(store: Store, stack: ExitStack, tmp_path: Path) -> Till:
    return Till(store, stack, tmp_path)


def test_files_that_arrive_are_taken_in_once(till: Till) -> None:
    till.export("monday.csv", *(till.sale(f"S-{number}", number + 1) for number in range(5)))
    till.poll()
    assert till.held() == {f"S-{number}": number + 1 for number in range(5)}
    till.poll()
    till.export("tuesday.csv", till.sale("S-0", 1, version=2), till.sale("S-9", 4), till.sale("S-1", 7, version=0))
    till.poll()
    assert till.held() == {"S-0": 1, "S-1": 2, "S-2": 3, "S-3": 4, "S-4": 5, "S-9": 4}
    assert till.anomalies() == []
    assert not till.services.overview.now().readings[1].late


def test_what_is_wrong_in_a_file_is_parked_until_it_is_right(till: Till) -> None:
    good = till.sale("S-1", 3)
    till.export("monday.csv", good, till.sale("S-2", "two"), till.sale("S-3", 1))
    till.export("notes.csv")
    (till.folder / "notes.csv").write_text("buy milk\n")
    os.utime(till.folder / "notes.csv", (0, 0))
    till.poll()
    assert till.held() == {"S-1": 3, "S-3": 1}
    assert till.states() == {
        "S-1": OrderState.OPEN,
        "S-2": OrderState.PARKED,
        "S-3": OrderState.OPEN,
        "file notes.csv": OrderState.PARKED,
    }
    assert till.anomalies() == ["parked-order", "parked-order"]
    till.export("monday.csv", good, till.sale("S-2", 2), till.sale("S-3", 1))
    till.export("notes.csv")
    till.poll()
    assert till.held() == {"S-1": 3, "S-2": 2, "S-3": 1}
    assert till.states()["file notes.csv"] is OrderState.EXCLUDED
    assert till.anomalies() == []


def test_a_file_that_is_gone_for_good_may_be_accepted_as_that(till: Till) -> None:
    (till.folder / "notes.csv").write_text("buy milk\n")
    os.utime(till.folder / "notes.csv", (0, 0))
    till.poll()
    (till.folder / "notes.csv").unlink()
    assert till.services.fetcher.accept(CHANNEL, "file notes.csv", "ann")
    till.poll()
    assert (till.anomalies(), till.services.overview.now().orders_parked) == ([], 0)


def test_a_directory_that_is_not_there_is_an_anomaly_that_resolves_itself(till: Till) -> None:
    away = till.folder.with_name("away")
    till.folder.rename(away)
    with pytest.raises(Exception, match="No such file"):
        till.poll()
    assert till.anomalies() == ["unusable-answer"]
    away.rename(till.folder)
    till.export("monday.csv", till.sale("S-1", 3))
    till.poll()
    assert (till.held(), till.anomalies()) == ({"S-1": 3}, [])
