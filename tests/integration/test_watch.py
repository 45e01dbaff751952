"""What should have happened and has not: told once, resolved by itself, and told as such when it comes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from config.settings import PolicySettings, WebSettings
from connectors.contract import ListingState, PendingReservation
from connectors.errors import OutcomeUnknown, Unavailable
from tests.world import CHANNEL, World
from worker.alerts.anomalies import AnomalyView
from worker.housekeeping import Housekeeping
from worker.links.service import Links
from worker.store import Store
from worker.store.tables import HoldScope

DAY_SECONDS = 86_400.0


def looked(world: World) -> list[str]:
    """What is wrong after the look that is made every minute."""
    Housekeeping(world.services).judge()
    return world.anomalies()


def only(world: World) -> AnomalyView:
    [found] = world.services.anomalies.list()
    return found


# --- feed and polls -----------------------------------------------------------------------------------------------


def test_a_feed_that_is_not_read_for_long_is_told_once_and_ends_and_comes_back(world: World) -> None:
    world.follow()
    world.pass_time(590)
    assert looked(world) == []
    world.pass_time(20)
    assert looked(world) == looked(world) == ["feed-late"]
    assert only(world).occurrences == 1
    world.pass_time(3600)
    looked(world)
    assert only(world).occurrences == 2
    world.follow()
    assert looked(world) == []
    world.pass_time(700)
    assert looked(world) == ["feed-late"]
    assert only(world).came_back


def test_a_channel_that_is_not_polled_for_long_is_told(world: World) -> None:
    world.poll()
    world.pass_time(950)
    world.follow()
    assert looked(world) == ["feed-late"]
    assert only(world).channel == CHANNEL
    world.poll()
    assert looked(world) == []


def test_what_was_not_read_while_we_were_down_is_caught_up_with_first(world: World) -> None:
    world.follow()
    world.pass_time(3600)
    world.start_again(world.store)
    assert looked(world) == []
    world.pass_time(601)
    assert looked(world) == ["feed-late"]


def test_of_an_account_that_does_not_answer_lateness_is_no_news(world: World) -> None:
    world.follow()
    world.marketplace.fail("changes", *[Unavailable("down")] * 20)
    world.pass_time(600)
    for _ in range(12):
        world.pass_time(15)
        with pytest.raises(Unavailable):
            world.follow()
    assert looked(world) == ["not-answering"]


# --- webhooks -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hooked(store: Store) -> World:
    """Its channel's webhooks are registered."""
    world = World(store, web=WebSettings(public_url="https://stock.example.com"))
    world.poll()
    return world


def sell_quietly(world: World, prefix: str, orders: int) -> None:
    """Orders of which no webhook tells."""
    for number in range(orders):
        world.channel.put(f"{prefix}{number}", {"A": 1})
        world.pass_time(1)


def test_polling_that_finds_orders_first_shows_that_webhooks_do_not_come(hooked: World) -> None:
    sell_quietly(hooked, "a", 10)
    hooked.pass_time(150)
    hooked.poll()
    assert "webhook-broken" not in looked(hooked)
    sell_quietly(hooked, "b", 1)
    hooked.pass_time(150)
    hooked.poll()
    assert "webhook-broken" in looked(hooked)
    [found] = hooked.services.anomalies.list(kind="webhook-broken")
    assert (found.channel, found.detail) == (CHANNEL, {"orders": 11})
    hooked.pass_time(DAY_SECONDS)
    assert "webhook-broken" not in looked(hooked)


def test_orders_that_webhooks_told_or_may_yet_tell_are_no_sign(hooked: World) -> None:
    for number in range(20):
        hooked.sell(f"told{number}", {"A": 1})
        hooked.pass_time(1)
    sell_quietly(hooked, "new", 20)
    hooked.poll()
    assert "webhook-broken" not in looked(hooked)


def test_what_is_found_after_a_pause_of_ours_is_no_sign(hooked: World) -> None:
    sell_quietly(hooked, "a", 20)
    hooked.pass_time(4000)
    hooked.poll()
    assert "webhook-broken" not in looked(hooked)


# --- traffic ------------------------------------------------------------------------------------------------------


def test_a_channel_that_sells_far_less_than_ever_is_told_until_it_sells_again(world: World) -> None:
    keeping = Housekeeping(world.services)
    made = 0

    def day(orders_in_six_hours: int) -> list[str]:
        nonlocal made
        for _ in range(4):
            for _ in range(orders_in_six_hours):
                made += 1
                world.channel.put(f"o{made}", [], placed_at=world.clock.now())
                world.pass_time(1)
            world.pass_time(6 * 3600 - orders_in_six_hours)
            world.poll()
        keeping.look_seldom()
        return world.anomalies()

    assert [day(12) for _ in range(9)] == [[]] * 9
    assert day(2) == ["channel-silent"]
    assert only(world).detail["usual"] >= 10
    assert [day(0) for _ in range(4)] == [["channel-silent"]] * 4
    assert day(12) == []


# --- listings -----------------------------------------------------------------------------------------------------


@pytest.fixture
def empty(world: World) -> World:
    """A listing that has just sold its last unit."""
    world.listing("L", 1)
    world.marketplace.buy("L", 1)
    world.follow()
    return world


def closed(world: World) -> None:
    world.pass_time(1201)
    world.upkeep()
    assert world.marketplace.states["L"] is ListingState.CLOSED
    world.follow()


def late(world: World) -> list[str]:
    """What is wrong long after a listing should have been closed."""
    world.pass_time(1200 + 1800)
    world.follow()
    world.upkeep()
    return looked(world)


def test_a_listing_that_is_closed_in_time_is_none(empty: World) -> None:
    closed(empty)
    assert late(empty) == []


def test_a_listing_at_zero_that_somebody_opened_again_is_told_until_it_has_stock(empty: World) -> None:
    closed(empty)
    empty.marketplace.set_state("L", ListingState.PUBLISHED)
    assert late(empty) == ["open-at-zero"]
    assert "somebody opened it again" in only(empty).message
    empty.marketplace.edit("L", 5)
    empty.follow()
    assert looked(empty) == []


def test_a_listing_at_zero_that_is_held_is_told_until_it_is_closed(empty: World) -> None:
    with empty.store.write() as transaction:
        empty.services.holds.pause_in(transaction, HoldScope.LISTING, "L", "look", by="ada")
    assert late(empty) == ["open-at-zero"]
    assert "held (paused)" in only(empty).message
    empty.services.holds.lift(HoldScope.LISTING, "L", by="ada")
    assert late(empty) == []


@pytest.mark.parametrize(
    "policy",
    [
        PolicySettings(confirm_new_channels=False, close_listings=False),
        PolicySettings(confirm_new_channels=False, close_scope="linked"),
        PolicySettings(confirm_new_channels=True),
    ],
    ids=["nothing is closed", "not linked", "all in shadow"],
)
def test_a_listing_that_is_not_to_be_closed_is_none(store: Store, policy: PolicySettings) -> None:
    world = World(store, policy=policy)
    world.listing("L", 1)
    world.marketplace.buy("L", 1)
    world.follow()
    assert late(world) == []
    assert world.marketplace.states["L"] is ListingState.PUBLISHED


def test_what_we_closed_and_may_not_open_is_told_until_it_is_open(empty: World) -> None:
    closed(empty)
    with empty.store.write() as transaction:
        empty.services.holds.pause_in(transaction, HoldScope.LISTING, "L", "look", by="ada")
    empty.marketplace.edit("L", 5)
    empty.follow()
    for _ in range(3):
        empty.upkeep()
        empty.pass_time(61)
        empty.follow()
    assert looked(empty) == ["closed-with-stock"]
    assert (only(empty).occurrences, "held (paused)" in only(empty).message) == (1, True)
    empty.services.holds.lift(HoldScope.LISTING, "L", by="ada")
    empty.upkeep()
    assert empty.marketplace.states["L"] is ListingState.PUBLISHED
    assert looked(empty) == []


@pytest.fixture
def closed_late(empty: World) -> World:
    """A closing that was taken for never executed is executed after all, and the feed does not show it."""
    empty.pass_time(1201)
    empty.marketplace.fail("close", OutcomeUnknown("no answer"))
    empty.upkeep()
    empty.marketplace.edit("L", 5)
    empty.pass_time(100)
    empty.follow()
    empty.upkeep()
    assert empty.operations()[-1][0] == "absent"
    empty.marketplace.states["L"] = ListingState.CLOSED
    empty.pass_time(3600)
    empty.follow()
    empty.services.sweeper.sweep()
    empty.upkeep()
    return empty


def test_a_hidden_late_closing_is_told_and_left_to_a_person(closed_late: World) -> None:
    assert looked(closed_late) == ["closed-with-stock"]
    assert "taken for never executed" in only(closed_late).message
    assert closed_late.marketplace.states["L"] is ListingState.CLOSED
    closed_late.pass_time(60)
    closed_late.marketplace.set_state("L", ListingState.PUBLISHED)
    closed_late.follow()
    assert looked(closed_late) == []


def test_it_ends_when_the_feed_names_somebody_else_after_all(closed_late: World) -> None:
    closed_late.pass_time(60)
    closed_late.marketplace.set_state("L", ListingState.CLOSED)
    closed_late.follow()
    assert looked(closed_late) == []


def test_a_listing_with_stock_that_somebody_else_closed_is_none(world: World) -> None:
    world.listing("L", 5)
    world.marketplace.set_state("L", ListingState.CLOSED)
    world.follow()
    world.services.sweeper.sweep()
    world.upkeep()
    assert looked(world) == []


# --- reservations, links ------------------------------------------------------------------------------------------


def test_a_reservation_that_stays_pending_is_told_until_it_does_not(world: World) -> None:
    since = world.clock.now() - timedelta(hours=25)
    pending = [PendingReservation("r1", "tx-1", "L", 2, since)]
    asked: list[Any] = []

    def told(*, before: Any) -> list[PendingReservation]:
        asked.append(before)
        return pending

    world.marketplace.pending_reservations = told  # type: ignore[attr-defined]
    world.poll()
    keeping = Housekeeping(world.services)
    keeping.look_seldom()
    found = only(world)
    assert (found.kind, found.listing_id, found.detail["transaction"]) == ("reservation-pending", "L", "tx-1")
    assert asked == [world.clock.now() - timedelta(hours=24)]
    pending.clear()
    keeping.look_seldom()
    assert world.anomalies() == []


def links(world: World, *rows: str) -> None:
    table = "\n".join(["channel,sku,listing_id,units", *(f"{CHANNEL},{row}" for row in rows)])
    Links(world.store, world.clock, world.services.anomalies).import_csv(table, replace=True)


def test_two_skus_that_are_linked_alike_are_told_until_one_is_not(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    links(world, "A,L,1", "SIX,L,6", "B,M,1", "KIT,L,1", "KIT,M,1")
    assert world.anomalies() == []
    links(world, "A,L,1", "SIX,L,6", "B,L,1")
    assert (only(world).kind, only(world).detail["listing_ids"]) == ("duplicate-link", ["L"])
    links(world, "A,L,1", "SIX,L,6", "B,M,1")
    assert world.anomalies() == []
