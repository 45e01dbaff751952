"""Which snapshot of an order counts, and what becomes of its lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connectors.contract import OrderLine
from connectors.errors import Unavailable
from connectors.sandbox.clock import VirtualClock
from tests.doubles import webhook_body
from tests.world import CHANNEL, World
from worker.intake.inbox import Incoming
from worker.store import StorageUnavailable
from worker.store.tables import Operation, OrderRow, OrderState

DAY = 86_400


def test_a_sale_is_taken_from_the_listing_once(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.total() == 7
    assert world.pairs() == [("A", 3, 3, 0)]
    world.assert_p1()


def test_a_duplicate_webhook_changes_nothing(world: World) -> None:
    world.listing(total=10)
    world.link()
    order = world.sell("1", {"A": 3})
    world.deliver(order)
    world.deliver(order, delivery_id="another-id")
    world.reconcile()
    assert world.total() == 7
    assert world.marketplace.count("adjust") == 1


def test_an_old_webhook_is_refused_by_its_orders_revision(world: World) -> None:
    world.listing(total=10)
    world.link()
    old = world.channel.put("1", {"A": 5})
    world.pass_time(5)
    world.sell("1", {"A": 2})
    world.deliver(old)
    world.reconcile()
    assert world.total() == 8


def test_webhook_and_polling_meet_in_the_same_upsert(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.poll()
    world.reconcile()
    world.poll()
    world.reconcile()
    assert world.total() == 7
    assert world.pairs() == [("A", 3, 3, 0)]


def test_a_dropped_webhook_is_found_by_polling(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.channel.put("1", {"A": 3})
    world.poll()
    world.reconcile()
    assert world.total() == 7


def test_a_cancellation_gives_stock_back(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.pass_time(1)
    world.sell("1", {"A": 1})
    world.reconcile()
    assert world.total() == 9
    assert world.pairs() == [("A", 1, 1, 0)]
    world.assert_p1()


def test_a_line_missing_from_a_newer_whole_order_is_committed_0(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    world.link("A", "L")
    world.link("B", "M")
    world.sell("1", {"A": 3, "B": 2})
    world.reconcile()
    world.pass_time(1)
    world.sell("1", {"B": 2})
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (10, 8)


def test_equal_revision_with_other_content_means_fetch_and_the_later_fetch_wins(world: World) -> None:
    world.listing(total=10)
    world.link()
    order = world.sell("1", {"A": 3})
    changed = world.channel.put("1", {"A": 1}, revision=order.revision)
    world.deliver(changed)
    assert world.rows(OrderRow.fetch_at)[0].fetch_at is not None
    world.fetch()
    world.reconcile()
    assert world.total() == 9
    world.deliver(order, delivery_id="late")
    world.fetch()
    world.reconcile()
    assert world.total() == 9


def test_a_deleted_order_leaves_a_tombstone_that_only_a_fetch_can_lift(world: World) -> None:
    world.listing(total=10)
    world.link()
    order = world.sell("1", {"A": 3})
    world.reconcile()
    del world.channel.held["1"]
    world.pass_time(31 * DAY)
    world.services.fetcher.look_again()
    world.fetch()
    world.reconcile()
    assert world.total() == 10
    assert world.rows(OrderRow.state)[0].state is OrderState.GONE
    world.deliver(order, delivery_id="late")
    world.reconcile()
    assert world.total() == 10
    world.pass_time(1)
    world.sell("1", {"A": 3})
    world.fetch()
    world.reconcile()
    assert world.total() == 7


@pytest.mark.parametrize("ahead_seconds", [20, -20])
@pytest.mark.parametrize("what", ["deleted", "changed within its second"])
def test_what_is_fetched_next_is_later_whatever_the_clock_of_its_host_says(
    world: World, what: str, ahead_seconds: float
) -> None:
    """One host's clock is ahead of the other's; both read the same order, one after the other."""
    world.listing(total=10)
    world.link()
    order = world.channel.put("1", {"A": 3})
    world.deliver(replace(order, revision=order.revision - 1))
    world.pass_time(100)
    world.channel.clock = VirtualClock(world.clock.now() + timedelta(seconds=ahead_seconds))
    world.fetch_again("1")
    world.reconcile()
    assert world.total() == 7

    world.channel.clock = world.clock
    if what == "deleted":
        del world.channel.held["1"]
    else:
        world.channel.put("1", {"A": 1}, revision=order.revision)
    world.fetch_again("1")
    world.reconcile()
    assert world.total() == (10 if what == "deleted" else 9)


def test_a_deleted_order_whose_units_wait_is_found_by_a_late_look_too(world: World) -> None:
    """Else its units would be taken as soon as stock comes in."""
    world.listing(total=0)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    del world.channel.held["1"]
    world.pass_time(31 * DAY)
    world.services.fetcher.look_again()
    world.fetch()
    world.marketplace.edit("L", 5)
    world.settle_down(seconds=60)
    assert world.total() == 5
    assert world.anomalies() == []


def test_orders_with_applied_units_are_looked_at_again_after_1_7_and_30_days(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    looked = []
    for day in (1, 7, 30, 60):
        world.clock.set(world.channel.held["1"].placed_at + timedelta(days=day, seconds=1))
        world.services.fetcher.look_again()
        world.fetch()
        looked.append(sum(1 for call in world.channel.calls if call[0] == "order"))
    assert looked == [1, 2, 3, 3]


def test_a_look_that_finds_a_change_is_not_the_last_one(world: World) -> None:
    world.listing(total=10)
    world.link()
    order = world.sell("1", {"A": 3})
    world.reconcile()
    world.clock.set(order.placed_at + timedelta(days=1, seconds=1))
    world.channel.put("1", {"A": 2})
    world.services.fetcher.look_again()
    world.fetch()
    world.reconcile()
    assert world.total() == 8
    del world.channel.held["1"]
    world.clock.set(order.placed_at + timedelta(days=7, seconds=1))
    world.services.fetcher.look_again()
    world.fetch()
    world.reconcile()
    assert world.total() == 10


def test_orders_of_which_no_unit_counts_are_not_looked_at_again(world: World) -> None:
    """One is taken, one waits for stock, one was cancelled."""
    world.listing(total=3)
    world.link()
    for order_id, units in (("taken", 3), ("waiting", 1), ("cancelled", 1)):
        world.sell(order_id, {"A": units})
    world.pass_time(1)
    world.sell("cancelled", {"A": 0})
    world.reconcile()
    world.pass_time(DAY)
    world.services.fetcher.look_again()
    world.fetch()
    looked = sorted(call for call in world.channel.calls if call[0] == "order")
    assert looked == [("order", "taken"), ("order", "waiting")]


def test_an_order_that_the_index_shows_late_is_found_by_ids_and_revisions(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.channel.late_in_index.add("1")
    world.channel.put("1", {"A": 3})
    world.poll()
    world.reconcile()
    assert world.total() == 10
    assert world.services.poller.late_pass("shop", timedelta(minutes=10)) == 1
    world.fetch()
    world.reconcile()
    assert world.total() == 7
    world.channel.late_in_index.clear()
    world.channel.put("1", {"A": 3})
    world.poll()
    assert world.services.poller.late_pass("shop", timedelta(minutes=10)) == 0


def test_a_late_pass_sees_a_second_change_within_the_second_that_a_webhook_told_of(world: World) -> None:
    """The index shows the order late, so that no poll ever shows it; the webhook of the second change is lost."""
    world.listing(total=10)
    world.link()
    world.channel.late_in_index.add("1")
    order = world.sell("1", {"A": 3})
    world.reconcile()
    world.channel.put("1", {"A": 0}, revision=order.revision)
    world.poll()
    assert world.services.poller.late_pass("shop", timedelta(minutes=10)) == 1
    world.fetch()
    world.reconcile()
    assert world.total() == 10


def test_a_late_pass_fetches_nothing_that_a_poll_has_shown(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.poll()
    world.sell("2", {"A": 1})
    world.poll()
    assert world.services.poller.late_pass("shop", timedelta(minutes=10)) == 0


def test_a_late_pass_reaches_back_to_the_last_complete_one(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.services.poller.late_pass("shop", timedelta(minutes=10))
    world.channel.late_in_index.add("1")
    world.channel.put("1", {"A": 3})
    world.poll()
    # The passes that should have come did not: the shop was down, or no worker was up.
    world.pass_time(5 * 3600)
    world.channel.fail("recent", Unavailable("down"))
    with pytest.raises(Unavailable):
        world.services.poller.late_pass("shop", timedelta(minutes=10))
    world.pass_time(600)
    assert world.services.poller.late_pass("shop", timedelta(minutes=10)) == 1


def test_the_first_late_pass_reaches_back_to_when_the_channel_was_met(world: World) -> None:
    """Everything stood still for days before the time of the first one came."""
    world.listing(total=10)
    world.link()
    world.channel.late_in_index.add("1")
    world.channel.put("1", {"A": 3})
    world.poll()
    world.pass_time(3 * DAY)
    assert world.services.poller.late_pass("shop", timedelta(minutes=10)) == 1


def test_an_items_change_is_an_anomaly_and_not_a_return(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.pass_time(5)
    world.channel.put("1", [OrderLine("A", "B", "item-other", 3)])
    world.poll()
    world.reconcile()
    assert world.total() == 7
    assert world.anomalies() == ["item-changed"]
    world.pass_time(5)
    world.channel.put("1", [OrderLine("A", "A", "item-A", 3)])
    world.poll()
    assert world.anomalies() == []


def test_an_item_that_the_shop_forgets_changes_nothing(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.pass_time(5)
    world.channel.put("1", [OrderLine("A", None, "", 2)])
    world.poll()
    world.reconcile()
    assert (world.total(), world.anomalies()) == (8, [])


def test_each_order_of_a_batch_carries_its_own_correlation_id_to_the_write(world: World) -> None:
    for sku, listing_id in (("A", "L"), ("B", "M")):
        world.listing(listing_id)
        world.link(sku, listing_id)
    bodies = {
        "corr-1": webhook_body(world.channel.put("1", {"A": 1})),
        "corr-2": webhook_body(world.channel.put("2", {"B": 1})),
    }
    world.services.inbox.put(
        [Incoming(CHANNEL, told, told, "orders", body, False, world.clock.now(), told) for told, body in bodies.items()]
    )
    assert world.services.inbox.drain() == 2
    world.reconcile()
    sent = {row.listing_id: row.correlation_id for row in world.rows(Operation.listing_id, Operation.correlation_id)}
    assert sent == {"L": "corr-1", "M": "corr-2"}


def test_an_order_first_seen_long_after_it_was_placed_is_parked_not_booked(world: World) -> None:
    world.pass_time(1)
    world.listing(total=10)
    world.link(from_at=world.clock.now() - timedelta(days=1))
    placed_at = world.clock.now()
    world.pass_time(100 * DAY)
    world.sell("1", {"A": 3}, placed_at=placed_at)
    world.reconcile()
    assert world.total() == 10
    assert world.anomalies() == ["parked-order"]
    assert world.services.fetcher.accept("shop", "1", "ann")
    world.fetch()
    world.reconcile()
    assert world.total() == 7
    assert world.anomalies() == []


def test_an_excluded_order_does_not_count_and_one_excluded_later_is_given_back(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.channel.put("1", {"A": 3}, excluded="source")
    world.channel.put("2", {"A": 2})
    world.poll()
    world.reconcile()
    assert world.total() == 8
    world.channel.put("2", {"A": 2}, excluded="tag")
    world.poll()
    world.reconcile()
    assert world.total() == 10


def test_a_failed_page_moves_neither_orders_nor_cursor(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.channel.put("1", {"A": 3})
    world.pass_time(4)
    world.channel.fail("orders", Unavailable("down"))
    with pytest.raises(Unavailable):
        world.services.poller.poll("shop")
    assert world.pairs() == []
    world.poll()
    assert world.pairs() == [("A", 3, 0, 0)]


def test_a_page_that_cannot_be_stored_moves_neither_orders_nor_cursor(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.listing(total=10)
    world.link()
    world.channel.put("1", {"A": 3})
    world.pass_time(4)
    take_in = world.services.intake.take_in

    def interrupted(*arguments: Any, **options: Any) -> None:
        take_in(*arguments, **options)
        raise StorageUnavailable("the disk is full")

    monkeypatch.setattr(world.services.intake, "take_in", interrupted)
    with pytest.raises(StorageUnavailable):
        world.services.poller.poll("shop")
    assert world.pairs() == []
    monkeypatch.undo()
    world.poll()
    assert world.pairs() == [("A", 3, 0, 0)]


def test_many_pages_are_read_to_the_head(world: World) -> None:
    world.listing(total=100)
    world.link()
    for number in range(35):
        world.channel.put(str(number), {"A": 1})
        world.pass_time(1)
    world.poll()
    world.reconcile()
    assert world.total() == 65
    assert world.marketplace.count("adjust") == 1


def test_identical_lines_of_one_order_both_count(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.channel.put("1", [OrderLine("1", "A", "item", 2), OrderLine("2", "A", "item", 2)])
    world.poll()
    world.reconcile()
    assert world.total() == 6


def test_a_line_of_an_ended_link_never_reaches_the_link_that_followed_it(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    start = world.clock.now()
    world.link("A", "L", from_at=start, until_at=start + timedelta(seconds=60))
    world.link("A", "M", from_at=start + timedelta(seconds=60))
    world.sell("1", {"A": 2})
    world.reconcile()
    world.pass_time(100)
    world.sell("1", {"A": 5})
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (5, 10)
