"""What to do about one listing, from what is known of it. Pure: facts in, a decision out.

A pair's *due* units are committed - waived - applied: above zero they are owed to the channel's buyers and must be
taken from the listing, below zero they must be given back. In one pass returns come first, then sales in the order
they were placed; a shortage leaves the latest of them pending.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DuePair:
    """A pair whose target differs from what is applied."""

    pair_id: int
    due_units: int
    """committed - waived - applied; never 0."""
    placed_at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """Units of one pair: above zero taken from the listing, below zero given back."""

    pair_id: int
    units: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One pass over one listing."""

    seen: int
    """The total it was planned from."""
    delta: int
    """What to add to the stock; 0 means that nothing needs to be sent."""
    moves: Sequence[Move]
    """What the pass settles, if `delta` is applied (or at once, when it is 0)."""
    short_units: int
    """Units sold on channels that the listing does not have: an oversell."""
    waiting_units: int
    """Units to give back that wait, because the total would stay below zero."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing stays pending once this plan is carried out."""
        return self.short_units == 0 and self.waiting_units == 0


def plan(total: int, pairs: Sequence[DuePair]) -> Plan:
    """Plan one listing of counted stock.

    The result never lowers a total below zero, and never leaves one that is below zero there: such a listing waits
    until its negative stock is explained and settled.
    """
    returned = -sum(pair.due_units for pair in pairs if pair.due_units < 0)
    owed = sum(pair.due_units for pair in pairs if pair.due_units > 0)
    if total + returned < 0:
        return Plan(seen=total, delta=0, moves=(), short_units=owed, waiting_units=returned)
    available = total + returned
    moves = [Move(pair.pair_id, pair.due_units) for pair in pairs if pair.due_units < 0]
    sales = sorted((pair for pair in pairs if pair.due_units > 0), key=lambda pair: (pair.placed_at, pair.pair_id))
    taken = 0
    for sale in sales:
        units = min(sale.due_units, available - taken)
        if units == 0:
            break
        moves.append(Move(sale.pair_id, units))
        taken += units
    return Plan(seen=total, delta=returned - taken, moves=tuple(moves), short_units=owed - taken, waiting_units=0)
