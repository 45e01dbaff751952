"""A small world for tests of the rules: real rooms on a real database, a marketplace and a channel by hand, time that
moves only when told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta
from random import Random
from typing import Any

from pydantic import BaseModel
from sqlalchemy import func, select

from config.alerts import AlertSettings
from config.settings import ChannelSettings, MarketplaceSettings, PolicySettings, Settings, WebSettings
from connectors.contract import Channel, Order
from connectors.sandbox.clock import VirtualClock
from tests.doubles import ModelMarketplace, ScriptedChannel, webhook_body
from worker.intake import repository as orders
from worker.intake.inbox import Incoming
from worker.links.service import Links
from worker.services import Services
from worker.store import Store
from worker.store.bulk import insert_rows
from worker.store.tables import (
    Anomaly,
    AnomalyState,
    Hold,
    JournalEntry,
    JournalKind,
    Link,
    ListingRow,
    Operation,
    OrderLineRow,
    Pair,
)

CHANNEL = "shop"


class NoOptions(BaseModel):
    """The doubles need no settings."""


class InTurn(Executor):
    """Runs what is submitted at once, in the caller's thread."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  as an executor does
            future.set_exception(error)
        return future


class World:
    """The rooms, the two ends, and shorthand for both."""

    def __init__(
        self,
        store: Store,
        *,
        policy: PolicySettings | None = None,
        alerts: AlertSettings | None = None,
        web: WebSettings | None = None,
        marketplace: Callable[[VirtualClock], ModelMarketplace] = ModelMarketplace,
        offered: Callable[[ScriptedChannel], Channel] = lambda channel: channel,
    ) -> None:
        """`offered` is what the rooms see of the channel."""
        self.clock = VirtualClock()
        self.marketplace = marketplace(self.clock)
        self.channel = ScriptedChannel(self.clock)
        self._offered = offered(self.channel)
        self._settings = Settings(
            marketplace=MarketplaceSettings(connector="sharetribe", options=NoOptions()),
            channels={
                CHANNEL: ChannelSettings(name=CHANNEL, connector="shopify", any_seller=True, options=NoOptions())
            },
            policy=policy or PolicySettings(confirm_new_channels=False),
            alerts=alerts or AlertSettings(),
            web=web or WebSettings(),
        )
        self.start_again(store)

    def start_again(self, store: Store) -> None:
        """A new process on this database; the two ends are as they were."""
        self.store = store
        self.services = self.rooms(store)
        self.services.register_channels()

    def rooms(self, store: Store) -> Services:
        """The rooms of one process."""
        return Services(
            self._settings,
            clock=self.clock,
            store=store,
            executor=InTurn(),
            randomness=Random(7),
            marketplace=self.marketplace,
            channels={CHANNEL: self._offered},
        )

    def listing(self, listing_id: str = "L", total: int | None = 10, **more: Any) -> str:
        """A listing on the marketplace that trueup has met; its feed is at the head."""
        self.marketplace.add(listing_id, total, **more)
        self.services.feed.follow()
        self.services.keeper.drain()
        self.services.sweeper.sweep()
        self.pass_time(1)
        return listing_id

    def link(
        self,
        sku: str = "A",
        listing_id: str = "L",
        units: int = 1,
        *,
        from_at: datetime | None = None,
        until_at: datetime | None = None,
    ) -> None:
        now = self.clock.now()
        with self.store.write() as transaction:
            insert_rows(
                transaction,
                Link,
                [
                    {
                        "channel": CHANNEL,
                        "sku": sku,
                        "listing_id": listing_id,
                        "units": units,
                        "from_at": from_at or now,
                        "until_at": until_at,
                        "created_at": now,
                    }
                ],
            )

    def link_by_import(
        self, sku: str = "A", listing_id: str = "L", units: int = 1, *, from_at: datetime | None = None
    ) -> None:
        """A link as people make one: lines that waited for it count."""
        start = (from_at or self.clock.now()).isoformat()
        table = f"channel,sku,listing_id,units,from\n{CHANNEL},{sku},{listing_id},{units},{start}\n"
        Links(self.store, self.clock, self.services.anomalies).import_csv(table)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def sell(self, order_id: str, lines: dict[str, int], **more: Any) -> Order:
        """The shop's order is now so, and a webhook tells."""
        order = self.channel.put(order_id, lines, **more)
        self.deliver(order)
        return order

    def deliver(
        self,
        order: Order,
        *,
        delivery_id: str | None = None,
        channel: str = CHANNEL,
        handle: bool = True,
        through: Services | None = None,
    ) -> None:
        """A webhook with this snapshot arrives, and is handled."""
        rooms = through or self.services
        body = webhook_body(order)
        digest = hashlib.sha256(body).hexdigest()
        now = self.clock.now()
        incoming = Incoming(channel, delivery_id or digest[:16], digest, "orders", body, False, now, "corr-1")
        rooms.inbox.put([incoming])
        while handle and rooms.inbox.drain():
            pass

    def poll(self) -> None:
        """Four seconds later, so that the present second is over, the channel is polled to its head."""
        self.pass_time(4)
        self.services.poller.poll(CHANNEL)
        self.fetch()

    def fetch(self) -> None:
        while self.services.fetcher.drain():
            pass

    def fetch_again(self, order_id: str) -> None:
        """Somebody asks for this order, and it is fetched."""
        with self.store.write() as transaction:
            orders.ask_for_fetch(transaction, CHANNEL, [order_id], self.clock.now())
        self.fetch()

    def reconcile(self) -> None:
        """Reconcile everything that is due now."""
        while self.services.reconciler.drain():
            pass

    def follow(self) -> None:
        self.services.feed.follow()

    def upkeep(self) -> None:
        while self.services.keeper.drain():
            pass

    def settle_down(self, *, seconds: float = 600, step: float = 5) -> None:
        """Let time pass, with every room looking in turn, until nothing moves for the whole of `seconds`."""
        for _ in range(int(seconds / step)):
            self.follow()
            self.reconcile()
            self.upkeep()
            self.pass_time(step)

    # --- looking ----------------------------------------------------------------------------------------------

    def total(self, listing_id: str = "L") -> int | None:
        return self.marketplace.total(listing_id)

    def rows(self, *columns: Any) -> Sequence[Any]:
        with self.store.read() as transaction:
            return transaction.execute(select(*columns)).all()

    def pairs(self) -> list[tuple[str, int, int, int]]:
        """(line, committed, applied, waived) of every pair."""
        with self.store.read() as transaction:
            rows = transaction.execute(
                select(OrderLineRow.line_id, Pair.committed, Pair.applied, Pair.waived)
                .join(OrderLineRow, OrderLineRow.id == Pair.line_row)
                .order_by(Pair.id)
            )
            return [(row.line_id, row.committed, row.applied, row.waived) for row in rows]

    def operations(self) -> list[tuple[str, int, int]]:
        """(state, expected, new) of every operation."""
        rows = self.rows(Operation.id, Operation.state, Operation.expected_total, Operation.new_total)
        return [(row.state.value, row.expected_total, row.new_total) for row in sorted(rows)]

    def waivers(self) -> list[tuple[str, str, int]]:
        """(listing, reason, units) of every journal entry about waived units."""
        rows = self.rows(JournalEntry.kind, JournalEntry.listing_id, JournalEntry.reason, JournalEntry.units)
        return sorted((row.listing_id, row.reason.value, row.units) for row in rows if row.kind is JournalKind.WAIVED)

    def anomalies(self, *, resolved: bool = False) -> list[str]:
        rows = self.rows(Anomaly.kind, Anomaly.state)
        return sorted(row.kind for row in rows if (row.state is AnomalyState.RESOLVED) is resolved)

    def holds(self) -> list[str]:
        return [row.reason.value for row in self.rows(Hold.reason, Hold.lifted_at) if row.lifted_at is None]

    def listing_row(self, listing_id: str = "L") -> Any:
        with self.store.read() as transaction:
            return transaction.execute(
                select(*ListingRow.__table__.columns).where(ListingRow.listing_id == listing_id)
            ).one()

    # --- what must always hold --------------------------------------------------------------------------------

    def assert_p1(self) -> None:
        """P1's sums, from the rows and from the marketplace's own model."""
        with self.store.read() as transaction:
            for listing_id in self.marketplace.states:
                applied = transaction.scalar(
                    select(func.coalesce(func.sum(Pair.applied), 0)).where(Pair.listing_id == listing_id)
                )
                assert applied == self.marketplace.own_net(listing_id), listing_id
            journalled = dict(
                transaction.execute(
                    select(JournalEntry.pair_id, func.sum(JournalEntry.units))
                    .where(JournalEntry.kind.in_((JournalKind.APPLIED, JournalKind.OFFSET)))
                    .group_by(JournalEntry.pair_id)
                ).all()
            )
            for row in transaction.execute(select(Pair.id, Pair.applied)):
                assert journalled.get(row.id, 0) == row.applied


MINUTE = timedelta(minutes=1)
