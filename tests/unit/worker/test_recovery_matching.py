"""Which lines the adjustments of a lost time were for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.recovery.matching import DueLine, Lost, match

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def lost(*taken: int) -> list[Lost]:
    return [Lost(f"a{number}", units, 0) for number, units in enumerate(taken)]


def lines(*due: int) -> list[DueLine]:
    """In the order they were placed."""
    return [DueLine(number, units, NOON + timedelta(minutes=number)) for number, units in enumerate(due)]


def booked(taken: list[Lost], due: list[DueLine]) -> tuple[list[dict[int, int]], int]:
    found = match(taken, due)
    return [booking.moves for booking in found.bookings], found.remainder


@pytest.mark.parametrize(
    ("taken", "due", "expected"),
    [
        # All that was due was taken.
        (lost(3), lines(3), [{0: 3}]),
        (lost(2, 1), lines(2, 1), [{0: 2}, {1: 1}]),
        (lost(3), lines(2, 1), [{0: 2, 1: 1}]),
        # The latest came after the last write.
        (lost(2), lines(2, 1), [{0: 2}]),
        (lost(1), lines(3), [{0: 1}]),
        # Returns.
        (lost(-1), lines(-1), [{0: -1}]),
        (lost(1), lines(-1, 2), [{1: 2, 0: -1}]),
        (lost(2, -1), lines(-1, 2), [{1: 2}, {0: -1}]),
        # Sold and returned within the lost time: nothing is owed, nothing needs a line.
        (lost(2, -2), lines(0), [{}, {}]),
        (lost(2, -2), (), [{}, {}]),
        (lost(2, -2), lines(0, 4), [{}, {}]),
    ],
)
def test_what_the_lines_explain(taken: list[Lost], due: list[DueLine], expected: list[dict[int, int]]) -> None:
    assert booked(taken, due) == (expected, 0)


@pytest.mark.parametrize(
    ("taken", "due", "remainder"),
    [(lost(5), lines(3), 2), (lost(1), (), 1), (lost(-2), lines(3), -2), (lost(-3), lines(-1, 4), -2)],
)
def test_what_no_line_explains_remains(taken: list[Lost], due: list[DueLine], remainder: int) -> None:
    assert booked(taken, due)[1] == remainder


def test_what_was_cancelled_after_the_last_write_is_booked_to_be_given_back() -> None:
    due = [
        DueLine(0, 3, NOON, cancelled=2),
        DueLine(1, 1, NOON + timedelta(minutes=1), cancelled=1),
        DueLine(2, 0, NOON + timedelta(minutes=2), cancelled=4),
    ]
    assert booked(lost(9), due) == ([{0: 3, 1: 2, 2: 4}], 0)
    assert booked(lost(5), due) == ([{0: 3, 1: 1, 2: 1}], 0)
    assert booked(lost(4), due) == ([{0: 3, 1: 1}], 0)
    assert booked(lost(12), due)[1] == 1


UNITS = st.integers(-6, 6)


@given(st.lists(UNITS.filter(bool), max_size=5), st.lists(UNITS, max_size=5))
def test_never_more_than_is_due_and_always_the_net(taken: list[int], due: list[int]) -> None:
    found = match(lost(*taken), lines(*due))
    net = dict.fromkeys(range(len(due)), 0)
    for booking in found.bookings:
        for pair, units in booking.moves.items():
            net[pair] += units
    for pair, units in net.items():
        assert min(0, due[pair]) <= units <= max(0, due[pair])
    if taken:
        assert sum(net.values()) + found.remainder == sum(taken)
    # A remainder only where the lines are used up.
    if found.remainder > 0:
        assert all(net[pair] == max(0, units) for pair, units in enumerate(due))
    if found.remainder < 0:
        assert all(net[pair] == min(0, units) for pair, units in enumerate(due))
