"""Closing at zero, opening again, and leaving alone what is not ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from config.settings import PolicySettings
from connectors.contract import Listing, ListingState
from connectors.errors import OutcomeUnknown, RateLimited, Rejected, Unavailable
from connectors.sandbox.log import Shown
from tests.doubles import UNLIMITED_FROM
from tests.world import CHANNEL, World
from worker.store import Store, Transaction
from worker.store.tables import HoldReason, HoldScope, ListingRow, Operation, OperationKind
from worker.upkeep import repository

TWENTY_MINUTES = 1200


@pytest.fixture
def sold_out(world: World) -> World:
    """A listing that a sale of ours has brought to zero."""
    world.listing(total=3)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.total() == 0
    return world


def state(world: World) -> ListingState:
    return world.marketplace.states["L"]


def test_a_listing_closes_after_close_after_at_zero_without_interruption(sold_out: World) -> None:
    sold_out.upkeep()
    sold_out.pass_time(TWENTY_MINUTES - 10)
    sold_out.upkeep()
    assert state(sold_out) is ListingState.PUBLISHED
    sold_out.pass_time(20)
    sold_out.upkeep()
    assert state(sold_out) is ListingState.CLOSED
    assert sold_out.listing_row().closed_by_us_at is not None


def test_an_abandoned_checkout_does_not_flap_a_listing(world: World) -> None:
    world.listing(total=3)
    for _ in range(3):
        reservation = world.marketplace.buy("L", 3)
        world.follow()
        world.upkeep()
        world.pass_time(900)
        world.marketplace.abandon(reservation)
        world.follow()
        world.upkeep()
        world.pass_time(100)
    assert world.marketplace.count("close") == 0


def test_a_listing_emptied_by_the_marketplaces_own_buyers_closes_too(world: World) -> None:
    world.listing(total=3)
    world.marketplace.buy("L", 3)
    world.follow()
    world.upkeep()
    world.pass_time(TWENTY_MINUTES + 1)
    world.upkeep()
    assert state(world) is ListingState.CLOSED


def test_a_listing_we_closed_that_turns_out_to_have_stock_is_opened_again(sold_out: World) -> None:
    sold_out.settle_down(seconds=1300, step=20)
    assert state(sold_out) is ListingState.CLOSED
    sold_out.marketplace.edit("L", 5)
    sold_out.follow()
    sold_out.upkeep()
    assert state(sold_out) is ListingState.PUBLISHED
    assert sold_out.listing_row().closed_by_us_at is None


def test_nothing_is_closed_for_a_read_that_is_old_because_the_process_stood_still(sold_out: World) -> None:
    read = sold_out.marketplace.listing

    def stands_still(listing_id: str) -> Listing:
        seen = read(listing_id)
        sold_out.marketplace.listing = read  # type: ignore[method-assign]
        sold_out.marketplace.edit(listing_id, 2)
        sold_out.pass_time(90)
        return seen

    sold_out.upkeep()
    sold_out.pass_time(TWENTY_MINUTES + 1)
    sold_out.marketplace.listing = stands_still  # type: ignore[method-assign]
    sold_out.upkeep()
    assert sold_out.marketplace.count("close") == 0
    assert state(sold_out) is ListingState.PUBLISHED


def test_stock_that_came_in_while_we_closed_opens_at_once(sold_out: World) -> None:
    close = sold_out.marketplace.close

    def close_late(listing_id: str) -> None:
        sold_out.marketplace.edit(listing_id, 2)
        close(listing_id)

    sold_out.marketplace.close = close_late  # type: ignore[method-assign]
    sold_out.upkeep()
    sold_out.pass_time(TWENTY_MINUTES + 1)
    sold_out.upkeep()
    assert sold_out.marketplace.count("close") == 1
    assert state(sold_out) is ListingState.PUBLISHED


def test_once_per_zero_episode(sold_out: World) -> None:
    sold_out.settle_down(seconds=1300, step=20)
    sold_out.marketplace.set_state("L", ListingState.PUBLISHED)
    sold_out.settle_down(seconds=3000, step=30)
    assert state(sold_out) is ListingState.PUBLISHED
    assert sold_out.marketplace.count("close") == 1
    sold_out.marketplace.edit("L", 1)
    sold_out.follow()
    sold_out.marketplace.edit("L", -1)
    sold_out.settle_down(seconds=1500, step=30)
    assert state(sold_out) is ListingState.CLOSED


def test_stock_before_a_zero_episode_does_not_end_it_however_late_the_feed_tells(world: World) -> None:
    world.listing(total=2)
    world.link()
    world.marketplace.feed_hidden = True
    world.marketplace.edit("L", 1)
    world.sell("1", {"A": 3})
    world.reconcile()
    assert (world.total(), world.listing_row().total) == (0, 0)
    world.pass_time(TWENTY_MINUTES + 1)
    world.upkeep()
    assert state(world) is ListingState.CLOSED
    world.marketplace.feed_hidden = False
    world.follow()
    world.marketplace.set_state("L", ListingState.PUBLISHED)
    world.settle_down(seconds=3000, step=30)
    assert (state(world), world.marketplace.count("close")) == (ListingState.PUBLISHED, 1)


@pytest.mark.parametrize("page", [1, 100])
def test_stock_between_a_zero_episode_and_our_closing_does_not_end_it_however_late_the_feed_tells(
    world: World, page: int
) -> None:
    world.listing(total=2)
    world.link()
    world.follow()
    world.marketplace.feed_hidden, world.marketplace.feed_page = True, page
    world.marketplace.edit("L", -2)
    world.services.sweeper.sweep()
    world.settle_down(seconds=600, step=20)
    for units in (2, -2):
        world.marketplace.edit("L", units)
        world.pass_time(1)
    world.settle_down(seconds=800, step=20)
    assert (state(world), world.marketplace.count("close")) == (ListingState.CLOSED, 1)
    world.marketplace.set_state("L", ListingState.PUBLISHED)
    world.marketplace.feed_hidden = False
    world.settle_down(seconds=3000, step=30)
    assert (state(world), world.marketplace.count("close")) == (ListingState.PUBLISHED, 1)


def test_stock_that_came_in_when_a_zero_episode_had_just_begun_is_sold_however_the_clocks_stand(world: World) -> None:
    world.listing(total=0)
    world.link()
    world.sell("1", {"A": 3})
    world.upkeep()
    world.settle_down(seconds=60)
    ahead = world.clock.now() + timedelta(seconds=20)
    with world.store.write() as transaction:
        transaction.execute(update(ListingRow).values(zero_since=ahead))
    world.marketplace.edit("L", 5)
    world.settle_down(seconds=15)
    assert world.total() == 2


def test_an_opening_of_ours_that_is_executed_after_the_next_closing_is_undone(sold_out: World) -> None:
    sold_out.settle_down(seconds=1300, step=20)
    sold_out.marketplace.edit("L", 1)
    sold_out.settle_down(seconds=60)
    assert state(sold_out) is ListingState.PUBLISHED
    sold_out.marketplace.edit("L", -1)
    sold_out.settle_down(seconds=1300, step=20)
    assert state(sold_out) is ListingState.CLOSED
    sold_out.marketplace.set_state("L", ListingState.PUBLISHED, ours=True)
    sold_out.settle_down(seconds=60)
    assert state(sold_out) is ListingState.CLOSED
    sold_out.marketplace.set_state("L", ListingState.PUBLISHED)
    sold_out.settle_down(seconds=3000, step=30)
    assert state(sold_out) is ListingState.PUBLISHED


def test_a_closing_whose_answer_was_lost_ends_with_its_listing(sold_out: World) -> None:
    sold_out.marketplace.fail("close", OutcomeUnknown("no answer"))
    sold_out.pass_time(TWENTY_MINUTES + 1)
    sold_out.upkeep()
    assert closings(sold_out) == ["unknown"]
    sold_out.marketplace.set_state("L", ListingState.DELETED)
    sold_out.settle_down(seconds=600, step=20)
    assert (closings(sold_out), sold_out.anomalies()) == (["absent"], [])


def test_we_never_open_what_we_did_not_close(world: World) -> None:
    world.listing(total=0, state=ListingState.CLOSED)
    world.marketplace.edit("L", 5)
    world.settle_down(seconds=1500, step=30)
    assert world.marketplace.count("open") == 0


def test_our_mark_ends_with_a_state_change_by_others(sold_out: World) -> None:
    sold_out.settle_down(seconds=1300, step=20)
    sold_out.marketplace.set_state("L", ListingState.PUBLISHED)
    sold_out.marketplace.set_state("L", ListingState.CLOSED)
    sold_out.follow()
    sold_out.marketplace.edit("L", 5)
    sold_out.settle_down(seconds=300)
    assert state(sold_out) is ListingState.CLOSED
    assert sold_out.marketplace.count("open") == 0


@pytest.mark.parametrize("before", [ListingState.DRAFT, ListingState.PENDING_APPROVAL, ListingState.CLOSED])
def test_only_published_listings_are_closed(world: World, before: ListingState) -> None:
    world.listing(total=0, state=before)
    world.settle_down(seconds=1500, step=30)
    assert world.marketplace.count("close") == 0


@pytest.mark.parametrize("total", [None, 10**15])
def test_undefined_and_unlimited_stock_is_never_closed(world: World, total: int | None) -> None:
    world.listing(total=total)
    world.settle_down(seconds=1500, step=30)
    assert world.marketplace.count("close") == 0


def test_linked_only_leaves_other_listings_alone(store: Store) -> None:
    world = World(store, policy=PolicySettings(confirm_new_channels=False, close_scope="linked"))
    world.listing("L", 0)
    world.listing("M", 0)
    world.link("A", "M")
    world.settle_down(seconds=1500, step=30)
    assert (state(world), world.marketplace.states["M"]) == (ListingState.PUBLISHED, ListingState.CLOSED)


def test_closing_can_be_switched_off(store: Store) -> None:
    world = World(store, policy=PolicySettings(confirm_new_channels=False, close_listings=False))
    world.listing(total=0)
    world.settle_down(seconds=1500, step=30)
    assert world.marketplace.count("close") == 0


def test_a_closing_whose_answer_was_lost_is_settled_by_the_feed(sold_out: World) -> None:
    sold_out.marketplace.fail("close", "lost_after")
    sold_out.settle_down(seconds=1400)
    assert sold_out.marketplace.count("close") == 1
    assert sold_out.listing_row().closed_by_us_at is not None
    sold_out.marketplace.edit("L", 1)
    sold_out.settle_down(seconds=60)
    assert state(sold_out) is ListingState.PUBLISHED


def closings(world: World) -> list[str]:
    """The state of every closing, the oldest first."""
    rows = sorted(world.rows(Operation.id, Operation.kind, Operation.state))
    return [row.state.value for row in rows if row.kind is OperationKind.CLOSE]


def test_a_closing_that_was_not_executed_is_found_absent_after_settle_after_and_sent_again(sold_out: World) -> None:
    sold_out.marketplace.fail("close", OutcomeUnknown("no answer"))
    sold_out.pass_time(TWENTY_MINUTES + 1)
    sold_out.upkeep()
    sold_out.pass_time(50)
    sold_out.upkeep()
    assert closings(sold_out) == ["unknown"]
    sold_out.pass_time(15)
    sold_out.upkeep()
    assert closings(sold_out) == ["absent", "applied"]
    assert state(sold_out) is ListingState.CLOSED
    assert sold_out.listing_row().closed_by_us_at is not None


@pytest.mark.parametrize("units", [3, UNLIMITED_FROM])
def test_a_closing_that_is_executed_late_is_ours_so_that_it_is_opened_where_there_is_stock(
    sold_out: World, units: int
) -> None:
    sold_out.marketplace.fail("close", OutcomeUnknown("no answer"))
    sold_out.pass_time(TWENTY_MINUTES + 1)
    sold_out.upkeep()
    sold_out.marketplace.edit("L", units)
    sold_out.settle_down(seconds=120)
    assert closings(sold_out) == ["absent"]
    sold_out.marketplace.set_state("L", ListingState.CLOSED, ours=True)
    sold_out.settle_down(seconds=120)
    assert closings(sold_out) == ["applied"]
    assert state(sold_out) is ListingState.PUBLISHED


def test_a_closing_whose_answer_was_lost_and_that_somebody_undid_is_not_repeated(sold_out: World) -> None:
    sold_out.marketplace.fail("close", "lost_after")
    sold_out.pass_time(TWENTY_MINUTES + 1)
    sold_out.upkeep()
    sold_out.marketplace.set_state("L", ListingState.PUBLISHED)
    sold_out.settle_down(seconds=1800, step=30)
    assert (state(sold_out), sold_out.marketplace.count("close")) == (ListingState.PUBLISHED, 1)
    assert closings(sold_out) == ["absent"]
    sold_out.marketplace.edit("L", 1)
    sold_out.follow()
    sold_out.marketplace.edit("L", -1)
    sold_out.settle_down(seconds=1800, step=30)
    assert state(sold_out) is ListingState.CLOSED


def test_a_closing_that_was_undone_before_the_feed_told_of_it_is_not_repeated(sold_out: World) -> None:
    sold_out.marketplace.fail("close", "lost_after")
    sold_out.pass_time(TWENTY_MINUTES + 1)
    sold_out.upkeep()
    sold_out.marketplace.set_state("L", ListingState.PUBLISHED)
    sold_out.marketplace.feed_hidden = True
    sold_out.pass_time(61)
    sold_out.services.keeper.drain()
    assert closings(sold_out) == ["absent"]
    sold_out.marketplace.feed_hidden = False
    sold_out.settle_down(seconds=1800, step=30)
    assert (state(sold_out), sold_out.marketplace.count("close")) == (ListingState.PUBLISHED, 1)


def test_a_closing_that_was_undone_is_not_repeated_even_where_the_feed_hides_what_we_do(sold_out: World) -> None:
    sold_out.marketplace.own_events = Shown.MISSING
    sold_out.marketplace.fail("close", "lost_after")
    sold_out.pass_time(TWENTY_MINUTES + 1)
    sold_out.upkeep()
    sold_out.marketplace.set_state("L", ListingState.PUBLISHED)
    sold_out.settle_down(seconds=1800, step=30)
    assert (state(sold_out), sold_out.marketplace.count("close")) == (ListingState.PUBLISHED, 1)


def test_a_closing_of_somebody_else_that_was_undone_does_not_keep_ours_from_being_sent_again(sold_out: World) -> None:
    sold_out.marketplace.fail("close", OutcomeUnknown("no answer"))
    sold_out.pass_time(TWENTY_MINUTES + 1)
    sold_out.upkeep()
    sold_out.marketplace.set_state("L", ListingState.CLOSED)
    sold_out.marketplace.set_state("L", ListingState.PUBLISHED)
    sold_out.settle_down(seconds=1800, step=30)
    assert (state(sold_out), sold_out.marketplace.count("close")) == (ListingState.CLOSED, 2)


def test_what_somebody_else_closed_while_our_closing_was_lost_is_not_ours(sold_out: World) -> None:
    close = sold_out.marketplace.close

    def lost(listing_id: str) -> None:
        sold_out.marketplace.close = close  # type: ignore[method-assign]
        sold_out.marketplace.set_state(listing_id, ListingState.CLOSED)
        raise OutcomeUnknown("no answer")

    sold_out.marketplace.close = lost  # type: ignore[method-assign]
    sold_out.settle_down(seconds=1300, step=10)
    assert closings(sold_out) == ["rejected"]
    assert sold_out.listing_row().closed_by_us_at is None
    sold_out.marketplace.edit("L", 4)
    sold_out.settle_down(seconds=100)
    assert sold_out.marketplace.count("open") == 0


@pytest.mark.parametrize(("told", "seconds_before"), [(ListingState.PUBLISHED, 5), (ListingState.CLOSED, 60)])
def test_what_somebody_did_before_our_closing_does_not_make_that_theirs_when_the_feed_tells_of_it_after(
    sold_out: World, told: ListingState, seconds_before: int
) -> None:
    market = sold_out.marketplace
    market.feed_hidden = True
    sold_out.pass_time(TWENTY_MINUTES)
    market.set_state("L", told)
    sold_out.services.feed.follow()
    sold_out.pass_time(seconds_before)
    market.states["L"] = ListingState.PUBLISHED
    close = market.close

    def lost(listing_id: str) -> None:
        market.close = close  # type: ignore[method-assign]
        market.feed_hidden = False
        sold_out.follow()
        market.feed_hidden = True
        close(listing_id)
        raise OutcomeUnknown("no answer")

    market.close = lost  # type: ignore[method-assign]
    for _ in range(3):
        sold_out.upkeep()
        sold_out.pass_time(10)
    assert closings(sold_out) == ["unknown"]
    market.feed_hidden = False
    sold_out.settle_down(seconds=100)
    assert closings(sold_out) == ["applied"]
    market.edit("L", 4)
    sold_out.settle_down(seconds=100)
    assert state(sold_out) is ListingState.PUBLISHED


def test_a_closing_of_ours_that_the_feed_shows_without_an_author_stays_ours(sold_out: World) -> None:
    sold_out.marketplace.own_events = Shown.ANONYMOUS
    sold_out.settle_down(seconds=1300, step=10)
    assert state(sold_out) is ListingState.CLOSED
    sold_out.marketplace.edit("L", 5)
    sold_out.settle_down(seconds=100)
    assert state(sold_out) is ListingState.PUBLISHED


def test_a_hold_on_the_listing_stops_its_closing(sold_out: World) -> None:
    sold_out.services.holds.place(HoldReason.ORPHAN, HoldScope.LISTING, "L", "test")
    sold_out.settle_down(seconds=1500, step=30)
    assert sold_out.marketplace.count("close") == 0
    sold_out.services.holds.lift(HoldScope.LISTING, "L", by="ann")
    sold_out.settle_down(seconds=120, step=30)
    assert state(sold_out) is ListingState.CLOSED


def test_nothing_is_closed_while_every_channel_is_in_shadow(world: World) -> None:
    world.services.holds.place(HoldReason.SHADOW, HoldScope.CHANNEL, CHANNEL, "new")
    world.listing(total=0)
    world.settle_down(seconds=1500, step=30)
    assert world.marketplace.count("close") == 0
    world.services.holds.lift(HoldScope.CHANNEL, CHANNEL, by="ann")
    world.settle_down(seconds=120, step=30)
    assert state(world) is ListingState.CLOSED


def test_a_refused_closing_is_an_anomaly_and_tried_again(sold_out: World) -> None:
    sold_out.marketplace.fail("close", Rejected("not now"))
    sold_out.settle_down(seconds=1300, step=20)
    assert sold_out.anomalies() == ["close-refused"]
    sold_out.settle_down(seconds=1000, step=20)
    assert state(sold_out) is ListingState.CLOSED
    assert sold_out.anomalies() == []


def test_a_refused_closing_is_no_anomaly_any_more_once_there_is_stock(sold_out: World) -> None:
    sold_out.marketplace.fail("close", Rejected("not now"))
    sold_out.settle_down(seconds=1300, step=20)
    sold_out.marketplace.edit("L", 3)
    sold_out.settle_down(seconds=1000, step=20)
    assert sold_out.marketplace.count("close") == 1
    assert sold_out.anomalies() == []


@pytest.mark.parametrize("method", ["listing", "close"])
def test_a_connector_that_fails_unexpectedly_holds_up_one_listing_only(sold_out: World, method: str) -> None:
    sold_out.listing("BAD", 0)
    works = getattr(sold_out.marketplace, method)

    def buggy(listing_id: str) -> Any:
        if listing_id == "BAD":
            raise ValueError("a bug")
        return works(listing_id)

    setattr(sold_out.marketplace, method, buggy)
    sold_out.settle_down(seconds=1300, step=20)
    assert state(sold_out) is ListingState.CLOSED
    assert sold_out.marketplace.count("open") == 0
    setattr(sold_out.marketplace, method, works)
    sold_out.settle_down(seconds=1300, step=20)
    assert sold_out.marketplace.states["BAD"] is ListingState.CLOSED


def test_a_closing_recorded_after_its_episode_ended_does_not_spoil_the_next_one(sold_out: World) -> None:
    """Stock comes in while we close and is known before the closing is recorded; later it runs out again."""
    close = sold_out.marketplace.close

    def close_while_stock_comes_in(listing_id: str) -> None:
        close(listing_id)
        sold_out.marketplace.close = close  # type: ignore[method-assign]
        sold_out.marketplace.edit(listing_id, 2)
        sold_out.follow()

    sold_out.marketplace.close = close_while_stock_comes_in  # type: ignore[method-assign]
    sold_out.upkeep()
    sold_out.pass_time(TWENTY_MINUTES + 1)
    sold_out.upkeep()
    assert state(sold_out) is ListingState.PUBLISHED
    sold_out.marketplace.edit("L", -2)
    sold_out.settle_down(seconds=1300, step=10)
    assert state(sold_out) is ListingState.CLOSED


def test_stock_that_runs_out_while_we_open_closes_again(sold_out: World) -> None:
    sold_out.settle_down(seconds=1300, step=10)
    reopen = sold_out.marketplace.open

    def open_while_stock_runs_out(listing_id: str) -> None:
        sold_out.marketplace.edit(listing_id, -5)
        sold_out.follow()
        reopen(listing_id)

    sold_out.marketplace.open = open_while_stock_runs_out  # type: ignore[method-assign]
    sold_out.marketplace.edit("L", 5)
    sold_out.follow()
    sold_out.upkeep()
    sold_out.marketplace.feed_hidden = True
    sold_out.settle_down(seconds=1300, step=10)
    assert state(sold_out) is ListingState.CLOSED


def test_a_refused_closing_is_no_anomaly_any_more_once_there_is_nothing_to_close(sold_out: World) -> None:
    sold_out.marketplace.fail("close", Rejected("no"))
    sold_out.settle_down(seconds=TWENTY_MINUTES + 60, step=20)
    assert sold_out.anomalies() == ["close-refused"]
    sold_out.marketplace.edit("L", 4)
    sold_out.settle_down(seconds=1000, step=20)
    assert sold_out.anomalies() == []
    assert state(sold_out) is ListingState.PUBLISHED


@pytest.mark.parametrize("error", [RateLimited("slower"), Unavailable("down")])
def test_a_closing_that_was_not_executed_is_tried_again_soon(sold_out: World, error: Exception) -> None:
    sold_out.marketplace.fail("close", error)
    sold_out.settle_down(seconds=TWENTY_MINUTES + 120, step=20)
    assert sold_out.anomalies() == []
    assert state(sold_out) is ListingState.CLOSED


def test_a_listing_we_closed_that_becomes_unlimited_is_opened_again(sold_out: World) -> None:
    sold_out.settle_down(seconds=TWENTY_MINUTES + 60, step=20)
    assert state(sold_out) is ListingState.CLOSED
    sold_out.marketplace.edit("L", 10**15)
    sold_out.settle_down(seconds=60, step=20)
    assert state(sold_out) is ListingState.PUBLISHED


def test_what_upkeep_writes_down_of_a_batch_it_has_locked_as_a_whole(
    sold_out: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # "L" closes, and the one that merely was looked at stands before it in the order of locks.
    sold_out.listing("A", total=7)
    sold_out.pass_time(TWENTY_MINUTES + 10)
    with sold_out.store.write() as transaction:
        repository.ask_for_look(transaction, ["A", "L"], sold_out.clock.now())
    steps: list[object] = []
    keeper, lock = sold_out.services.keeper, repository.lock
    record = keeper._record_changes

    def locked(transaction: Transaction, names: Sequence[str]) -> object:
        steps.append(sorted(names))
        return lock(transaction, names)

    def recorded(*told: Any) -> None:
        steps.append("recorded")
        record(*told)

    monkeypatch.setattr(repository, "lock", locked)
    monkeypatch.setattr(keeper, "_record_changes", recorded)
    sold_out.upkeep()
    assert state(sold_out) is ListingState.CLOSED
    before = steps.index("recorded") - 1
    assert steps[before] == ["A", "L"]
    # One lock for what was read, and this one.
    assert steps[:before] == [["A", "L"]]
