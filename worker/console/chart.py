"""A number over time as a step chart: where lines and marks go. Pure; a template draws them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

WIDTH, HEIGHT = 900.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 14.0, 14.0, 30.0
"""Room around the drawing, for the labels of its axes."""
MOST_TICKS = 5


@dataclass(frozen=True, slots=True)
class Step:
    """The number changed."""

    at: datetime
    change: int
    total_after: int
    cause: str
    label: str
    """What is said of it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A change, where it is drawn."""

    x: float
    y: float
    cause: str
    label: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis, and how far along it."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything to draw, in units of the view box."""

    line: str
    """A path: horizontal while the number stays, vertical where it changes."""
    marks: Sequence[Mark]
    across: Sequence[Tick]
    up: Sequence[Tick]
    zero: float | None
    """Where zero is, when the number was ever below it."""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def draw(steps: Sequence[Step], now: datetime) -> Chart | None:
    """The chart of changes in their order, up to `now`; None when there is none to draw."""
    if not steps:
        return None
    first = steps[0]
    begin, end = first.at, max(now, steps[-1].at + timedelta(seconds=1))
    # A little room on the left, so that what the number was before the first change is seen.
    begin -= (end - begin) * 0.04
    totals = [first.total_after - first.change, *(step.total_after for step in steps)]
    low, high, unit = _scale(min(totals), max(totals))

    def x(at: datetime) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * ((at - begin) / (end - begin)), 1)

    def y(total: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * ((high - total) / (high - low)), 1)

    line = f"M{x(begin)} {y(totals[0])}"
    for step, (before, after) in zip(steps, pairwise(totals), strict=True):
        # Where the log has a gap, the number before a change is not the one after the last.
        before_it = step.total_after - step.change
        line += f"H{x(step.at)}" + (f"V{y(before_it)}" if before_it != before else "") + f"V{y(after)}"
    return Chart(
        line=f"{line}H{x(end)}",
        marks=[Mark(x(step.at), y(step.total_after), step.cause, step.label) for step in steps],
        across=[Tick(x(at), text) for at, text in _times(begin, end)],
        up=[Tick(y(total), f"{total:,}".replace("-", "\u2212")) for total in range(low, high + 1, unit)],
        zero=y(0) if low < 0 else None,
    )


def _scale(least: int, most: int) -> tuple[int, int, int]:
    """From where to where the axis goes, and the distance of its labels: whole, round numbers."""
    least, most = min(least, 0), max(most, 1)
    unit = 1
    while (most - least) / unit > MOST_TICKS:
        # 1, 2, 5, 10, 20, 50, …
        unit = unit * 5 // 2 if str(unit).startswith("2") else unit * 2
    return least // unit * unit, -(-most // unit) * unit, unit


def _times(begin: datetime, end: datetime) -> Sequence[tuple[datetime, str]]:
    """Four moments, as exact as the time between them needs."""
    span = end - begin
    form = "%H:%M:%S" if span < timedelta(minutes=10) else "%H:%M" if span < timedelta(days=1) else "%-d %b"
    if timedelta(days=1) <= span < timedelta(days=4):
        form = "%-d %b %H:%M"
    return [((moment := begin + span * share), moment.strftime(form)) for share in (0.08, 0.36, 0.64, 0.92)]
