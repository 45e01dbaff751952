"""The read-only views: the plan without acting, and the one look at everything."""

from __future__ import annotations

from sqlalchemy import update

from tests.world import CHANNEL, World
from worker.status import ListingPreview, Overview, Preview, Status
from worker.status.preview import Step
from worker.store.tables import HoldReason, HoldScope, ListingRow


def plan(world: World, *, fresh: bool = False) -> dict[str, ListingPreview]:
    services = world.services
    preview = Preview(services.store, services.holds, services.marketplace, services.executor)
    return {entry.listing_id: entry for entry in preview.plan(fresh=fresh)}


def status(world: World) -> Status:
    services = world.services
    overview = Overview(
        services.store,
        services.clock,
        services.holds,
        services.anomalies,
        feed_seconds=60,
        poll_seconds={CHANNEL: 300},
    )
    return overview.now()


# --- plan -------------------------------------------------------------------------------------------------------


def test_the_plan_is_what_the_next_pass_does(world: World) -> None:
    world.listing("L", 10)
    world.link("A", "L", 2)
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    entry = plan(world)["L"]
    assert (entry.step, entry.total, entry.new_total, entry.change, entry.held) == (Step.WRITE, 10, 4, -6, None)
    assert [(line.order_id, line.due_units, line.planned_units) for line in entry.lines] == [("o1", 6, 6)]
    world.reconcile()
    assert world.total("L") == 4
    assert plan(world) == {}


def test_planning_calls_nobody_and_changes_nothing(world: World) -> None:
    world.listing("L", 10)
    world.link("A", "L")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    before, calls = world.listing_row("L"), len(world.marketplace.calls)
    plan(world)
    assert (world.listing_row("L"), len(world.marketplace.calls)) == (before, calls)


def test_a_fresh_plan_reads_each_listing_and_keeps_nothing(world: World) -> None:
    world.listing("L", 10)
    world.link("A", "L")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    world.marketplace.edit("L", 5)
    assert (plan(world)["L"].total, plan(world, fresh=True)["L"].total) == (10, 15)
    assert world.listing_row("L").total == 10


def test_a_channel_in_shadow_is_part_of_the_plan_and_said_to_be_held(world: World) -> None:
    world.listing("L", 10)
    world.link("A", "L")
    world.services.holds.place(HoldReason.SHADOW, HoldScope.CHANNEL, CHANNEL, "new")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    entry = plan(world)["L"]
    assert (entry.step, entry.new_total, entry.held) == (Step.WRITE, 7, f"shadow: {CHANNEL}")


def test_a_channel_held_for_another_reason_is_not_part_of_the_plan(world: World) -> None:
    world.listing("L", 10)
    world.link("A", "L")
    world.services.holds.place(HoldReason.SHADOW, HoldScope.CHANNEL, CHANNEL, "new")
    world.services.holds.place(HoldReason.PAUSED, HoldScope.CHANNEL, CHANNEL, "paused")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    entry = plan(world)["L"]
    assert (entry.step, entry.lines[0].held) == (Step.WAIT, "paused")


def test_a_shortage_is_shown_before_it_happens(world: World) -> None:
    world.listing("L", 2)
    world.link("A", "L")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    entry = plan(world)["L"]
    assert (entry.new_total, entry.short_units) == (0, 1)
    assert "1 more sold than there are" in entry.why


def test_stock_that_does_not_count_is_not_touched(world: World) -> None:
    world.listing("L", 10**13)
    world.link("A", "L")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    entry = plan(world, fresh=True)["L"]
    assert (entry.step, entry.change) == (Step.WAIVE, 0)


def test_a_listing_in_doubt_is_settled_first(world: World) -> None:
    world.listing("L", 10)
    world.link("A", "L")
    world.pass_time(1)
    world.marketplace.fail("adjust", "lost_before")
    world.sell("o1", {"A": 3})
    world.reconcile()
    assert plan(world)["L"].step is Step.SETTLE_FIRST


def test_a_hold_on_the_listing_is_named(world: World) -> None:
    world.listing("L", 10)
    world.link("A", "L")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    world.services.holds.place(HoldReason.ORPHAN, HoldScope.LISTING, "L", "an orphan")
    assert plan(world)["L"].held == "orphan hold on listing L"


# --- status -----------------------------------------------------------------------------------------------------


def test_the_stock_is_true_once_everything_is_read_and_written(world: World) -> None:
    world.listing("L", 10)
    world.link("A", "L")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    found = status(world)
    assert (found.stock_is_true, found.pending[0].to_take) == (False, 3)
    assert "3 sold units wait to be taken" in found.reasons
    world.reconcile()
    world.poll()
    world.follow()
    found = status(world)
    assert (found.stock_is_true, found.reasons) == (True, [])


def test_what_has_not_been_read_for_long_is_not_known_to_be_true(world: World) -> None:
    world.listing("L", 10)
    world.poll()
    world.follow()
    world.pass_time(200)
    assert status(world).reasons == ["not read lately: feed"]
    world.pass_time(800)
    assert status(world).reasons == [f"not read lately: feed, {CHANNEL}"]


def test_an_unknown_outcome_a_hold_and_a_serious_anomaly_are_reasons(world: World) -> None:
    world.listing("L", 1)
    world.link("A", "L")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    world.reconcile()
    world.services.holds.place(HoldReason.ORPHAN, HoldScope.LISTING, "L", "an orphan")
    world.poll()
    world.follow()
    reasons = status(world).reasons
    assert reasons[0] == "unresolved: oversold (1)"
    assert "1 hold keeps writes back" in reasons


def test_listings_below_zero_are_counted(world: World) -> None:
    world.listing("L", 1)
    with world.store.write() as transaction:
        transaction.execute(update(ListingRow).values(total=-2))
    assert status(world).listings_below_zero == 1
