"""A marketplace that only sets numbers: what can be lost there is told, and nothing is guessed (P1, P4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.doubles import AbsoluteMarketplace
from tests.world import World
from worker.reconcile.decide import Decisions
from worker.store import Store
from worker.store.tables import Anomaly, HoldReason, HoldScope, ListingRow, Operation


@pytest.fixture
def world(store: Store) -> World:
    return World(store, marketplace=AbsoluteMarketplace)


def slip_in(world: World, action: Callable[[], object]) -> None:
    """Right before the next write is executed."""

    def once(_listing: str) -> None:
        world.marketplace.before_adjust = None
        action()

    world.marketplace.before_adjust = once


def make_unreadable(world: World, *sales: str) -> None:
    """These sales, and no others."""
    assert isinstance(world.marketplace, AbsoluteMarketplace)
    world.marketplace.unreadable_sales = sales


def settle_down(world: World, minutes: int = 10) -> None:
    for _ in range(minutes):
        world.services.sweeper.sweep()
        world.reconcile()
        world.upkeep()
        world.services.overwrites.look()
        world.pass_time(60)


def test_a_sale_that_a_write_overwrote_is_told_with_its_units(world: World) -> None:
    world.listing(total=10)
    world.link()
    slip_in(world, lambda: world.marketplace.buy("L", 2))
    world.sell("1", {"A": 3})
    settle_down(world)
    assert world.total() == 7
    assert world.anomalies() == ["sale-at-risk"]
    ((detail,),) = world.rows(Anomaly.detail)
    assert (detail["units"], detail["sale"]) == (2, next(iter(world.marketplace.stock_model.reservations)))
    world.marketplace.edit("L", -2)
    Decisions(world.store, world.clock, world.services.anomalies).accept_total("L", by="ada", reason="counted")
    settle_down(world)
    assert (world.total(), world.anomalies()) == (5, [])


def test_a_sale_that_a_write_overwrote_when_it_was_executed_late_is_told(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "late")
    world.sell("1", {"A": 3})
    settle_down(world, minutes=4)
    assert world.operations() == [("absent", 10, 7), ("applied", 10, 7)]
    held = world.marketplace.buy("L", 2)
    world.pass_time(240)
    [execute] = world.marketplace.late
    execute()
    assert world.total() == 7
    settle_down(world, minutes=10)
    assert world.anomalies() == ["sale-at-risk"]
    ((detail,),) = world.rows(Anomaly.detail)
    assert (detail["units"], detail["sale"]) == (2, held.reservation_id)


def test_a_sale_that_cannot_be_read_is_told_and_judged_once_it_can(world: World) -> None:
    world.listing(total=10)
    world.link()
    slip_in(world, lambda: world.marketplace.buy("L", 2))
    world.sell("1", {"A": 3})
    world.reconcile()
    [sale] = world.marketplace.stock_model.reservations
    make_unreadable(world, sale)
    settle_down(world)
    assert world.anomalies() == ["unreadable-sale"]
    ((order_id, message),) = world.rows(Anomaly.order_id, Anomaly.message)
    assert (order_id, "it has no status" in message) == (sale, True)
    make_unreadable(world)
    settle_down(world)
    assert world.anomalies() == ["sale-at-risk"]
    Decisions(world.store, world.clock, world.services.anomalies).accept_total("L", by="ada", reason="counted")
    settle_down(world, minutes=60)
    assert world.anomalies() == []


def test_an_unreadable_sale_is_asked_for_more_and_more_seldom_and_what_a_person_judged_stays_so(world: World) -> None:
    world.listing(total=10)
    world.link()
    slip_in(world, lambda: world.marketplace.buy("L", 2))
    world.sell("1", {"A": 3})
    world.reconcile()
    settle_down(world)
    Decisions(world.store, world.clock, world.services.anomalies).accept_total("L", by="ada", reason="counted")
    world.marketplace.buy("L", 1)
    make_unreadable(world, list(world.marketplace.stock_model.reservations)[-1])
    slip_in(world, lambda: None)
    world.sell("2", {"A": 1})
    settle_down(world, minutes=60)
    asked = world.marketplace.count("sales")
    settle_down(world, minutes=60)
    # At most one every five minutes, and fewer in the second hour.
    assert 0 < world.marketplace.count("sales") - asked <= 10
    make_unreadable(world)
    settle_down(world, minutes=30)
    assert world.anomalies() == ["sale-at-risk"]


def test_sales_at_other_times_and_of_other_listings_are_not_told(world: World) -> None:
    world.listing(total=10)
    world.listing("M", total=10)
    world.link()
    world.marketplace.buy("L", 1)
    settle_down(world)
    slip_in(world, lambda: world.marketplace.buy("M", 2))
    world.sell("1", {"A": 3})
    settle_down(world)
    world.marketplace.buy("L", 1)
    settle_down(world)
    assert (world.total(), world.anomalies()) == (5, [])


def test_without_a_write_the_sales_are_not_asked_for(world: World) -> None:
    world.listing(total=10)
    settle_down(world)
    assert world.marketplace.count("sales") == 0
    world.link()
    world.sell("1", {"A": 3})
    settle_down(world)
    assert world.marketplace.count("sales") == 1


@pytest.mark.parametrize(("how", "states"), [("lost_after", ["applied"]), ("lost_before", ["absent", "applied"])])
def test_a_lost_answer_is_settled_by_the_number_where_that_decides(world: World, how: str, states: list[str]) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", how)
    world.sell("1", {"A": 3})
    settle_down(world)
    assert [state for state, *_ in world.operations()] == states
    assert (world.total(), world.pairs(), world.anomalies()) == (7, [("A", 3, 3, 0)], [])


def test_the_number_from_before_is_believed_only_after_settle_after(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "lost_before")
    world.sell("1", {"A": 3})
    world.reconcile()
    world.pass_time(30)
    world.reconcile()
    assert [state for state, *_ in world.operations()] == ["unknown"]


def test_a_number_that_is_neither_is_for_a_person(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "lost_before")
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.buy("L", 1)
    settle_down(world)
    assert world.operations() == [("unknown", 10, 7)]
    assert "outcome-unknown" in world.anomalies()
    ((operation,),) = world.rows(Operation.id)
    Decisions(world.store, world.clock, world.services.anomalies).settle(
        operation, "absent", by="ada", reason="the vendor said so"
    )
    settle_down(world)
    assert (world.total(), world.pairs()) == (6, [("A", 3, 3, 0)])


def taken_for_absent(world: World, order_id: str) -> Callable[[], object]:
    """A write for 3 units is lost, its sale taken back, and it is taken for absent. Returns what executes it late."""
    world.marketplace.fail("adjust", "late")
    order = world.sell(order_id, {"A": 3})
    world.reconcile()
    world.pass_time(5)
    world.sell(order_id, {"A": 0}, placed_at=order.placed_at)
    settle_down(world, 4)
    [execute] = world.marketplace.late
    return execute


def test_a_write_executed_late_over_a_newer_number_is_told(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "late")
    world.sell("1", {"A": 3})
    settle_down(world, 5)
    world.sell("2", {"A": 2})
    settle_down(world, 3)
    assert world.total() == 5
    for execute in world.marketplace.late:
        execute()
    assert world.total() == 7
    settle_down(world)
    assert world.anomalies() == ["unexplained-total"]


def test_a_write_executed_late_whose_sale_was_taken_back_meanwhile_is_told(world: World) -> None:
    world.listing(total=10)
    world.link()
    execute = taken_for_absent(world, "1")
    assert (world.operations(), world.total()) == ([("absent", 10, 7)], 10)
    execute()
    settle_down(world)
    assert (world.total(), world.anomalies()) == (7, ["unexplained-total"])


def test_a_write_executed_late_behind_which_something_was_sold_before_anybody_looked_is_told(world: World) -> None:
    world.listing(total=10)
    world.link()
    execute = taken_for_absent(world, "1")
    assert world.operations() == [("absent", 10, 7)]
    execute()
    world.pass_time(20 * 60)
    world.marketplace.buy("L", 2)
    settle_down(world)
    assert (world.total(), world.anomalies()) == (5, ["unexplained-total"])


def test_a_write_that_no_answer_proves_is_told_if_it_may_have_been_executed_over_a_later_one(world: World) -> None:
    """The provider has added units before anybody looked, so that its number is not there either."""
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "late")
    order = world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.buy("L", 3)
    settle_down(world, 2)
    assert world.operations() == [("applied", 10, 7)]
    world.sell("1", {"A": 1}, placed_at=order.placed_at)
    settle_down(world, 2)
    assert (world.operations()[-1], world.anomalies()) == (("applied", 7, 9), ["sale-at-risk"])
    [execute] = world.marketplace.late
    execute()
    world.marketplace.edit("L", 20)
    settle_down(world)
    assert (world.total(), "unexplained-total" in world.anomalies()) == (27, True)


def test_a_write_executed_late_that_sets_the_number_of_an_earlier_one_is_told(world: World) -> None:
    """That the number of the last applied write is there proves nothing once another has been read."""
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.edit("L", 3)
    execute = taken_for_absent(world, "2")
    assert world.operations() == [("applied", 10, 7), ("absent", 10, 7)]
    execute()
    settle_down(world)
    assert (world.total(), world.anomalies()) == (7, ["unexplained-total"])


def test_a_write_executed_late_while_nobody_looked_for_days_is_told(world: World) -> None:
    world.listing(total=10)
    world.link()
    execute = taken_for_absent(world, "1")
    world.services.holds.place(HoldReason.PAUSED, HoldScope.MARKETPLACE, "marketplace", "by hand")
    execute()
    world.pass_time(3 * 86400)
    world.services.holds.lift(HoldScope.MARKETPLACE, "marketplace", by="ada")
    settle_down(world)
    assert (world.total(), world.anomalies()) == (7, ["unexplained-total"])


def test_a_write_taken_for_executed_because_of_a_sale_that_looks_alike_is_told_when_it_is_executed_late(
    world: World,
) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "late")
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.buy("L", 3)
    settle_down(world, 2)
    world.sell("2", {"A": 7})
    settle_down(world, 3)
    assert (world.operations(), world.total()) == ([("applied", 10, 7), ("applied", 7, 0)], 0)
    [execute] = world.marketplace.late
    execute()
    settle_down(world)
    assert world.total() == 7
    assert "unexplained-total" in world.anomalies()


def test_an_edit_from_before_a_write_that_was_never_sent_is_not_taken_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What trueup holds is older than the edit, and the process is killed before it sends."""
    world.listing(total=10)
    world.link()
    world.marketplace.edit("L", -3)
    world.sell("1", {"A": 3})

    def killed(*_arguments: object, **_more: object) -> None:
        monkeypatch.undo()
        raise SystemExit

    monkeypatch.setattr(world.marketplace, "adjust", killed)
    with pytest.raises(SystemExit):
        world.reconcile()
    settle_down(world)
    assert (world.total(), world.pairs()) == (4, [("A", 3, 3, 0)])


@pytest.mark.parametrize("sold", [0, 1])
def test_a_write_executed_late_while_a_person_was_asked_about_the_next_one_is_not_taken_for_absent(
    world: World, sold: int
) -> None:
    """Neither number of the second write is there, so that a person is asked, for days. Whether the first one's is
    depends on what was sold since.
    """
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "late")
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.fail("adjust", "lost_before")
    world.sell("2", {"A": 2})
    settle_down(world, 2)
    assert world.operations() == [("absent", 10, 7), ("unknown", 10, 5)]
    [execute] = world.marketplace.late
    execute()
    if sold:
        world.marketplace.buy("L", sold)
    settle_down(world)
    world.pass_time(3 * 86400)
    first, second = (row.id for row in world.rows(Operation.id))
    decisions = Decisions(world.store, world.clock, world.services.anomalies)
    decisions.settle(second, "absent", by="ada", reason="the vendor said so")
    settle_down(world)
    if not sold:
        assert "unexplained-total" in world.anomalies()
        return
    assert world.operations()[0] == ("unknown", 10, 7)
    assert "outcome-unknown" in world.anomalies()
    decisions.settle(first, "applied", by="ada", reason="it set 7, and one was sold since")
    settle_down(world)
    assert (world.total(), world.pairs()) == (4, [("A", 3, 3, 0), ("A", 2, 2, 0)])
    world.assert_p1()


def test_a_write_that_slept_undoes_what_was_written_meanwhile_which_is_written_again_and_told(world: World) -> None:
    world.listing(total=10)
    world.link()

    def sleep() -> None:
        world.pass_time(120)
        world.reconcile()
        world.sell("2", {"A": 2})
        world.reconcile()
        assert world.total() == 5

    slip_in(world, sleep)
    world.sell("1", {"A": 3})
    world.reconcile()
    settle_down(world)
    assert world.marketplace.own_net("L") == 5
    assert (world.total(), world.pairs()) == (5, [("A", 3, 3, 0), ("A", 2, 2, 0)])
    assert "unexplained-total" in world.anomalies()
    world.assert_p1()


def test_stock_that_a_sweep_shows_at_zero_is_looked_at_long_before_closing_is_due(world: World) -> None:
    world.listing(total=1)
    world.link()
    world.sell("1", {"A": 1})
    world.reconcile()
    world.upkeep()
    world.marketplace.edit("L", 5)
    world.pass_time(60)
    world.services.sweeper.sweep()
    world.upkeep()
    assert world.rows(ListingRow.total) == [(5,)]
    world.marketplace.edit("L", -5)
    world.services.sweeper.sweep()
    world.upkeep()
    world.pass_time(19 * 60)
    world.upkeep()
    assert world.marketplace.count("close") == 0
    world.pass_time(61)
    world.upkeep()
    assert world.marketplace.count("close") == 1


def test_where_a_sweep_is_all_that_tells_it_comes_as_often_as_a_tenth_of_the_time_allows(store: Store) -> None:
    world = World(store, marketplace=AbsoluteMarketplace)
    sweeper = world.services.sweeper
    assert sweeper.interval() == timedelta(hours=1)
    listings = world.marketplace.listings

    def slowly() -> Iterator[Any]:
        world.pass_time(180)
        return listings()

    for seconds, expected in ((0, timedelta(minutes=5)), (180, timedelta(minutes=30))):
        world.marketplace.listings = slowly if seconds else listings  # type: ignore[method-assign]
        sweeper.sweep()
        assert sweeper.interval() == expected


def test_behind_a_feed_a_sweep_comes_once_a_day(store: Store) -> None:
    world = World(store)
    world.services.sweeper.sweep()
    assert world.services.sweeper.interval() == timedelta(days=1)
