"""Three hundred channels in one configuration: no storm, no question to the database for each of them, and an answer
that a person can read; and pausing one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, select

from config.settings import ChannelSettings, MarketplaceSettings, PolicySettings, Settings
from connectors.contract import Check, OrderPage
from connectors.errors import Unavailable
from connectors.sandbox.clock import VirtualClock
from tests.doubles import ModelMarketplace
from tests.hostile import HostileChannel, raising
from tests.world import CHANNEL, InTurn, NoOptions, World
from worker.cli.look import _show_examined, _show_status
from worker.holds.service import AS_CONFIGURED
from worker.operators import Actor, Via
from worker.services import Services
from worker.status.channels import Channels, ChannelView, Condition
from worker.status.doctor import Doctor
from worker.store import Store
from worker.store.tables import HoldReason, HoldScope, Tick
from worker.tasks import Tasks

NAMES = [f"shop-{number:03}" for number in range(300)]
ANN = Actor("ann", Via.CONSOLE)


class Timed(HostileChannel):
    """A quiet channel that remembers when it was polled."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self.polled: list[float] = []
        self.tricks["orders"] = self._poll

    def _poll(self) -> OrderPage:
        self.polled.append(self._clock.monotonic())
        return OrderPage([], "1", more=False)


class Many:
    """Three hundred channels, and the rooms of one process."""

    def __init__(self, store: Store, *, confirm: bool = False, paused: frozenset[str] = frozenset()) -> None:
        self.clock = VirtualClock()
        self.channels = {name: Timed(self.clock) for name in NAMES}
        self.store = store
        self.services = self.rooms(confirm=confirm, paused=paused)
        self.tasks = Tasks(self.services, self)  # type: ignore[arg-type]

    def rooms(self, *, confirm: bool = False, paused: frozenset[str] = frozenset()) -> Services:
        return Services(
            Settings(
                marketplace=MarketplaceSettings(connector="sharetribe", options=NoOptions()),
                channels={
                    name: ChannelSettings(
                        name=name, connector="shopify", any_seller=True, paused=name in paused, options=NoOptions()
                    )
                    for name in NAMES
                },
                policy=PolicySettings(confirm_new_channels=confirm),
            ),
            clock=self.clock,
            store=self.store,
            executor=InTurn(),
            randomness=Random(7),
            marketplace=ModelMarketplace(self.clock),
            channels=self.channels,
        )

    def ring(self, task: str) -> None: ...

    def look(self) -> Mapping[str, ChannelView]:
        services = self.services
        found = Channels(
            self.store,
            self.clock,
            services.holds,
            services.breakers,
            services.settings.channels,
            services.poll_seconds,
        )
        return {view.name: view for view in found.list()}


@contextmanager
def counted(store: Store) -> Iterator[Counter[str]]:
    """The statements that the database is sent."""
    sent: Counter[str] = Counter()

    def count(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent[statement] += 1

    event.listen(store.engine, "before_cursor_execute", count)
    try:
        yield sent
    finally:
        event.remove(store.engine, "before_cursor_execute", count)


def test_a_start_begins_twenty_polls_a_second_and_they_do_not_stay_together(store: Store) -> None:
    many = Many(store)
    many.services.register_channels()
    many.tasks.poll()
    first = sorted(channel.polled[0] for channel in many.channels.values())
    assert len(first) == 300
    assert all(second - moment >= 0.9 for moment, second in zip(first, first[20:], strict=False))
    with store.read() as transaction:
        ticks = transaction.execute(select(Tick.next_at, Tick.ran_at).where(Tick.name.like("poll:%"))).all()
    gaps = [(tick.next_at - tick.ran_at).total_seconds() for tick in ticks if tick.ran_at is not None]
    assert len(gaps) == 300
    assert min(gaps) >= 270
    assert max(gaps) <= 300
    assert len({round(gap) for gap in gaps}) > 20


def test_nothing_that_looks_at_all_channels_asks_for_each(store: Store) -> None:
    many = Many(store, confirm=True)
    many.services.register_channels()
    many.tasks.poll()
    services = many.services
    with counted(store) as sent:
        many.rooms().register_channels()
    assert sent.total() < 12
    with counted(store) as sent:
        services.overview.now()
    assert sent.total() < 30
    with counted(store) as sent:
        many.look()
    assert sent.total() < 8
    with counted(store) as sent:
        list(Doctor(services).examine())
    assert sent.total() < 40
    many.clock.advance(60)
    with counted(store) as sent:
        many.tasks.poll()
    assert sent.total() < 12, "when nothing is due"


def test_what_is_told_of_three_hundred_channels_can_be_read(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    many = Many(store, confirm=True)
    many.services.register_channels()
    capsys.readouterr()
    _show_status(many.services.overview.now())
    said = capsys.readouterr().out
    assert "not read lately: feed, shop-000, shop-001, shop-002, shop-003 and 296 more" in said
    assert "300 shadow" in said
    assert len(said.splitlines()) < 100
    for name in NAMES[:250]:
        many.channels[name].tricks["check"] = lambda: [Check("access", False, "refused", "renew the credentials")]
    found = list(Doctor(many.services).examine())
    capsys.readouterr()
    _show_examined(found)
    said = capsys.readouterr().out
    assert "of 250 something failed" in said
    assert "245 more that fail like these" in said
    assert len(said.splitlines()) < 40


def test_how_each_channel_is(store: Store) -> None:
    many = Many(store, paused=frozenset({"shop-001"}))
    many.services.register_channels()
    services = many.services
    many.channels["shop-002"].tricks["orders"] = raising(Unavailable("no answer"))
    for _ in range(4):
        many.tasks.poll()
        many.clock.advance(10)
    services.desk.pause(HoldScope.CHANNEL, "shop-003", by=ANN, reason="moving")
    found = many.look()
    assert found["shop-000"].condition is Condition.FINE
    assert (found["shop-001"].condition, found["shop-001"].why) == (Condition.PAUSED, AS_CONFIGURED)
    assert found["shop-002"].condition is Condition.NOT_ANSWERING
    assert (found["shop-003"].condition, found["shop-003"].why) == (Condition.PAUSED, "moving (paused by ann)")
    assert services.overview.now().not_answering == ["shop-002"]
    many.clock.advance(10_000)
    assert many.look()["shop-000"].condition is Condition.LATE


def test_a_pause_of_a_person_outlasts_restarts_and_that_of_the_configuration_ends_with_it(store: Store) -> None:
    many = Many(store, paused=frozenset({"shop-001", "shop-002"}))
    many.services.register_channels()
    many.services.desk.pause(HoldScope.CHANNEL, "shop-003", by=ANN, reason="moving")

    def paused() -> set[str]:
        return {hold.subject for hold in many.services.holds.list() if hold.reason is HoldReason.PAUSED}

    assert paused() == {"shop-001", "shop-002", "shop-003"}
    many.rooms(paused=frozenset({"shop-002", "shop-003"})).register_channels()
    assert paused() == {"shop-002", "shop-003"}
    many.rooms().register_channels()
    assert paused() == {"shop-003"}
    assert many.services.desk.lift(HoldScope.CHANNEL, "shop-003", by=ANN, only=HoldReason.PAUSED) == 1
    assert many.services.desk.lift(HoldScope.CHANNEL, "shop-003", by=ANN, only=HoldReason.PAUSED) == 0
    assert paused() == set()


def test_what_a_paused_channel_sells_waits_and_counts_when_it_is_resumed_in_every_process(world: World) -> None:
    world.listing(total=10)
    world.link()
    another = world.rooms(world.store)
    world.services.desk.pause(HoldScope.CHANNEL, CHANNEL, by=ANN, reason="moving")
    order = world.channel.put("1", {"A": 3})
    world.deliver(order)
    world.channel.put("2", {"A": 1})
    world.poll()
    for rooms in (world.services, another):
        while rooms.reconciler.drain():
            pass
    assert world.total() == 10
    assert [pair[1] for pair in world.pairs()] == [3, 1]
    another.desk.lift(HoldScope.CHANNEL, CHANNEL, by=ANN, only=HoldReason.PAUSED)
    world.reconcile()
    assert world.total() == 6
    world.assert_p1()
