"""The plan of one pass over one listing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.reconcile.plan import DuePair, Move, plan

START = datetime(2026, 1, 1, tzinfo=UTC)


def pair(pair_id: int, due_units: int, *, minutes: int = 0) -> DuePair:
    return DuePair(pair_id, due_units, START + timedelta(minutes=minutes))


def test_a_sale_lowers_and_a_return_raises() -> None:
    assert plan(10, [pair(1, 3)]).delta == -3
    assert plan(10, [pair(1, -3)]).delta == 3


def test_many_sales_are_one_delta() -> None:
    planned = plan(10, [pair(number, 1) for number in range(4)])
    assert (planned.delta, len(planned.moves), planned.is_complete) == (-4, 4, True)


def test_returns_come_first_so_that_a_sale_can_be_served_from_them() -> None:
    planned = plan(0, [pair(1, 2), pair(2, -2)])
    assert (planned.delta, planned.is_complete) == (0, True)
    assert set(planned.moves) == {Move(1, 2), Move(2, -2)}


def test_a_shortage_leaves_the_latest_sale_pending() -> None:
    planned = plan(5, [pair(1, 3, minutes=2), pair(2, 3, minutes=1)])
    assert planned.moves == (Move(2, 3), Move(1, 2))
    assert planned.short_units == 1


def test_sales_of_one_moment_are_served_in_a_fixed_order() -> None:
    assert plan(1, [pair(2, 1), pair(1, 1)]).moves == plan(1, [pair(1, 1), pair(2, 1)]).moves


@pytest.mark.parametrize("due", [[pair(1, -2)], [pair(1, -2), pair(2, 1)], [pair(2, 1)]])
def test_nothing_is_written_while_the_total_would_stay_below_zero(due: list[DuePair]) -> None:
    planned = plan(-3, due)
    assert (planned.delta, planned.moves) == (0, ())
    assert not planned.is_complete


def test_a_return_that_lifts_a_negative_total_is_given_back() -> None:
    assert plan(-3, [pair(1, -5)]).delta == 5


dues = st.lists(st.integers(-(10**6), 10**6).filter(bool), max_size=30)


@given(total=st.integers(-(10**6), 10**9), due=dues)
def test_promises_of_any_plan(total: int, due: list[int]) -> None:
    pairs = [pair(number, units, minutes=-number) for number, units in enumerate(due)]
    planned = plan(total, pairs)
    owed = {each.pair_id: each.due_units for each in pairs}
    assert planned.delta == -sum(move.units for move in planned.moves)
    assert total + planned.delta >= min(total, 0)
    assert total + planned.delta >= 0 or planned.delta == 0
    for move in planned.moves:
        assert 0 < move.units <= owed[move.pair_id] or owed[move.pair_id] == move.units < 0
    left = sum(units for units in due if units > 0) - sum(move.units for move in planned.moves if move.units > 0)
    assert planned.short_units == left
    if planned.short_units and planned.moves:
        assert total + planned.delta == 0
