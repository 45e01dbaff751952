"""The feed was not read for longer than the marketplace keeps it: what was missed between is found all the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from connectors.contract import ListingState, RemoteAdjustment
from connectors.errors import CursorTooOld
from tests.world import World
from worker.store.tables import HoldReason, HoldScope
from worker.tasks import Tasks

QUARTER = 92 * 24 * 3600


class Deaf:
    def ring(self, task: str) -> None: ...


def after_a_gap(world: World) -> None:
    """The service was away for a quarter of a year, and starts."""
    world.pass_time(QUARTER)
    world.marketplace.fail("changes", CursorTooOld("90 days"))
    world.start_again(world.store)
    tasks = Tasks(world.services, Deaf())  # type: ignore[arg-type]
    for _ in range(60):
        tasks.reconcile()
        tasks.feed()
        tasks.sweep()
        tasks.upkeep()
        world.pass_time(20)


def test_totals_states_and_deletions_are_found(world: World) -> None:
    for name in ("K", "L", "M", "N"):
        world.listing(name, 10)
    world.marketplace.edit("K", -4)
    world.marketplace.set_state("L", ListingState.CLOSED)
    world.marketplace.set_state("M", ListingState.DELETED)
    after_a_gap(world)
    assert world.listing_row("K").total == 6
    assert world.listing_row("L").state is ListingState.CLOSED
    assert world.listing_row("M").state is ListingState.DELETED
    assert (world.listing_row("N").total, world.listing_row("N").state) == (10, ListingState.PUBLISHED)
    assert world.anomalies() == []


def test_it_is_said_aloud_until_a_full_sweep_has_compared_everything(world: World) -> None:
    world.listing("L", 10)
    world.pass_time(QUARTER)
    world.marketplace.fail("changes", CursorTooOld("90 days"))
    world.follow()
    [anomaly] = world.services.anomalies.list()
    assert anomaly.kind == "cursor-too-old"
    world.services.sweeper.sweep()
    assert world.anomalies() == []


def test_the_state_of_a_listing_with_pending_units_is_found_too(world: World) -> None:
    world.listing("L", 10)
    world.link()
    world.services.holds.place(HoldReason.ORPHAN, HoldScope.LISTING, "L", "a person looks at it")
    world.sell("1", {"A": 1})
    world.reconcile()
    assert world.listing_row().next_attempt_at is not None
    world.marketplace.set_state("L", ListingState.DRAFT)
    world.marketplace.feed_hidden = True
    world.services.sweeper.sweep()
    world.upkeep()
    assert world.listing_row().state is ListingState.DRAFT


def test_a_write_whose_answer_came_is_found_in_the_log(world: World) -> None:
    world.listing("L", 10)
    world.link()
    world.marketplace.feed_hidden = True
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.feed_hidden = False
    world.marketplace.edit("L", 5)
    after_a_gap(world)
    world.sell("2", {"A": 1})
    world.settle_down(seconds=120)
    assert world.total() == 11
    assert (world.holds(), world.anomalies()) == ([], [])
    world.assert_p1()


def test_a_write_whose_answer_was_lost_waits_for_a_person(world: World) -> None:
    """The log has it, but only the feed says whose it is; what followed the cursor is gone."""
    world.listing("L", 10)
    world.link()
    world.marketplace.fail("adjust", "lost_after")
    world.sell("1", {"A": 3})
    world.reconcile()
    after_a_gap(world)
    assert world.total() == 7
    assert world.operations() == [("unknown", 10, 7)]
    assert world.anomalies() == ["outcome-unknown"]


def test_who_closed_what_is_not_known_any_more_so_nothing_is_opened(world: World) -> None:
    world.listing("L", 1)
    world.link()
    world.sell("1", {"A": 1})
    world.settle_down(seconds=1500, step=60)
    assert world.marketplace.states["L"] == ListingState.CLOSED
    world.marketplace.set_state("L", ListingState.PUBLISHED)
    world.marketplace.set_state("L", ListingState.CLOSED)
    world.pass_time(QUARTER)
    world.marketplace.fail("changes", CursorTooOld("90 days"))
    world.follow()
    [anomaly] = world.services.anomalies.list(kind="cursor-too-old")
    assert anomaly.detail["closed"] == ["L"]
    world.marketplace.edit("L", 5)
    world.settle_down(seconds=600, step=60)
    assert world.marketplace.states["L"] == ListingState.CLOSED


def test_a_listing_that_was_still_for_longer_than_logs_are_kept_can_be_examined(world: World) -> None:
    world.listing("L", 10)
    world.link()
    world.sell("1", {"A": 1})
    world.settle_down(seconds=60)
    adjustments = world.marketplace.adjustments

    def kept_for_a_year(listing_id: str, *, since: datetime) -> Sequence[RemoteAdjustment]:
        kept_since = world.clock.now() - timedelta(days=366)
        if since < kept_since:
            raise CursorTooOld("366 days", kept_since=kept_since)
        return adjustments(listing_id, since=since)

    world.marketplace.adjustments = kept_for_a_year  # type: ignore[method-assign]
    world.pass_time(400 * 24 * 3600)
    world.marketplace.fail("adjust", "lost_before")
    world.sell("2", {"A": 2})
    world.settle_down(seconds=300)
    assert world.total() == 7
    assert world.anomalies() == []
    world.assert_p1()
