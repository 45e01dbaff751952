"""Marketplacer: a site as the marketplace, or a seller's account as a channel, and its sandbox.

Read `marketplace` for what a stock write guarantees, `catalogue` for how variants are known, `sales` for what can be
told of sales that a write overwrote, `invoices` for what an invoice commits, `hooks` for what a delivery is believed.
"""

from __future__ import annotations

from connectors.marketplacer.channel import MarketplacerChannel
from connectors.marketplacer.marketplace import ClosingMarketplace, MarketplacerMarketplace, open_marketplace
from connectors.marketplacer.settings import MarketplacerChannelSettings, MarketplacerMarketplaceSettings
from connectors.registry import Connector

__all__ = [
    "CONNECTOR",
    "ClosingMarketplace",
    "MarketplacerChannel",
    "MarketplacerChannelSettings",
    "MarketplacerMarketplace",
    "MarketplacerMarketplaceSettings",
]

CONNECTOR = Connector(
    name="marketplacer",
    marketplace_settings=MarketplacerMarketplaceSettings,
    open_marketplace=open_marketplace,
    channel_settings=MarketplacerChannelSettings,
    open_channel=MarketplacerChannel,
    sandbox="connectors.marketplacer.sandbox",
)
