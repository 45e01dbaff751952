"""The marketplaces and shops that histories are played on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.simulation.market import Market
from tests.simulation.shop import Shop
from tests.simulation.vendors.elasticpath_market import ElasticPathMarket, MultiLocationMarket
from tests.simulation.vendors.elasticpath_shop import ElasticPathShop
from tests.simulation.vendors.marketplacer_market import MarketplacerMarket, MultiStoreMarket
from tests.simulation.vendors.marketplacer_shop import MarketplacerShop
from tests.simulation.vendors.sharetribe_market import SharetribeMarket
from tests.simulation.vendors.sharetribe_shop import SharetribeShop
from tests.simulation.vendors.shopify_shop import ShopifyShop
from tests.simulation.vendors.standard_shop import StandardShop
from tests.simulation.vendors.woocommerce_shop import WooCommerceShop

MARKETS: Mapping[str, type[Market]] = {
    market.name: market
    for market in (SharetribeMarket, ElasticPathMarket, MultiLocationMarket, MarketplacerMarket, MultiStoreMarket)
}
SHOPS: Mapping[str, type[Shop]] = {
    shop.name: shop
    for shop in (ShopifyShop, WooCommerceShop, ElasticPathShop, MarketplacerShop, SharetribeShop, StandardShop)
}


@dataclass(frozen=True, slots=True)
class Pairing:
    """The marketplace, and what its channels are shops of."""

    market: str = SharetribeMarket.name
    shop: str = ShopifyShop.name

    def __str__(self) -> str:
        return f"{self.market}+{self.shop}"

    @classmethod
    def of(cls, text: str) -> Pairing:
        """The counterpart of `str`. Raises ValueError."""
        market, _, shop = text.partition("+")
        if market not in MARKETS or shop not in SHOPS:
            raise ValueError(f"{text!r} is not MARKETPLACE+SHOP; known are {', '.join(MARKETS)} and {', '.join(SHOPS)}")
        return cls(market, shop)


MAIN = Pairing()
PAIRINGS = tuple(Pairing(market, shop) for market in MARKETS for shop in SHOPS)

__all__ = ["MAIN", "MARKETS", "PAIRINGS", "SHOPS", "Pairing"]
