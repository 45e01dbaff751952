"""When the plan of one channel is too large to be written unseen. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

FRESH = timedelta(days=1)
"""Trade is taken within minutes of being placed; a day allows for a long outage."""
AT_ONCE = timedelta(hours=1)
"""What has been written within this time is part of the same plan: a wipe may come in small pieces."""
LET_THROUGH = timedelta(days=1)
"""How long what a person has let through is counted apart: as long as a large plan may take to be written."""
MANY_UNITS = 5
"""Fewer are an ordinary order or two, though half of the number: many sellers have a single piece of each."""
FEW_LISTINGS = 20
"""A share of fewer than these says nothing: a small shop sells most of what it has on a good day."""
GROWTH = 10
"""A plan may have grown by one part in so many since it was shown: trade goes on while somebody reads."""
GROWTH_AT_LEAST = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """From how many listings on a plan is too large."""

    listings: int = 500
    share: float = 0.5
    """Of the listings that the channel is linked to."""

    def of(self, linked: int) -> int:
        """For a channel with so many linked listings."""
        return min(self.listings, max(FEW_LISTINGS, math.ceil(self.share * linked)))

    @property
    def least(self) -> int:
        """For any channel."""
        return min(self.listings, FEW_LISTINGS)


@dataclass(frozen=True, slots=True)
class PlanSize:
    """What waits to be written for one channel."""

    listings: int = 0
    to_take: int = 0
    to_give_back: int = 0

    def is_as_shown(self, shown: PlanSize) -> bool:
        """Whether it is what somebody was shown, give or take the trade since."""
        return all(
            now <= then + max(GROWTH_AT_LEAST, then // GROWTH)
            for now, then in (
                (self.listings, shown.listings),
                (self.to_take, shown.to_take),
                (self.to_give_back, shown.to_give_back),
            )
        )

    def __str__(self) -> str:
        listings = "1 listing" if self.listings == 1 else f"{self.listings:,} listings"
        return f"{self.to_take:,} units taken from and {self.to_give_back:,} given back to {listings}"
