"""Which order lines the adjustments of a lost time were for. Pure.

The rows that said so are gone; what is left are our own adjustments on the marketplace, and the order lines as their
channel shows them now. Units of one listing are alike, so its *net* tells: what we took on balance must be what its
lines owe on balance, or less, when some of them came after the last write; or more, when some were cancelled after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Lost:
    """An adjustment of ours whose operation is not in the database."""

    adjustment_id: str
    taken: int
    """Units it took from the listing; below zero, gave back."""
    total_after: int | None
    """None: where it stood in the running totals is not known."""


@dataclass(frozen=True, slots=True)
class DueLine:
    """A pair of the listing."""

    pair_id: int
    due: int
    """committed - waived - applied: above zero to be taken, below zero to be given back."""
    placed_at: datetime
    cancelled: int = 0
    """Units that it had when it was first seen, and has no more."""


@dataclass(slots=True)
class Booking:
    """What one lost adjustment was for."""

    lost: Lost
    moves: dict[int, int] = field(default_factory=dict)
    """Pair -> units. Units that a later adjustment gave back again need no line, and are not among them."""


@dataclass(frozen=True, slots=True)
class Match:
    """The lost adjustments of one listing, explained as far as its lines go."""

    bookings: Sequence[Booking]
    taken: int
    """Net units of the lost adjustments."""
    due: int
    """Net units that the lines owe."""
    remainder: int
    """Net units that no line explains: above zero taken, below zero given back. 0: everything is explained."""


def match(lost: Sequence[Lost], lines: Sequence[DueLine]) -> Match:
    """Explain `lost`, in the marketplace's order, by `lines`.

    The worker writes all that is due at once, returns first, then sales in the order they were placed. So everything
    was written but the latest: where the lines owe more than was taken, the latest sales wait still; where they owe
    less, the latest returns do, and what was cancelled of the latest lines: that is booked, to be given back.
    """
    in_order = sorted(lines, key=lambda line: (line.placed_at, line.pair_id))
    taken = sum(entry.taken for entry in lost)
    due = sum(line.due for line in in_order)
    written = {line.pair_id: line.due for line in in_order if line.due}
    surplus = due - taken
    for line in reversed(in_order):
        if surplus * line.due > 0:
            waits = min(abs(surplus), abs(line.due)) * (1 if surplus > 0 else -1)
            written[line.pair_id] -= waits
            surplus -= waits
    for line in reversed(in_order):
        waits = min(max(0, -surplus), line.cancelled)
        if waits:
            written[line.pair_id] = written.get(line.pair_id, 0) + waits
            surplus += waits
    return Match(_allot(lost, written), taken, due, remainder=-surplus)


def _allot(lost: Sequence[Lost], written: dict[int, int]) -> Sequence[Booking]:
    """Give each adjustment the lines it was for, in order; what one alone cannot account for goes to the last."""
    left = {pair: units for pair, units in written.items() if units}
    bookings = [Booking(entry) for entry in lost]
    for booking in bookings:
        wanted = booking.lost.taken
        for pair, units in list(left.items()):
            if units * wanted > 0:
                part = min(abs(units), abs(wanted)) * (1 if wanted > 0 else -1)
                booking.moves[pair] = part
                wanted -= part
                left[pair] -= part
    if bookings:
        last = bookings[-1].moves
        for pair, units in left.items():
            if units:
                last[pair] = last.get(pair, 0) + units
    return bookings
