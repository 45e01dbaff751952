"""The tasks: what runs when, and that running twice, at once or never does no harm."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from connectors.contract import AccessEnded
from connectors.errors import CursorTooOld, StockMismatch, Unavailable
from tests.doubles import AbsoluteMarketplace
from tests.world import CHANNEL, World
from worker import schedule
from worker.store import Store
from worker.store.tables import Anomaly, HoldReason, HoldScope
from worker.tasks import Tasks, _quietly


class Rung:
    """Stands for the doorbell and the application: records what was rung."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, task: str) -> None:
        self.rung.append(task)


@pytest.fixture
def rung() -> Rung:
    return Rung()


@pytest.fixture
def tasks(world: World, rung: Rung) -> Tasks:
    return Tasks(world.services, rung)  # type: ignore[arg-type]


def test_after_a_start_the_feed_is_read_to_its_head_before_the_first_write(world: World, tasks: Tasks) -> None:
    world.listing(total=10)
    world.link()
    world.pass_time(100)
    world.services.started_at = world.clock.now()
    world.sell("1", {"A": 1})
    world.marketplace.calls.clear()
    tasks.reconcile()
    assert [call[0] for call in world.marketplace.calls] == ["changes", "adjust"]
    world.sell("2", {"A": 1})
    world.marketplace.calls.clear()
    tasks.reconcile()
    assert [call[0] for call in world.marketplace.calls] == ["adjust"]


def test_after_a_start_nothing_is_closed_before_the_feed_is_read(world: World, tasks: Tasks) -> None:
    """Stock came in and ran out again while we were down: the zero episode began anew."""
    world.listing(total=0)
    world.follow()
    world.pass_time(600)
    world.marketplace.edit("L", 5)
    world.pass_time(580)
    world.marketplace.edit("L", -5)
    world.pass_time(60)
    world.services.started_at = world.clock.now()
    tasks.upkeep()
    assert world.marketplace.count("close") == 0


def test_nothing_is_written_while_the_feed_cannot_be_read(world: World, tasks: Tasks) -> None:
    world.listing(total=10)
    world.link()
    world.pass_time(100)
    world.services.started_at = world.clock.now()
    world.sell("1", {"A": 1})
    world.marketplace.fail("changes", Unavailable("down"))
    _quietly(tasks.reconcile)()
    assert world.total() == 10
    _quietly(tasks.reconcile)()
    assert world.total() == 9


def test_two_beats_at_once_are_harmless(world: World, tasks: Tasks) -> None:
    world.listing(total=10)
    world.pass_time(100)
    world.marketplace.calls.clear()
    for _ in range(2):
        tasks.feed()
        tasks.sweep()
    assert sorted(call[0] for call in world.marketplace.calls) == ["changes", "changes", "listings"]
    world.pass_time(60)
    tasks.feed()
    tasks.feed()
    assert world.marketplace.count("changes") == 3


def polls(world: World) -> int:
    return [call[0] for call in world.channel.calls].count("orders")


def test_a_channel_is_polled_once_in_its_interval(world: World, tasks: Tasks) -> None:
    tasks.poll()
    tasks.poll()
    assert polls(world) == 1
    world.pass_time(269)
    tasks.poll()
    assert polls(world) == 1
    world.pass_time(31)
    tasks.poll()
    assert polls(world) == 2


def test_a_sale_goes_through_the_tasks_from_poll_to_write(world: World, tasks: Tasks, rung: Rung) -> None:
    world.listing(total=10)
    world.link()
    world.channel.put("1", {"A": 3})
    world.pass_time(4)
    tasks.poll()
    assert schedule.RECONCILE in rung.rung
    tasks.reconcile()
    assert world.total() == 7


def test_a_channel_that_refuses_our_credentials_is_neither_polled_nor_asked_for_orders(
    world: World, tasks: Tasks
) -> None:
    order = world.sell("1", {"A": 3})
    world.deliver(world.channel.put("1", {"A": 1}, revision=order.revision))
    world.services.holds.place(HoldReason.REAUTHORISATION, HoldScope.CHANNEL, CHANNEL, "revoked")
    tasks.poll()
    tasks.intake()
    assert world.services.fetcher.drain() == 0
    assert world.channel.calls == []


def test_a_webhook_that_says_our_access_ended_is_put_to_the_test_by_a_poll(world: World, tasks: Tasks) -> None:
    tasks.poll()
    world.channel.read = lambda topic, kept: [AccessEnded()]  # type: ignore[method-assign]
    world.deliver(world.channel.put("1", {"A": 1}))
    tasks.poll()
    assert polls(world) == 2


@pytest.mark.parametrize("hours", [1.1, 40])
def test_an_order_that_the_index_shows_late_is_found_within_the_hour_or_in_the_daily_pass(
    world: World, tasks: Tasks, hours: float
) -> None:
    """The hourly look reaches ten minutes behind the one before, the daily pass 48 hours."""
    world.listing(total=10)
    world.link()
    tasks.poll()
    world.channel.late_in_index.add("1")
    world.channel.put("1", {"A": 3})
    world.pass_time(hours * 3600)
    tasks.poll()
    tasks.intake()
    tasks.reconcile()
    assert world.total() == 7


def test_housekeeping_looks_again_at_orders_whose_deletion_nobody_told(world: World, tasks: Tasks) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    del world.channel.held["1"]
    world.pass_time(25 * 3600)
    tasks.housekeeping()
    tasks.intake()
    tasks.reconcile()
    assert world.total() == 10


def test_a_feed_begun_anew_is_followed_by_a_sweep_out_of_turn(world: World, tasks: Tasks) -> None:
    world.listing(total=10)
    tasks.sweep()
    world.marketplace.calls.clear()
    world.marketplace.fail("changes", CursorTooOld("90 days"))
    world.follow()
    tasks.sweep()
    assert world.marketplace.count("listings") == 1


def test_without_a_feed_a_sweep_comes_again_by_how_long_the_last_one_took(store: Store, rung: Rung) -> None:
    world = World(store, marketplace=AbsoluteMarketplace)
    tasks = Tasks(world.services, rung)  # type: ignore[arg-type]
    tasks.sweep()
    world.marketplace.calls.clear()
    world.pass_time(299)
    tasks.sweep()
    assert world.marketplace.count("listings") == 0
    world.pass_time(2)
    tasks.sweep()
    assert world.marketplace.count("listings") == 1


def test_a_backlog_of_many_pages_is_written_once_for_each_listing(world: World, tasks: Tasks) -> None:
    world.listing(total=100)
    world.link()
    for number in range(35):
        world.channel.put(str(number), {"A": 1})
        world.pass_time(1)
    world.pass_time(4)
    orders = world.channel.orders

    def orders_and_reconcile(cursor: str) -> Any:
        tasks.reconcile()
        return orders(cursor)

    world.channel.orders = orders_and_reconcile  # type: ignore[method-assign]
    tasks.poll()
    tasks.reconcile()
    assert world.total() == 65
    assert world.marketplace.count("adjust") == 1


class Died(SystemExit):
    """The process is gone: nobody cleans up."""


def only_the_first_page(world: World, then: BaseException) -> None:
    """A backlog of which a poll takes 10 orders in, and then meets this."""
    world.listing(total=100)
    world.link()
    for number in range(15):
        world.channel.put(str(number), {"A": 1})
        world.pass_time(1)
    world.pass_time(4)
    orders, asked = world.channel.orders, []

    def first_page_only(cursor: str) -> Any:
        asked.append(cursor)
        if len(asked) > 1:
            world.channel.orders = orders  # type: ignore[method-assign]
            raise then
        return orders(cursor)

    world.channel.orders = first_page_only  # type: ignore[method-assign]


def test_what_a_poll_put_off_is_written_when_the_poll_fails(world: World, tasks: Tasks) -> None:
    only_the_first_page(world, Unavailable("down"))
    tasks.poll()
    tasks.reconcile()
    assert world.total() == 90


def test_what_a_dead_process_put_off_waits_for_the_next_poll(world: World, tasks: Tasks) -> None:
    only_the_first_page(world, Died())
    with pytest.raises(Died):
        world.services.poller.poll(CHANNEL)
    tasks.reconcile()
    assert world.total() == 100
    world.poll()
    tasks.reconcile()
    assert world.total() == 85
    assert world.marketplace.count("adjust") == 1


def test_what_a_dead_process_put_off_does_not_wait_for_ever(world: World, tasks: Tasks) -> None:
    only_the_first_page(world, Died())
    with pytest.raises(Died):
        world.services.poller.poll(CHANNEL)
    world.pass_time(601)
    tasks.reconcile()
    assert world.total() == 90


def test_what_a_poll_puts_off_between_the_plan_of_a_shortage_and_its_release_is_told_when_the_poll_ends(
    world: World, tasks: Tasks
) -> None:
    world.listing("M", total=5)
    world.link("M", "M")
    only_the_first_page(world, Died())
    world.channel.put("14", {"unlinked": 1})
    world.marketplace.edit("L", -100)
    world.follow()
    world.sell("before", {"A": 3})
    world.sell("other", {"M": 1})
    polled: list[str] = []

    def poll_meanwhile(listing_id: str) -> None:
        polled.append(listing_id)
        world.marketplace.before_adjust = None
        with suppress(Died):
            world.services.poller.poll(CHANNEL)

    # Of one batch, the shortage of L is planned in the second round, in which M is written.
    world.marketplace.fail("adjust", StockMismatch("somebody was quicker"))
    world.marketplace.before_adjust = poll_meanwhile
    tasks.reconcile()
    assert polled == ["M"]
    for order in ("before", "other", *map(str, range(10, 14))):
        world.channel.held.pop(order)
    world.poll()
    tasks.reconcile()
    told = {row.kind: row.detail for row in world.rows(Anomaly.kind, Anomaly.detail)}
    assert told["oversold"]["missing_units"] == 13


def test_new_stock_does_not_wake_what_a_poll_puts_off(world: World, tasks: Tasks) -> None:
    only_the_first_page(world, Died())
    with pytest.raises(Died):
        world.services.poller.poll(CHANNEL)
    world.marketplace.edit("L", 5)
    world.follow()
    tasks.reconcile()
    assert world.marketplace.count("adjust") == 0
