"""When failures are in a row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from worker.breaker.rules import IN_A_ROW, Breaker, State, after_failure

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CALL = 2 * IN_A_ROW
"""How long it takes to get no answer."""


def test_failures_are_in_a_row_however_long_each_of_them_takes() -> None:
    held, at = None, NOON
    for _ in range(3):
        asked_at = at + timedelta(seconds=10)
        at = asked_at + CALL
        held = after_failure(held, asked_at, at)
    assert held is not None
    assert held.state(at) is State.OPEN


def test_failures_with_a_long_time_between_them_are_not() -> None:
    held, at = None, NOON
    for _ in range(5):
        asked_at = at + IN_A_ROW + timedelta(seconds=1)
        at = asked_at + CALL
        held = after_failure(held, asked_at, at)
    assert held is not None
    assert (held.failures, held.state(at)) == (1, State.CLOSED)
    assert held.is_in_trouble(at)
    assert not held.is_in_trouble(at + IN_A_ROW + timedelta(seconds=1))


def test_calls_side_by_side_that_fail_before_any_is_answered_are_one_failure() -> None:
    asked_at, moment = NOON, timedelta(milliseconds=2)
    held = None
    for n in range(1, 9):
        held = after_failure(held, asked_at, asked_at + n * moment)
    assert held is not None
    assert (held.failures, held.state(asked_at + 8 * moment)) == (1, State.CLOSED)


def test_rounds_of_calls_side_by_side_that_all_fail_open_it_with_the_third() -> None:
    held, at = None, NOON
    for _ in range(3):
        assert held is None or held.state(at) is State.CLOSED
        asked_at, at = at, at + CALL
        for n in range(8):
            held = after_failure(held, asked_at, at + n * timedelta(milliseconds=2))
        at += timedelta(seconds=1)
    assert held is not None
    assert held.state(at) is State.OPEN


def test_calls_side_by_side_that_fail_while_calls_grow_are_one_failure() -> None:
    held = Breaker(0, NOON, pauses=1, ramp_from=NOON, granted=1)
    for n in range(1, 9):
        held = after_failure(held, NOON, NOON + n * timedelta(milliseconds=2))
    assert (held.failures, held.state(NOON + timedelta(seconds=1))) == (1, State.RAMP)
