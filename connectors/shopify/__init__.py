"""Shopify: one shop as a channel.

Read `channel` for how orders are polled, `orders` for what an order commits, `hooks` for what a webhook is believed.
The room knows of no other vendor's, and nothing of its own sandbox: the two agree through the protocol alone.
"""

from __future__ import annotations

from connectors.registry import Connector
from connectors.shopify.channel import ShopifyChannel
from connectors.shopify.settings import ShopifySettings

CONNECTOR = Connector(
    name="shopify",
    channel_settings=ShopifySettings,
    open_channel=ShopifyChannel,
    sandbox="connectors.shopify.sandbox",
)

__all__ = ["CONNECTOR", "ShopifyChannel", "ShopifySettings"]
