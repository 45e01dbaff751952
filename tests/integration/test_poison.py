"""One thing that cannot be read or handled never stops its neighbours, and is never lost silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from connectors.contract import (
    ChangePage,
    Gone,
    Listing,
    ListingState,
    Order,
    StockChange,
    UnreadableChange,
    UnreadableListing,
    UnreadableOrder,
)
from connectors.errors import Unreadable
from tests.world import CHANNEL, World
from worker.store.tables import OrderRow, OrderState
from worker.tasks import Tasks


class Deaf:
    def ring(self, task: str) -> None: ...


def listings_of(world: World, *names: str) -> None:
    for number, name in enumerate(names):
        world.listing(name, 10)
        world.link(f"S{number}", name)


# --- the sweep ----------------------------------------------------------------------------------------------------


def malformed(world: World, *broken: str | None) -> Callable[[], None]:
    """These listings cannot be read in a page, nor by themselves, until the returned function is called."""
    listings, listing = world.marketplace.listings, world.marketplace.listing

    def in_pages() -> Any:
        for page in listings():
            found: list[Listing | UnreadableListing] = [
                UnreadableListing(each.listing_id, "stock is 'many'") if each.listing_id in broken else each
                for each in page
            ]
            if None in broken:
                found.append(UnreadableListing(None, "no id"))
            yield found

    def alone(listing_id: str) -> Listing:
        if listing_id in broken:
            world.marketplace.calls.append(("listing", listing_id))
            raise Unreadable("stock is 'many'")
        return listing(listing_id)

    world.marketplace.listings = in_pages  # type: ignore[method-assign]
    world.marketplace.listing = alone  # type: ignore[method-assign]

    def mend() -> None:
        world.marketplace.listings, world.marketplace.listing = listings, listing  # type: ignore[method-assign]

    return mend


def test_a_malformed_listing_is_named_and_the_sweep_goes_on(world: World) -> None:
    listings_of(world, "K", "L", "M")
    mend = malformed(world, "L", None)
    world.marketplace.feed_hidden = True
    world.marketplace.edit("K", 1)
    world.marketplace.edit("M", 1)
    world.services.sweeper.sweep()
    world.upkeep()
    world.reconcile()
    assert (world.listing_row("K").total, world.listing_row("M").total) == (11, 11)
    assert world.listing_row("L").state is ListingState.PUBLISHED
    messages = sorted(view.message for view in world.services.anomalies.list())
    assert messages[0].startswith("A listing without an id")
    assert messages[1].startswith("Listing L cannot be read (stock is 'many')")
    # It is looked at from time to time, not all the time.
    reads = world.marketplace.calls.count(("listing", "L"))
    for _ in range(60):
        world.upkeep()
        world.pass_time(60)
    assert world.marketplace.calls.count(("listing", "L")) - reads <= 5
    mend()
    world.pass_time(900)
    world.services.sweeper.sweep()
    world.upkeep()
    assert world.anomalies() == []


def test_what_is_due_on_a_malformed_listing_waits_and_the_others_are_written(world: World) -> None:
    listings_of(world, "L", "M")
    mend = malformed(world, "L")
    world.marketplace.buy("L", 1)
    world.sell("1", {"S0": 2, "S1": 2})
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (9, 8)
    reads = world.marketplace.calls.count(("listing", "L"))
    for _ in range(20):
        world.reconcile()
        world.pass_time(30)
    assert world.marketplace.calls.count(("listing", "L")) == reads
    assert world.anomalies() == ["unreadable-listing"]
    mend()
    world.pass_time(900)
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (7, 8)
    world.assert_p1()


# --- the feed -----------------------------------------------------------------------------------------------------


def hide(world: World, adjustment: int, *, listing_id: str | None) -> None:
    """In the pages of the feed from now on, the stock change of this many units cannot be read."""
    changes = world.marketplace.changes

    def page(cursor: str | None) -> ChangePage:
        shown = changes(cursor)
        poison = [
            change
            for change in shown.changes
            if isinstance(change, StockChange) and change.adjustment.quantity == adjustment
        ]
        readable = [change for change in shown.changes if change not in poison]
        unreadable = [UnreadableChange(f"event-{change.sequence}", listing_id, "quantity is 'x'") for change in poison]
        return ChangePage(readable, shown.cursor, shown.more, shown.unknown_types, unreadable)

    world.marketplace.changes = page  # type: ignore[method-assign]


def test_a_malformed_event_is_named_its_listing_looked_at_and_its_neighbours_taken(world: World) -> None:
    listings_of(world, "L", "M")
    world.sell("1", {"S0": 1})
    world.reconcile()
    hide(world, 7, listing_id="L")
    world.marketplace.edit("L", 7)
    world.marketplace.buy("L", 2)
    world.marketplace.edit("M", 3)
    world.follow()
    assert world.listing_row("M").total == 13
    [anomaly] = world.services.anomalies.list()
    assert anomaly.kind == "unreadable-change"
    assert "event-" in anomaly.message
    assert "listing L" in anomaly.message
    world.reconcile()
    world.upkeep()
    assert world.listing_row("L").total == 14
    assert world.anomalies() == []
    # Its running total is right again: an outcome can be told from it.
    world.marketplace.fail("adjust", "lost_after")
    world.sell("2", {"S0": 3})
    world.settle_down(seconds=120)
    assert world.total("L") == 11
    world.assert_p1()


def test_our_own_adjustment_in_a_malformed_event_is_found_in_the_log(world: World) -> None:
    listings_of(world, "L")
    hide(world, -4, listing_id="L")
    world.sell("1", {"S0": 4})
    world.reconcile()
    world.settle_down(seconds=1200, step=30)
    world.sell("2", {"S0": 1})
    world.settle_down(seconds=120)
    assert world.total("L") == 5
    world.assert_p1()
    assert (world.holds(), world.anomalies()) == ([], [])


def test_a_malformed_event_that_names_no_listing_brings_a_full_sweep(world: World) -> None:
    listings_of(world, "L")
    tasks = Tasks(world.services, Deaf())  # type: ignore[arg-type]
    world.pass_time(100_000)
    tasks.sweep()
    hide(world, 7, listing_id=None)
    world.marketplace.edit("L", 7)
    world.pass_time(60)
    tasks.feed()
    assert world.anomalies() == ["unreadable-change"]
    tasks.sweep()
    tasks.upkeep()
    tasks.reconcile()
    assert world.listing_row("L").total == 17
    assert world.anomalies() == []


# --- orders -------------------------------------------------------------------------------------------------------


def orders_waiting_for_a_fetch(world: World, *order_ids: str) -> None:
    listings_of(world, "L")
    for order_id in order_ids:
        order = world.sell(order_id, {"S0": 2})
        world.deliver(world.channel.put(order_id, {"S0": 1}, revision=order.revision))


def test_a_fetch_that_fails_unexpectedly_is_parked_in_the_end_and_holds_up_nobody(world: World) -> None:
    orders_waiting_for_a_fetch(world, "1", "2", "3")
    order = world.channel.order

    def poisonous(order_id: str) -> Order | Gone:
        if order_id == "1":
            world.channel.calls.append(("order", "1"))
            raise ZeroDivisionError
        return order(order_id)

    world.channel.order = poisonous  # type: ignore[method-assign]
    world.fetch()
    world.reconcile()
    assert world.total("L") == 6
    for _ in range(60):
        world.pass_time(120)
        world.fetch()
    assert world.channel.calls.count(("order", "1")) == 8
    states = dict(world.rows(OrderRow.order_id, OrderRow.state))
    assert (states["1"], states["2"]) == (OrderState.PARKED, OrderState.OPEN)
    [anomaly] = world.services.anomalies.list()
    assert "ZeroDivisionError" in anomaly.message
    # Mended, it counts when a person says so.
    world.channel.order = order  # type: ignore[method-assign]
    world.services.fetcher.accept(CHANNEL, "1", "ann")
    world.fetch()
    world.reconcile()
    assert world.total("L") == 7
    assert world.anomalies() == []


@pytest.mark.parametrize(
    ("poison", "reason"), [("7", "cannot be stored"), ("", "its id is ''"), ("x" * 300, "its id is 'xxx")]
)
def test_an_order_that_a_page_cannot_take_in_is_parked_and_the_page_goes_on(
    world: World, poison: str, reason: str
) -> None:
    listings_of(world, "L")
    take_in = world.services.intake.take_in

    def failing(transaction: Any, channel: str, snapshots: Sequence[Order | Gone], *rest: Any, **more: Any) -> Any:
        if any(snapshot.order_id == poison for snapshot in snapshots):
            raise ValueError("cannot be stored")
        return take_in(transaction, channel, snapshots, *rest, **more)

    world.services.intake.take_in = failing  # type: ignore[method-assign]
    world.channel.put(poison, {"S0": 1})
    world.channel.put("2", {"S0": 2})
    world.poll()
    world.reconcile()
    assert world.total("L") == 8
    [anomaly] = world.services.anomalies.list()
    assert reason in anomaly.message


def test_a_malformed_revision_does_not_stop_the_late_pass(world: World) -> None:
    listings_of(world, "L")
    world.channel.late_in_index |= {"1", "2"}
    world.channel.put("1", {"S0": 1})
    world.channel.put("2", {"S0": 2})
    recent = world.channel.recent

    def with_malformed(since: Any) -> Any:
        for page in recent(since):
            kept = [ref for ref in page if ref.order_id != "1"]
            yield [UnreadableOrder("1", "updatedAt is 7", b""), UnreadableOrder(None, "no id", b""), *kept]

    world.channel.recent = with_malformed  # type: ignore[method-assign]
    world.poll()
    world.services.poller.late_pass(CHANNEL, world.clock.now() - world.services.started_at)
    world.fetch()
    world.reconcile()
    assert world.total("L") == 7
    [anomaly] = world.services.anomalies.list()
    assert "no id" in anomaly.message
