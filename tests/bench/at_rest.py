"""How many calls a quiet marketplace costs, and how many one sale costs: counted, in virtual time.

    python -m tests.bench.at_rest

The real connectors speak to the real sandboxes over HTTP; the schedule's own rings are followed, but an hour of them
passes at once.
"""

from __future__ import annotations

import heapq
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

import httpx
from pydantic import SecretStr

from config import logging
from config.settings import (
    ChannelSettings,
    DatabaseSettings,
    LogSettings,
    MarketplaceSettings,
    PolicySettings,
    SecretUrl,
    Settings,
)
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.sharetribe import sandbox as sharetribe_sandbox
from connectors.sharetribe.settings import SharetribeMarketplaceSettings
from connectors.shopify import sandbox as shopify_sandbox
from connectors.shopify.settings import ShopifySettings
from worker import schedule
from worker.links import Links
from worker.services import Services
from worker.store.migrate import upgrade
from worker.tasks import Tasks

CHANNEL = "shop"
LISTINGS = 1000
OPENING_UNITS = 50
POLLS = 12
HOUR_SECONDS = 3600.0
FEED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Calls:
    """Requests that arrived at each vendor."""

    marketplace: int
    channel: int

    def __sub__(self, earlier: Calls) -> Calls:
        return Calls(self.marketplace - earlier.marketplace, self.channel - earlier.channel)


@dataclass(frozen=True, slots=True)
class Counted:
    """What this benchmark finds."""

    calls_per_sale: int
    """Calls to the marketplace for one isolated sale whose listing's stock the feed had shown."""
    marketplace_calls_per_minute: float
    channel_calls_per_minute: float
    """At rest, as a mean over an hour with one full sweep in it."""


class Deployment:
    """Two vendors and one worker, on one clock that moves only when told."""

    def __init__(self, services: Services, clock: VirtualClock, marketplace: httpx.Client, shop: httpx.Client) -> None:
        self.services = services
        self.clock = clock
        self.marketplace = marketplace
        self.shop = shop
        self._rung: dict[str, None] = {}
        self._tasks = Tasks(services, self)  # type: ignore[arg-type]
        self._runs = {
            schedule.INTAKE: self._tasks.intake,
            schedule.POLL: self._tasks.poll,
            schedule.RECONCILE: self._tasks.reconcile,
            schedule.FEED: self._tasks.feed,
            schedule.UPKEEP: self._tasks.upkeep,
            schedule.SWEEP: self._tasks.sweep,
            schedule.HOUSEKEEPING: self._tasks.housekeeping,
            schedule.ALERTS: self._tasks.alerts,
            schedule.AUDIT: self._tasks.audit,
        }

    def ring(self, task: str) -> None:
        """As the doorbell: several rings within a moment are one."""
        self._rung[task] = None

    def calls(self) -> Calls:
        """So far, as the vendors count them."""
        at_shop = self.shop.get("/_control/counts").json()["calls"]
        return Calls(
            sum(self.marketplace.get("/_control/counts").json()["calls"].values()),
            sum(number for name, number in at_shop.items() if name.startswith(("graphql/", "access_token"))),
        )

    def pass_time(self, seconds: float) -> None:
        """Follow the schedule for that long."""
        end = self.clock.monotonic() + seconds
        order = count()
        rings = [
            (self.clock.monotonic() + ring.every_seconds, next(order), ring)
            for ring in schedule.rings(self.services.settings)
        ]
        heapq.heapify(rings)
        while rings[0][0] <= end:
            due, _, ring = heapq.heappop(rings)
            self.clock.advance(max(0.0, due - self.clock.monotonic()))
            self._run(ring.task)
            heapq.heappush(rings, (due + ring.every_seconds, next(order), ring))

    def sell_one(self) -> Calls:
        """One order of one unit, found by a poll and reconciled; returns what that alone cost."""
        self.shop.post(
            "/_control/orders", json={"orders": [{"lines": [{"sku": "SKU-1", "quantity": 1}]}]}
        ).raise_for_status()
        self.services.feed.follow()
        before = self.calls()
        for _ in range(POLLS):
            # The shop's index shows the order some seconds late.
            self.clock.advance(10)
            self.services.poller.poll(CHANNEL)
            if self.services.reconciler.drain():
                break
        else:
            raise RuntimeError("the sale was never found")
        while self.services.reconciler.drain():
            pass
        return self.calls() - before

    def _run(self, task: str) -> None:
        self._rung[task] = None
        while self._rung:
            rung = next(iter(self._rung))
            del self._rung[rung]
            self._runs[rung]()


@contextmanager
def deployment() -> Iterator[Deployment]:
    """A marketplace with a thousand listings, each linked, at rest."""
    clock = VirtualClock()
    market_options = sharetribe_sandbox.Options()
    shop_options = shopify_sandbox.Options()
    with (
        tempfile.TemporaryDirectory(prefix="trueup-bench-") as folder,
        serve(sharetribe_sandbox.create_app(market_options, clock)) as market_url,
        serve(shopify_sandbox.create_app(shop_options, clock)) as shop_url,
        httpx.Client(base_url=market_url, trust_env=False) as marketplace,
        httpx.Client(base_url=shop_url, trust_env=False) as shop,
    ):
        listings = [{"title": f"Article {number}", "stock": OPENING_UNITS} for number in range(LISTINGS)]
        made = marketplace.post("/_control/listings", json={"listings": listings, "events": False}).json()["listings"]
        settings = Settings(
            database=DatabaseSettings(url=SecretUrl(f"sqlite:///{Path(folder) / 'trueup.db'}")),
            marketplace=MarketplaceSettings(
                connector="sharetribe",
                options=SharetribeMarketplaceSettings(
                    base_url=market_url, client_id=market_options.client_id, client_secret=market_options.client_secret
                ),
            ),
            channels={
                CHANNEL: ChannelSettings(
                    name=CHANNEL,
                    connector="shopify",
                    any_seller=True,
                    counted_from=clock.now() - timedelta(minutes=1),
                    options=ShopifySettings(
                        shop=shop_options.shop_domain,
                        base_url=shop_url,
                        access_token=SecretStr(shop_options.access_token.get_secret_value()),
                    ),
                )
            },
            policy=PolicySettings(confirm_new_channels=False),
        )
        with closing(Services(settings, clock=clock)) as services:
            upgrade(services.store)
            services.register_channels()
            services.sweeper.sweep()
            rows = [f"{CHANNEL},SKU-{number},{listing['id']},1" for number, listing in enumerate(made)]
            Links(services.store, clock, services.anomalies).import_csv(
                "\n".join(["channel,sku,listing_id,units", *rows])
            )
            yield Deployment(services, clock, marketplace, shop)


def measure() -> Counted:
    """Count both."""
    with deployment() as world:
        assert world.services.settings.schedule.feed_seconds == FEED_SECONDS
        # The first minutes hold what happens once after a start; the sweep is let run in the hour that counts.
        world.services.feed.follow()
        before = world.calls()
        world.pass_time(HOUR_SECONDS)
        passed = world.calls() - before
        sale = world.sell_one()
    minutes = HOUR_SECONDS / 60
    return Counted(sale.marketplace, passed.marketplace / minutes, passed.channel / minutes)


def main() -> None:
    """Print the counts."""
    logging.configure(LogSettings(level="error"))
    counted = measure()
    sys.stdout.write(
        f"marketplace calls for one isolated sale: {counted.calls_per_sale}\n"
        f"calls per minute at rest, {LISTINGS:,} listings: {counted.marketplace_calls_per_minute:.2f} to the"
        f" marketplace, {counted.channel_calls_per_minute:.2f} to the channel\n"
    )


if __name__ == "__main__":
    main()
