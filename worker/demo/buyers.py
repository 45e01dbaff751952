"""Buyers on the marketplace: they compete for the units that the shop sells, and some change their minds."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from worker.demo.catalogue import Catalogue, Supply
from worker.demo.control import RefusedError
from worker.demo.vendors import Marketplace

LINES_PER_BUYER = 12
LONGEST_STAY_LINES = 400
"""For how many order lines of the shop a buyer holds units at most before giving them back."""


class Fate(StrEnum):
    """How a purchase ends."""

    BOUGHT = "bought"
    ABANDONED = "abandoned"
    """Never paid: the marketplace gives the units back."""
    CANCELLED = "cancelled"
    """Paid, then cancelled by the operator: the units come back."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One buyer. Moments are numbers of order lines that the shop has placed by then."""

    listing_id: str
    units: int
    fate: Fate
    begins_at: int
    ends_at: int


def plan(catalogue: Catalogue, order_lines: int, seed: int) -> Sequence[Purchase]:
    """Who buys what, when, and how it ends: by when it begins.

    Where the shop is to sell out exactly, nobody keeps anything; where there is a share for buyers, they keep to it.
    """
    random = Random(f"buyers {seed}")
    share = {listing.listing_id: listing.buyers_share for listing in catalogue.listings}
    purchases = []
    for _ in range(max(3, order_lines // LINES_PER_BUYER)):
        listing = random.choice(catalogue.listings)
        units = random.randint(1, 3)
        if units > share[listing.listing_id]:
            continue
        share[listing.listing_id] -= units
        fates = [Fate.ABANDONED, Fate.CANCELLED]
        if listing.supply is not Supply.EXACT:
            fates += [Fate.BOUGHT] * 3
        begins_at = random.randint(0, order_lines)
        ends_at = begins_at + random.randint(1, LONGEST_STAY_LINES)
        purchases.append(Purchase(listing.listing_id, units, random.choice(fates), begins_at, ends_at))
    return sorted(purchases, key=lambda purchase: purchase.begins_at)


class Buyers:
    """Carries the purchases out, in a thread of its own, at the pace of the shop."""

    def __init__(self, marketplace: Marketplace, purchases: Sequence[Purchase]) -> None:
        self._marketplace = marketplace
        self._acts = sorted(
            [(purchase.begins_at, 0, index) for index, purchase in enumerate(purchases)]
            + [(purchase.ends_at, 1, index) for index, purchase in enumerate(purchases)]
        )
        self._purchases = purchases
        self._under_way: dict[int, str] = {}
        self._placed = 0
        self._all_placed = False
        self._moved = threading.Condition()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="buyers", daemon=True)
        self.ended: Counter[Fate] = Counter()
        self.turned_away = 0
        """Who found too little left."""

    def start(self) -> None:
        self._thread.start()

    def lines_placed(self, placed: int) -> None:
        """Tell how far the shop is."""
        with self._moved:
            self._placed = placed
            self._moved.notify()

    def finish(self) -> None:
        """Let everybody finish, and wait for it. Raises what went wrong."""
        with self._moved:
            self._all_placed = True
            self._moved.notify()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            for moment, ending, index in self._acts:
                self._wait_for(moment)
                if ending:
                    self._end(index)
                else:
                    self._begin(index)
        except Exception as failure:  # noqa: BLE001  raised again by `finish`, in the thread that waits
            self._failure = failure

    def _wait_for(self, moment: int) -> None:
        with self._moved:
            self._moved.wait_for(lambda: self._all_placed or self._placed >= moment)

    def _begin(self, index: int) -> None:
        purchase = self._purchases[index]
        try:
            self._under_way[index] = self._marketplace.begin(purchase.listing_id, purchase.units)
        except RefusedError:
            self.turned_away += 1
            return
        if purchase.fate is not Fate.ABANDONED:
            self._marketplace.pay(self._under_way[index])

    def _end(self, index: int) -> None:
        if index not in self._under_way:
            return
        fate = self._purchases[index].fate
        if fate is Fate.ABANDONED:
            self._marketplace.expire(self._under_way[index])
        elif fate is Fate.CANCELLED:
            self._marketplace.cancel(self._under_way[index])
        self.ended[fate] += 1
