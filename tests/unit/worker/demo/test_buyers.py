from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from worker.demo import buyers, catalogue
from worker.demo.buyers import Buyers, Fate, Purchase
from worker.demo.catalogue import Supply
from worker.demo.control import RefusedError
from worker.demo.vendors.sharetribe import SharetribeMarketplace

SHELVES = catalogue.build({f"SKU{number}": 10 for number in range(100)}, seed=3)
SUPPLY = {listing.listing_id: listing.supply for listing in SHELVES.listings}
SHARE = {listing.listing_id: listing.buyers_share for listing in SHELVES.listings}


def test_buyers_together_keep_to_their_share() -> None:
    units: Counter[str] = Counter()
    for purchase in buyers.plan(SHELVES, 5000, seed=3):
        units[purchase.listing_id] += purchase.units

    assert all(taken <= SHARE[listing] for listing, taken in units.items())


def test_nobody_keeps_what_the_shop_will_sell_to_the_last_unit() -> None:
    purchases = buyers.plan(SHELVES, 5000, seed=3)

    fates = {purchase.fate for purchase in purchases if SUPPLY[purchase.listing_id] is Supply.EXACT}
    assert fates == {Fate.ABANDONED, Fate.CANCELLED}
    assert {purchase.fate for purchase in purchases} == set(Fate)


def test_the_same_seed_brings_the_same_buyers() -> None:
    assert buyers.plan(SHELVES, 500, seed=3) == buyers.plan(SHELVES, 500, seed=3)


class Marketplace:
    """Writes down what is asked of it."""

    def __init__(self, refuses: str = "") -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self._refuses = refuses

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        self.asked.append((path, body or {}))
        if (body or {}).get("listing_id") == self._refuses:
            raise RefusedError("nothing left")
        return {"id": f"purchase-{len(self.asked)}"}


def acted(purchases: list[Purchase], marketplace: Marketplace) -> Buyers:
    vendor = SharetribeMarketplace(seed=1)
    vendor.control = marketplace  # type: ignore[assignment]
    crowd = Buyers(vendor, purchases)
    crowd.start()
    crowd.finish()
    return crowd


@pytest.mark.parametrize(
    ("fate", "steps"), [(Fate.BOUGHT, ["pay"]), (Fate.ABANDONED, ["expire"]), (Fate.CANCELLED, ["pay", "cancel"])]
)
def test_each_fate_takes_its_steps(fate: Fate, steps: list[str]) -> None:
    marketplace = Marketplace()
    crowd = acted([Purchase("listing", 2, fate, 0, 10)], marketplace)

    begun, *followed = marketplace.asked
    assert begun == ("/purchases", {"listing_id": "listing", "quantity": 2})
    assert [path for path, _ in followed] == [f"/purchases/purchase-1/{step}" for step in steps]
    assert crowd.ended == {fate: 1}


def test_who_finds_nothing_left_is_turned_away() -> None:
    marketplace = Marketplace(refuses="empty")
    crowd = acted([Purchase("empty", 1, Fate.BOUGHT, 0, 1)], marketplace)

    assert crowd.turned_away == 1
    assert len(marketplace.asked) == 1


def test_what_goes_wrong_in_the_thread_is_raised_at_the_end() -> None:
    class Broken(Marketplace):
        def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
            raise RuntimeError("the sandbox is gone")

    with pytest.raises(RuntimeError, match="the sandbox is gone"):
        acted([Purchase("listing", 1, Fate.BOUGHT, 0, 1)], Broken())
