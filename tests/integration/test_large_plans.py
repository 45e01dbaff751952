"""A plan that changes many listings at once, not by trade, waits for a person; trade does not, however much it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from config.settings import PolicySettings
from tests.world import CHANNEL, World
from worker.alerts import Kind
from worker.links.service import Links
from worker.operators import Actor, Via
from worker.reconcile.decide import DecisionRefusedError
from worker.reconcile.size import FEW_LISTINGS, Limits, PlanSize
from worker.status import Preview
from worker.store import Store
from worker.store.tables import HoldReason, HoldScope

ADA = Actor("ada", Via.CONSOLE)
TOO_MANY = 4
DAYS = 86_400.0


@pytest.fixture
def careful(store: Store) -> World:
    """Four listings at once are too many here."""
    return World(store, policy=PolicySettings(confirm_new_channels=False, large_plan_listings=TOO_MANY))


def listings(world: World, number: int, total: int = 10, *, linked: bool = True) -> Sequence[str]:
    """So many listings that are met, linked by a SKU of the same name."""
    names = [f"L{index:02}" for index in range(number)]
    for name in names:
        world.marketplace.add(name, total)
    world.follow()
    world.upkeep()
    world.services.sweeper.sweep()
    world.pass_time(1)
    for name in names if linked else ():
        world.link(name, name)
    world.pass_time(1)
    return names


def sell_each(world: World, names: Sequence[str], units: int = 1) -> None:
    for name in names:
        world.sell(f"o-{name}", {name: units})


def link_late(world: World, names: Sequence[str], days: float) -> None:
    """SKUs that were sold for some days are linked now, from before those sales on."""
    start = (world.clock.now() - timedelta(days=days)).isoformat()
    rows = [f"{CHANNEL},{name},{name},1,{start}" for name in names]
    table = "\n".join(["channel,sku,listing_id,units,from", *rows])
    Links(world.store, world.clock, world.services.anomalies).import_csv(table)


def written(world: World) -> int:
    return len(world.operations())


# --- what is too large --------------------------------------------------------------------------------------------


def test_many_old_sales_at_once_wait_for_a_person_before_the_first_is_written(careful: World) -> None:
    names = listings(careful, TOO_MANY, linked=False)
    sell_each(careful, names)
    careful.pass_time(3 * DAYS)
    link_late(careful, names, days=4)
    careful.reconcile()
    assert (written(careful), careful.holds()) == (0, ["plan-too-large"])
    (found,) = careful.services.anomalies.list(kind=Kind.PLAN_TOO_LARGE)
    assert (found.channel, found.detail["listings"], found.detail["units_to_take"]) == (CHANNEL, 4, 4)
    careful.settle_down(seconds=300)
    assert written(careful) == 0, "it stays so until somebody has seen it"
    careful.services.desk.confirm_plan(CHANNEL, PlanSize(4, 4, 0), by=ADA)
    careful.reconcile()
    assert [careful.total(name) for name in names] == [9] * 4
    assert (careful.holds(), careful.anomalies()) == ([], [])
    careful.assert_p1()


def test_every_order_cancelled_one_after_the_other_is_one_plan(careful: World) -> None:
    names = listings(careful, 8)
    sell_each(careful, names, 3)
    careful.reconcile()
    careful.pass_time(60)
    for name in names:
        careful.deliver(careful.channel.put(f"o-{name}", {}))
        careful.reconcile()
        careful.pass_time(60)
    given_back = [name for name in names if careful.total(name) == 10]
    assert len(given_back) == TOO_MANY - 1
    assert careful.holds() == ["plan-too-large"]
    careful.assert_p1()


def test_half_of_many_numbers_at_once_is_too_much_even_of_new_sales(careful: World) -> None:
    names = listings(careful, TOO_MANY, total=12)
    sell_each(careful, names, 6)
    careful.reconcile()
    assert (written(careful), careful.holds()) == (0, ["plan-too-large"])


def test_a_share_of_what_the_channel_sells_is_too_much_from_a_number_on(world: World) -> None:
    names = listings(world, FEW_LISTINGS, total=10)
    sell_each(world, names[:-1], 5)
    world.reconcile()
    assert (written(world), world.holds()) == (FEW_LISTINGS - 1, [])
    world.pass_time(60)
    for name in names:
        world.deliver(world.channel.put(f"o-{name}", {name: 10}))
    world.reconcile()
    assert (written(world), world.holds()) == (FEW_LISTINGS - 1, ["plan-too-large"])


def test_no_process_writes_a_part_that_another_has_found_too_large(careful: World) -> None:
    """The one that has leased its batch before the plan grew sees what is due when it plans."""
    names = listings(careful, TOO_MANY, linked=False)
    sell_each(careful, names)
    careful.pass_time(3 * DAYS)
    link_late(careful, names[:1], days=4)
    another = careful.rooms(careful.store)
    leased = careful.services.reconciler._lease("me", 32)
    link_late(careful, names[1:], days=4)
    another.reconciler.drain()
    careful.services.reconciler._prepare(leased, "me")
    assert [item.operation_id for item in leased] == [None]
    assert (written(careful), careful.holds()) == (0, ["plan-too-large"])


# --- what is not ------------------------------------------------------------------------------------------------


def test_a_day_of_trade_is_written_however_many_listings_it_lowers(careful: World) -> None:
    """Everything is sold at once, while the marketplace could not be reached."""
    names = listings(careful, 12)
    sell_each(careful, names, 4)
    careful.pass_time(8 * 3600)
    careful.reconcile()
    assert [careful.total(name) for name in names] == [6] * 12
    assert careful.holds() == []


def test_single_pieces_that_were_sold_while_nothing_could_be_written_are_trade(careful: World) -> None:
    names = listings(careful, 12, total=1)
    sell_each(careful, names)
    careful.pass_time(3600)
    careful.reconcile()
    assert [careful.total(name) for name in names] == [0] * 12
    assert careful.holds() == []


def test_a_sell_out_is_written_as_it_comes(careful: World) -> None:
    names = listings(careful, 12, total=1)
    for name in names:
        careful.sell(f"o-{name}", {name: 1})
        careful.reconcile()
    assert [careful.total(name) for name in names] == [0] * 12
    assert careful.holds() == []


def test_some_returns_every_hour_are_trade(careful: World) -> None:
    names = listings(careful, 8)
    sell_each(careful, names, 2)
    careful.reconcile()
    careful.pass_time(60)
    for number, name in enumerate(names):
        careful.deliver(careful.channel.put(f"o-{name}", {name: 1}))
        careful.reconcile()
        if number % 2:
            careful.pass_time(3601)
    assert careful.holds() == []
    assert [careful.total(name) for name in names] == [9] * 8


def test_what_waits_for_stock_lowers_nothing(careful: World) -> None:
    names = listings(careful, 8, total=0)
    sell_each(careful, names)
    careful.pass_time(3 * DAYS)
    careful.settle_down(seconds=60)
    assert careful.holds() == []
    assert careful.anomalies() == ["oversold"] * 8


# --- a person's word --------------------------------------------------------------------------------------------


def test_a_word_is_for_what_was_shown(careful: World) -> None:
    names = listings(careful, 12, linked=False)
    sell_each(careful, names)
    careful.pass_time(3 * DAYS)
    link_late(careful, names[:4], days=4)
    careful.reconcile()
    shown = PlanSize(4, 4, 0)
    link_late(careful, names[4:], days=4)
    with pytest.raises(DecisionRefusedError, match="12 listings"):
        careful.services.desk.confirm_plan(CHANNEL, shown, by=ADA)
    assert careful.holds() == ["plan-too-large"]
    assert careful.services.desk.confirm_plan(CHANNEL, PlanSize(12, 12, 0), by=ADA) == 1
    assert careful.services.desk.confirm_plan(CHANNEL, PlanSize(12, 12, 0), by=ADA) == 0
    careful.reconcile()
    assert written(careful) == 12
    (action, *_) = careful.services.actions.list()
    assert (action.verb, action.after["listings"], action.after["held"]) == ("plan-confirmed", 12, [])


def test_what_comes_after_a_word_is_judged_by_itself(careful: World) -> None:
    """First contact: the channel is confirmed before it has any link, and then all are made at once."""
    careful.services.holds.place(HoldReason.SHADOW, HoldScope.CHANNEL, CHANNEL, "new")
    names = listings(careful, 9, linked=False)
    sell_each(careful, names)
    careful.pass_time(3 * DAYS)
    careful.services.desk.confirm_plan(CHANNEL, PlanSize(), by=ADA)
    link_late(careful, names[:4], days=4)
    careful.reconcile()
    assert (written(careful), careful.holds()) == (0, ["plan-too-large"])
    careful.services.desk.lift(HoldScope.CHANNEL, CHANNEL, by=ADA)
    careful.reconcile()
    assert (written(careful), careful.holds()) == (4, [])
    link_late(careful, names[4:], days=4)
    careful.reconcile()
    assert (written(careful), careful.holds()) == (4, ["plan-too-large"])


def test_what_was_let_through_is_no_part_of_tomorrows_plan(careful: World) -> None:
    names = listings(careful, 8, linked=False)
    sell_each(careful, names)
    careful.pass_time(3 * DAYS)
    link_late(careful, names[:7], days=4)
    careful.reconcile()
    careful.services.desk.lift(HoldScope.CHANNEL, CHANNEL, by=ADA)
    careful.pass_time(DAYS - 60)
    careful.reconcile()
    assert written(careful) == 7
    careful.pass_time(120)
    link_late(careful, names[7:], days=6)
    careful.reconcile()
    assert (written(careful), careful.holds()) == (8, [])


def test_a_plan_that_waits_is_shown_whole_and_in_pages(careful: World) -> None:
    names = listings(careful, TOO_MANY, linked=False)
    sell_each(careful, names)
    careful.pass_time(3 * DAYS)
    link_late(careful, names, days=4)
    careful.reconcile()
    services = careful.services
    preview = Preview(services.store, services.holds, services.marketplace, services.executor)
    found = preview.plan(channel=CHANNEL)
    assert [(entry.listing_id, entry.new_total, entry.held) for entry in found] == [
        (name, 9, f"plan-too-large: {CHANNEL}") for name in names
    ]
    first = preview.plan(channel=CHANNEL, limit=3)
    rest = preview.plan(channel=CHANNEL, after=first[-1].listing_id, limit=3)
    assert [entry.listing_id for entry in (*first, *rest)] == names


@pytest.mark.parametrize(
    ("limits", "linked", "most"),
    [
        (Limits(500, 0.5), 10, FEW_LISTINGS),
        (Limits(500, 0.5), 100, 50),
        (Limits(500, 0.5), 100_000, 500),
        (Limits(3, 0.5), 100, 3),
        (Limits(500, 0.25), 101, 26),
    ],
)
def test_from_how_many_on_a_plan_is_too_large(limits: Limits, linked: int, most: int) -> None:
    assert limits.of(linked) == most
    assert limits.least <= most
