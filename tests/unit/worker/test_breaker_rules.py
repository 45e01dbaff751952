"""When failures are in a row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from worker.breaker.rules import IN_A_ROW, State, after_failure

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
