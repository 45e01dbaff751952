"""The vendors of the demo: what people do at each, and what the proof may look at."""

from __future__ import annotations

from collections.abc import Mapping

from worker.demo.vendors import elasticpath, marketplacer, sharetribe, shopify, standard, woocommerce
from worker.demo.vendors.base import Channel, Marketplace

MARKETPLACES: Mapping[str, type[Marketplace]] = {
    "sharetribe": sharetribe.SharetribeMarketplace,
    "elasticpath": elasticpath.ElasticPathMarketplace,
    "elasticpath-multi": elasticpath.MultiLocationMarketplace,
    "marketplacer": marketplacer.MarketplacerMarketplace,
    "marketplacer-multi": marketplacer.MultiStoreMarketplace,
}
"""By name on the command line; each takes the seed."""
CHANNELS: Mapping[str, type[Channel]] = {
    "shopify": shopify.ShopifyShop,
    "woocommerce": woocommerce.WooCommerceShop,
    "elasticpath": elasticpath.ElasticPathShop,
    "marketplacer": marketplacer.MarketplacerShop,
    "sharetribe": sharetribe.SharetribeShop,
    "standard": standard.StandardShop,
}

__all__ = ["CHANNELS", "MARKETPLACES", "Channel", "Marketplace"]
