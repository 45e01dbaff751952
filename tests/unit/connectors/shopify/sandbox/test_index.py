"""The order index: keyset walks, and lag."""

from __future__ import annotations

from random import Random

from connectors.sandbox.clock import VirtualClock
from connectors.shopify.sandbox.index import Entry, Key, OrderIndex


def index(clock: VirtualClock | None = None, lag_seconds: tuple[float, float] = (0, 0)) -> OrderIndex:
    return OrderIndex(clock or VirtualClock(), Random(1), lambda: lag_seconds)


def ids(walked: OrderIndex, sort: str = "UPDATED_AT", *, reverse: bool = False, after: Key | None = None) -> list[int]:
    return [key[1] for key, _ in walked.walk(sort, reverse=reverse, after=after, lowest=None, highest=None)]


def test_equal_seconds_are_ordered_by_id_and_a_place_is_passed_once() -> None:
    orders = index()
    for order_id in (3, 1, 2):
        orders.put(Entry(order_id, 10, 50))
    orders.put(Entry(4, 5, 40))
    assert ids(orders) == [4, 1, 2, 3]
    assert ids(orders, after=(50, 1)) == [2, 3]
    assert ids(orders, after=(50, 0)) == [1, 2, 3]
    assert ids(orders, reverse=True, after=(50, 2)) == [1, 4]


def test_a_changed_order_moves_and_is_not_lost_to_a_walk_that_passed_it() -> None:
    orders = index()
    for order_id in (1, 2, 3):
        orders.put(Entry(order_id, 10, order_id))
    orders.put(Entry(1, 10, 9))
    assert ids(orders, after=(1, 1)) == [2, 3, 1]
    assert ids(orders, "CREATED_AT") == [1, 2, 3]


def test_a_dropped_order_is_gone() -> None:
    orders = index()
    orders.put(Entry(1, 10, 10))
    orders.drop(1)
    assert ids(orders) == []
    assert ids(orders, "ID") == []


def test_bounds_are_inclusive() -> None:
    orders = index()
    for order_id in (1, 2, 3, 4):
        orders.put(Entry(order_id, 0, order_id))
    walked = orders.walk("UPDATED_AT", reverse=False, after=None, lowest=2, highest=3)
    assert [key[1] for key, _ in walked] == [2, 3]


def test_a_change_shows_only_after_the_lag() -> None:
    clock = VirtualClock()
    orders = index(clock, (5, 5))
    orders.put(Entry(1, 10, 10))
    assert ids(orders) == []
    clock.advance(5)
    assert ids(orders) == [1]
    orders.drop(1)
    assert ids(orders) == [1]
    clock.advance(5)
    assert ids(orders) == []


def test_an_older_state_that_comes_late_does_not_undo_a_newer_one() -> None:
    clock = VirtualClock()
    orders = index(clock, (0, 10))
    for second in range(20):
        orders.put(Entry(1, 0, second))
    clock.advance(10)
    walked = list(orders.walk("UPDATED_AT", reverse=False, after=None, lowest=None, highest=None))
    assert [entry.updated_at for _, entry in walked] == [19]
