from __future__ import annotations

from collections import Counter

import pytest

from worker.demo import catalogue
from worker.demo.catalogue import Catalogue, Supply

DEMAND = {f"SKU{number}": number + 1 for number in range(200)}


@pytest.fixture(scope="module")
def shelves() -> Catalogue:
    return catalogue.build(DEMAND, seed=7)


def test_every_sku_has_a_listing_of_its_own(shelves: Catalogue) -> None:
    assert sorted(listing.title for listing in shelves.listings) == sorted(DEMAND)
    assert len({listing.listing_id for listing in shelves.listings}) == len(DEMAND)
    assert {link.sku for link in shelves.links} == set(DEMAND)


def test_demand_adds_up_over_packs_and_kits(shelves: Catalogue) -> None:
    demand: Counter[str] = Counter()
    for link in shelves.links:
        demand[link.listing_id] += DEMAND[link.sku] * link.units

    assert {listing.listing_id: listing.demand for listing in shelves.listings} == demand


def test_some_links_take_several_units_and_some_skus_several_listings(shelves: Catalogue) -> None:
    assert shelves.packs >= 10
    assert shelves.kits == 6


def test_a_tenth_opens_short_and_a_tenth_exact(shelves: Catalogue) -> None:
    assert Counter(listing.supply for listing in shelves.listings) == {
        Supply.SHORT: 20,
        Supply.EXACT: 20,
        Supply.AMPLE: 160,
    }
    for listing in shelves.listings:
        match listing.supply:
            case Supply.SHORT:
                assert 0 < listing.opening < listing.demand
                assert listing.opening == listing.demand * 7 // 10
            case Supply.EXACT:
                assert listing.opening == listing.demand
            case Supply.AMPLE:
                assert listing.opening == listing.demand + listing.buyers_share


def test_the_same_seed_makes_the_same_catalogue(shelves: Catalogue) -> None:
    assert catalogue.build(DEMAND, seed=7) == shelves
    assert catalogue.build(DEMAND, seed=8) != shelves


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_smallest_replay_has_a_catalogue_too(count: int) -> None:
    shelves = catalogue.build(dict(list(DEMAND.items())[:count]), seed=1)

    assert len(shelves.listings) == count


def test_a_sku_that_was_wholly_given_back_keeps_its_listing() -> None:
    shelves = catalogue.build({"A": 0, "B": 8}, seed=1)

    (listing,) = [listing for listing in shelves.listings if listing.title == "A"]
    assert listing.opening > 0
