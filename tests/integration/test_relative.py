"""A marketplace that adds and takes without comparing: a buyer may come between its read and its write (P1, P4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from connectors.contract import Evidence
from tests.doubles import RelativeMarketplace
from tests.world import World
from worker.reconcile.decide import Decision, Decisions
from worker.store import Store
from worker.store.tables import Claim, Operation


class SoleWriter(RelativeMarketplace):
    evidence = Evidence.ATTRIBUTED


@pytest.fixture
def anonymous(store: Store) -> World:
    return World(store, marketplace=RelativeMarketplace)


@pytest.fixture
def sole_writer(store: Store) -> World:
    return World(store, marketplace=SoleWriter)


def slip_in(world: World, action: Callable[[], object]) -> None:
    """Right before the next write is executed."""
    marketplace = world.marketplace

    def once(_listing: str) -> None:
        marketplace.before_adjust = None
        action()

    marketplace.before_adjust = once


def settle_down(world: World, minutes: int = 10) -> None:
    """Time passes; there is no feed, so a sweep looks now and then."""
    for _ in range(minutes):
        world.services.sweeper.sweep()
        world.reconcile()
        world.upkeep()
        world.pass_time(60)


def test_a_purchase_between_read_and_write_counts_beside_it(anonymous: World) -> None:
    anonymous.listing(total=10)
    anonymous.link()
    slip_in(anonymous, lambda: anonymous.marketplace.buy("L", 4))
    anonymous.sell("1", {"A": 3})
    anonymous.reconcile()
    assert anonymous.total() == 3
    anonymous.sell("2", {"A": 1})
    settle_down(anonymous)
    assert anonymous.total() == 2
    assert anonymous.pairs() == [("A", 3, 3, 0), ("A", 1, 1, 0)]
    assert anonymous.anomalies() == []
    anonymous.assert_p1()


def test_a_purchase_that_leaves_too_little_makes_an_oversell_not_a_number_below_zero(anonymous: World) -> None:
    anonymous.listing(total=5)
    anonymous.link()
    slip_in(anonymous, lambda: anonymous.marketplace.buy("L", 4))
    anonymous.sell("1", {"A": 3})
    settle_down(anonymous)
    assert (anonymous.total(), anonymous.pairs()) == (0, [("A", 3, 1, 0)])
    assert anonymous.anomalies() == ["oversold"]
    anonymous.assert_p1()


def test_an_answer_claims_the_adjustment_that_it_names(anonymous: World) -> None:
    anonymous.listing(total=10)
    anonymous.link()
    anonymous.sell("1", {"A": 3})
    anonymous.reconcile()
    ((adjustment, operation),) = anonymous.rows(Claim.adjustment_id, Claim.operation_id)
    assert adjustment == anonymous.marketplace.stock_model.stock("L").adjustments[-1].adjustment_id
    assert anonymous.rows(Operation.id, Operation.claimed) == [(operation, True)]


def test_a_lost_write_that_happened_is_found_by_size_where_only_we_write(sole_writer: World) -> None:
    world = sole_writer
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "lost_after")
    slip_in(world, lambda: world.marketplace.buy("L", 4))
    world.sell("1", {"A": 3})
    settle_down(world)
    assert (world.total(), world.operations()) == (3, [("applied", 10, 7)])
    assert (world.anomalies(), world.holds()) == ([], [])
    world.assert_p1()


@pytest.mark.parametrize("between", [0, 2])
def test_a_lost_write_that_did_not_happen_is_sent_again(anonymous: World, between: int) -> None:
    """Whatever else moved the stock meanwhile, as long as it was no move of that size."""
    anonymous.listing(total=10)
    anonymous.link()
    anonymous.marketplace.fail("adjust", "lost_before")
    anonymous.sell("1", {"A": 3})
    anonymous.reconcile()
    if between:
        anonymous.marketplace.edit("L", -between)
    settle_down(anonymous)
    assert [state for state, *_ in anonymous.operations()] == ["absent", "applied"]
    assert anonymous.total() == 7 - between
    assert anonymous.anomalies() == []
    anonymous.assert_p1()


@pytest.mark.parametrize(("truth", "decision", "total"), [("lost_after", "applied", 7), ("edit", "absent", 4)])
def test_an_entry_of_its_size_without_an_author_is_for_a_person(
    anonymous: World, truth: str, decision: Decision, total: int
) -> None:
    world = anonymous
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "lost_before" if truth == "edit" else truth)
    world.sell("1", {"A": 3})
    world.reconcile()
    if truth == "edit":
        world.marketplace.edit("L", -3)
    settle_down(world)
    assert world.operations() == [("unknown", 10, 7)]
    assert world.anomalies() == ["outcome-unknown"]
    with world.store.read() as transaction:
        operation = transaction.scalars(select(Operation.id)).one()
    decisions = Decisions(world.store, world.clock, world.services.anomalies)
    decisions.settle(operation, decision, by="ada", reason="asked the seller")
    settle_down(world)
    assert world.total() == total
    assert world.anomalies() == []
    world.assert_p1()


def test_executed_after_it_was_taken_for_absent_it_is_given_back(sole_writer: World) -> None:
    world = sole_writer
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "late")
    world.sell("1", {"A": 3})
    settle_down(world, 5)
    assert [state for state, *_ in world.operations()] == ["absent", "applied"]
    for execute in world.marketplace.late:
        execute()
    assert world.total() == 4
    settle_down(world)
    assert world.total() == 7
    assert [state for state, *_ in world.operations()] == ["applied", "applied", "applied"]
    world.assert_p1()


def test_a_move_by_a_person_days_later_is_not_taken_for_it(anonymous: World) -> None:
    world = anonymous
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "lost_before")
    world.sell("1", {"A": 3})
    settle_down(world, 5)
    world.pass_time(timedelta(days=3).total_seconds())
    world.marketplace.edit("L", -3)
    settle_down(world, 5)
    assert [state for state, *_ in world.operations()] == ["absent", "applied"]
    assert world.anomalies() == []


def test_a_write_that_slept_and_took_its_units_after_another_had_is_evened_out_at_once(anonymous: World) -> None:
    """Nothing but its answer tells of it."""
    world = anonymous
    world.listing(total=10)
    world.link()

    def sleep() -> None:
        world.pass_time(120)
        world.reconcile()
        world.pass_time(120)
        world.reconcile()
        assert world.total() == 7

    slip_in(world, sleep)
    world.sell("1", {"A": 3})
    world.reconcile()
    world.reconcile()
    assert (world.total(), world.pairs()) == (7, [("A", 3, 3, 0)])
