"""Where the step chart's lines and labels go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker.console.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Step, draw

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def step(minutes: float, change: int, total: int) -> Step:
    return Step(NOON + timedelta(minutes=minutes), change, total, "ours", "said")


def test_without_a_change_there_is_nothing_to_draw() -> None:
    assert draw([], NOON) is None


def test_the_line_stays_while_the_number_stays_and_falls_where_it_falls() -> None:
    chart = draw([step(0, -5, 5), step(60, -5, 0)], NOON + timedelta(minutes=120))
    assert chart is not None
    first, second = chart.marks
    assert (first.y, second.y) == (TOP + (HEIGHT - TOP - BOTTOM) / 2, HEIGHT - BOTTOM)
    assert chart.line == f"M{LEFT} {TOP}H{first.x}V{first.y}H{second.x}V{second.y}H{WIDTH - RIGHT}"


def test_a_gap_in_the_log_is_a_step_of_its_own() -> None:
    whole = draw([step(0, -1, 9), step(60, -1, 8)], NOON + timedelta(minutes=120))
    gap = draw([step(0, -1, 9), step(60, -1, 5)], NOON + timedelta(minutes=120))
    assert whole is not None
    assert gap is not None
    assert (whole.line.count("V"), gap.line.count("V")) == (2, 3)


def test_zero_is_marked_once_the_number_was_below_it() -> None:
    below, above = draw([step(0, -2, -1)], NOON), draw([step(0, -2, 1)], NOON)
    assert below is not None
    assert above is not None
    assert above.zero is None
    assert below.zero is not None
    assert TOP < below.zero < HEIGHT - BOTTOM


@pytest.mark.parametrize("total", [0, 1, 4, 9, 17, 99, 1234, 1_000_000])
def test_labels_are_few_round_and_within(total: int) -> None:
    chart = draw([step(0, -total, 0)], NOON)
    assert chart is not None
    assert 2 <= len(chart.up) <= 7
    assert all(TOP <= tick.at <= HEIGHT - BOTTOM for tick in chart.up)
    numbers = [int(tick.text.replace(",", "")) for tick in chart.up]
    assert numbers[0] == 0
    assert numbers[-1] >= total
    assert {number.rstrip("0") for number in [str(numbers[1])]} <= {"1", "2", "5"}


@pytest.mark.parametrize(("minutes", "form"), [(5, "12:"), (600, ":"), (60 * 24 * 30, "Nov")])
def test_moments_are_as_exact_as_the_time_between_them_needs(minutes: float, form: str) -> None:
    chart = draw([step(0, -1, 1)], NOON + timedelta(minutes=minutes))
    assert chart is not None
    assert form in chart.across[0].text
    assert [tick.at for tick in chart.across] == sorted(tick.at for tick in chart.across)
