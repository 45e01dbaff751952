"""A console on a small world in which something of everything has happened, and somebody to look at it."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from itertools import cycle
from typing import Self

import httpx
from argon2 import PasswordHasher
from sqlalchemy import update

from config.alerts import AlertSettings
from connectors.contract import ListingState
from tests.world import CHANNEL, World
from worker.console import create_console
from worker.intake.inbox import Incoming
from worker.operators import Actor, Via
from worker.operators.passwords import Passwords
from worker.store.tables import ListingRow, Role
from worker.web import WebServer

TOLD = AlertSettings.model_validate(
    {
        "destinations": {
            "on-call": {"url": "json://127.0.0.1:9/", "severities": ["critical"]},
            "office": {"url": "json://127.0.0.1:9/", "quiet_hours": "22:00-07:00", "digest_at": "08:00"},
            "machine": {
                "webhook": "http://127.0.0.1:9/",
                "webhook_secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
                "except_kinds": ["clock-skew"],
            },
        }
    }
)
"""Destinations of alerts, for worlds that have some. Nobody listens there."""
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"
SOMEBODY = Actor("ada", Via.COMMAND)


class Console:
    """The console of a world, listening."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.browsers: list[Browser] = []
        # Nobody guesses here: a sign-in need not cost what it costs elsewhere.
        world.services.operators._passwords = world.services.sessions._passwords = Passwords(CHEAP)
        for name, role in (("ada", Role.OPERATOR), ("grace", Role.VIEWER)):
            world.services.operators.add(name, PASSWORD, role, by=SOMEBODY)
        self._server = WebServer(create_console(world.services, None), "127.0.0.1", 0)
        self.url = self._server.start()

    def close(self) -> None:
        for browser in self.browsers:
            browser.client.close()
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Browser:
    """What a browser does with pages and forms, without one."""

    def __init__(self, console: Console, **headers: str) -> None:
        self.client = httpx.Client(base_url=console.url, timeout=30, trust_env=False, headers=headers)
        console.browsers.append(self)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def token(self, path: str) -> str:
        """The token of the forms on a page."""
        found = re.search(r'name="token" value="([0-9a-f]+)"', self.get(path).text)
        assert found is not None, f"there is no form on {path}"
        return found[1]

    def send(self, path: str, *, page: str, **fields: str) -> httpx.Response:
        """Send a form that stands on `page`."""
        return self.client.post(path, data={"token": self.token(page), **fields})

    def sign_in(self, name: str = "ada", password: str = PASSWORD, **fields: str) -> httpx.Response:
        return self.send("/sign-in", page="/sign-in", name=name, password=password, **fields)


def known_as(world: World, listing_id: str, title: str, sku: str | None = None) -> None:
    """What the marketplace calls a listing, until the next sweep."""
    with world.store.write() as transaction:
        transaction.execute(update(ListingRow).where(ListingRow.listing_id == listing_id).values(title=title, sku=sku))


def tell_a_story(world: World) -> None:
    """A day at a small shop: sold, bought, edited, returned, oversold, lost, below zero, without a link."""
    market = world.marketplace
    waits = cycle((2.1, 0.9, 1.4, 7.2))
    for listing_id, total in (("mug", 14), ("lamp", 2), ("chair", 6), ("vase", 1), ("teapot", 4)):
        world.listing(listing_id, total)
    for sku in ("mug", "lamp", "chair"):
        world.link(f"{sku.upper()}-1", sku)
    world.link("MUG-SIX", "mug", 6)

    def quiet(minutes: float) -> None:
        # As long as it takes somewhere else than in a test.
        world.pass_time(next(waits))
        world.follow()
        world.reconcile()
        world.upkeep()
        world.pass_time(minutes * 60)

    quiet(20)
    world.sell("1001", {"MUG-1": 2})
    quiet(35)
    market.buy("mug", 1)
    quiet(25)
    abandoned = market.buy("mug", 3)
    quiet(16)
    market.abandon(abandoned)
    quiet(20)
    world.sell("1002", {"MUG-SIX": 1, "CHAIR-1": 1})
    quiet(30)
    market.edit("mug", 8)
    quiet(40)

    def slip_in(listing_id: str) -> None:
        """Somebody buys in the very moment of our write: it is refused, and made again."""
        market.before_adjust = None
        market.buy(listing_id, 1)

    market.before_adjust = slip_in
    world.sell("1003", {"MUG-1": 3})
    quiet(30)
    world.deliver(world.channel.put("1001", {"MUG-1": 1}))
    quiet(15)
    world.sell("1004", {"LAMP-1": 2})
    world.sell("1005", {"LAMP-1": 3})
    quiet(10)
    world.sell("1006", {"TEAPOT-1": 1})
    garbled = b'{"order": "1008", "lines": '
    said = ("delivery-8", hashlib.sha256(garbled).hexdigest(), "orders", garbled)
    world.services.inbox.put([Incoming(CHANNEL, *said, True, world.clock.now(), "corr-8")])
    world.sell("0999", {"MUG-1": 1}, placed_at=world.clock.now() - timedelta(days=400))
    quiet(5)
    # Units given back are sold again, and then the giving back is undone.
    held = market.buy("vase", 1)
    market.abandon(held)
    quiet(5)
    market.buy("vase", 1)
    market.edit("vase", -1)
    quiet(5)
    market.set_state("chair", ListingState.CLOSED)
    world.follow()
    market.fail("adjust", "lost_after")
    market.feed_hidden = True
    world.sell("1007", {"CHAIR-1": 2})
    world.reconcile()
    for _ in range(12):
        world.pass_time(60)
        world.reconcile()
    known_as(world, "teapot", "Teapot, brown", "POT-BROWN")
    world.services.verdicts.note(stock_is_true=False)
    outcomes = (None, "it answered 503", None)
    for destination, outcome in zip(world.services.alerts.destinations(), outcomes, strict=False):
        with world.store.write() as transaction:
            world.services.alerts.note_test_in(transaction, destination.name, outcome)
    world.pass_time(9 * 60)
