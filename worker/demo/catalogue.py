"""What the marketplace has on sale before the first order, and which SKU is which listing. Pure, and seeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from uuid import UUID

PART_SHORT = 0.1
PART_EXACT = 0.1
SHORT_OF_DEMAND = 0.7
PART_IN_PACKS = 0.05
PART_IN_KITS = 0.03
PACK_UNITS = (2, 3, 6, 12)
SMALLEST_SHORT_DEMAND = 4
"""70 % of less would be nothing, or no shortage."""
BUYERS_SHARE = (2, 15)


class Supply(StrEnum):
    """How much stock a listing opens with."""

    SHORT = "short"
    """70 % of what the shop will sell: it oversells."""
    EXACT = "exact"
    """What the shop will sell: it closes."""
    AMPLE = "ample"
    """What the shop will sell, and the buyers' share."""


@dataclass(frozen=True, slots=True)
class Stocked:
    """One listing."""

    listing_id: str
    title: str
    supply: Supply
    demand: int
    """Units that the shop will have sold of it in the end."""
    opening: int
    buyers_share: int
    """Units that marketplace buyers may hold of it at a time without standing in the shop's way."""


@dataclass(frozen=True, slots=True)
class SkuLink:
    """One sale of this SKU takes so many units of that listing."""

    sku: str
    listing_id: str
    units: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything on sale."""

    listings: Sequence[Stocked]
    links: Sequence[SkuLink]

    @property
    def kits(self) -> int:
        """SKUs that take from several listings."""
        return sum(1 for listings in Counter(link.sku for link in self.links).values() if listings > 1)

    @property
    def packs(self) -> int:
        """Links of more than one unit."""
        return sum(1 for link in self.links if link.units > 1)


def build(
    demand_by_sku: Mapping[str, int], seed: int, *, named: Callable[[str], str] = lambda article: article
) -> Catalogue:
    """A listing for each SKU; some SKUs are packs of several units, and some are kits of several listings."""
    random = Random(f"catalogue {seed}")
    skus = sorted(demand_by_sku)
    listing_of = {sku: named(str(UUID(int=random.getrandbits(128), version=4))) for sku in skus}
    packs = set(random.sample(skus, _part(PART_IN_PACKS, len(skus))))
    kits = set(random.sample(skus, _part(PART_IN_KITS, len(skus)) if len(skus) > 1 else 0))
    links = [SkuLink(sku, listing_of[sku], random.choice(PACK_UNITS) if sku in packs else 1) for sku in skus]
    for sku in sorted(kits):
        others = random.sample([other for other in skus if other != sku], min(len(skus) - 1, random.randint(1, 2)))
        links += [SkuLink(sku, listing_of[other], random.randint(1, 2)) for other in others]
    demand: Counter[str] = Counter(dict.fromkeys(listing_of.values(), 0))
    for link in links:
        demand[link.listing_id] += demand_by_sku[link.sku] * link.units
    supplies = _supplies(demand, random)
    listings = []
    for sku, listing_id in listing_of.items():
        supply = supplies[listing_id]
        share = random.randint(*BUYERS_SHARE)
        opening = {
            Supply.SHORT: int(demand[listing_id] * SHORT_OF_DEMAND),
            Supply.EXACT: demand[listing_id],
            Supply.AMPLE: demand[listing_id] + share,
        }[supply]
        listings.append(Stocked(listing_id, sku, supply, demand[listing_id], opening, share))
    return Catalogue(listings, links)


def _supplies(demand: Mapping[str, int], random: Random) -> Mapping[str, Supply]:
    supplies = dict.fromkeys(demand, Supply.AMPLE)
    shortable = sorted(listing for listing, units in demand.items() if units >= SMALLEST_SHORT_DEMAND)
    short = random.sample(shortable, min(len(shortable), _part(PART_SHORT, len(demand))))
    closable = sorted(listing for listing, units in demand.items() if units and listing not in short)
    exact = random.sample(closable, min(len(closable), _part(PART_EXACT, len(demand))))
    return supplies | dict.fromkeys(short, Supply.SHORT) | dict.fromkeys(exact, Supply.EXACT)


def _part(part: float, whole: int) -> int:
    """At least one, so that small slices show everything too."""
    return min(whole, max(1, round(part * whole)))
