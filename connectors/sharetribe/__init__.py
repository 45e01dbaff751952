"""Sharetribe: a marketplace reached through its Integration API, kept true or as a channel, and its sandbox.

Read `marketplace` for what a stock write guarantees, `events` for the change feed, `sales` for what a transaction
commits.
"""

from __future__ import annotations

from connectors.registry import Connector
from connectors.sharetribe.channel import SharetribeChannel
from connectors.sharetribe.marketplace import SharetribeMarketplace
from connectors.sharetribe.settings import SharetribeChannelSettings, SharetribeMarketplaceSettings

__all__ = [
    "CONNECTOR",
    "SharetribeChannel",
    "SharetribeChannelSettings",
    "SharetribeMarketplace",
    "SharetribeMarketplaceSettings",
]

CONNECTOR = Connector(
    name="sharetribe",
    marketplace_settings=SharetribeMarketplaceSettings,
    open_marketplace=SharetribeMarketplace,
    channel_settings=SharetribeChannelSettings,
    open_channel=SharetribeChannel,
    sandbox="connectors.sharetribe.sandbox",
)
