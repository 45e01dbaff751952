"""Elastic Path Commerce Cloud: a store as the marketplace, or as a channel, and its sandbox.

Read `marketplace` for what a stock write guarantees, `history` for what its list of transactions proves, `orders` for
what an order commits, `hooks` for what a delivery is believed.
"""

from __future__ import annotations

from connectors.elasticpath.channel import ElasticPathChannel
from connectors.elasticpath.marketplace import ClosingMarketplace, ElasticPathMarketplace, open_marketplace
from connectors.elasticpath.settings import ElasticPathChannelSettings, ElasticPathMarketplaceSettings
from connectors.registry import Connector

__all__ = [
    "CONNECTOR",
    "ClosingMarketplace",
    "ElasticPathChannel",
    "ElasticPathChannelSettings",
    "ElasticPathMarketplace",
    "ElasticPathMarketplaceSettings",
]

CONNECTOR = Connector(
    name="elasticpath",
    marketplace_settings=ElasticPathMarketplaceSettings,
    open_marketplace=open_marketplace,
    channel_settings=ElasticPathChannelSettings,
    open_channel=ElasticPathChannel,
    sandbox="connectors.elasticpath.sandbox",
)
