"""How many orders a channel usually has, and whether it has gone quiet. Pure.

What is usual is the least that any stretch of so many hours brought in two weeks, nights and weekends among them. A
channel is quiet when the last such stretch brought less than a fifth of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KEPT_HOURS = 14 * 24
LEAST_KNOWN_HOURS = 7 * 24
"""Of what was before a stretch: a week has a weekend."""
STRETCHES = (6, 12, 24, 48, 72)
"""In hours; the shortest that tells anything is judged."""
LEAST_ORDERS = 10
"""Of fewer in the leanest stretch, none at all may be chance."""
FACTOR = 5


@dataclass(frozen=True, slots=True)
class Quiet:
    """A stretch that brought far less than any before."""

    hours: int
    orders: int
    usual: int
    """The least of the stretches before."""


def quiet(counts: Sequence[int]) -> Quiet | None:
    """Whether a channel with these orders in each of the last hours (the oldest first) has gone quiet. Of the time
    before its first order nothing is known.
    """
    counts = counts[next((hour for hour, orders in enumerate(counts) if orders), len(counts)) :]
    for hours in STRETCHES:
        before, now = counts[:-hours], sum(counts[-hours:])
        if len(before) < LEAST_KNOWN_HOURS:
            return None
        usual = _leanest(before, hours)
        if usual >= LEAST_ORDERS and now * FACTOR < usual:
            return Quiet(hours, now, usual)
    return None


def is_still(counts: Sequence[int], found: Quiet) -> bool:
    """Whether what was found quiet then is so by the same measure now: by now, its own silence may seem usual."""
    return sum(counts[-found.hours :]) * FACTOR < found.usual


def _leanest(counts: Sequence[int], hours: int) -> int:
    total = least = sum(counts[:hours])
    for leaves, comes in zip(counts, counts[hours:], strict=False):
        total += comes - leaves
        least = min(least, total)
    return least
