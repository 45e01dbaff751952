"""WooCommerce: one shop as a channel.

Read `channel` for how orders are polled, `scan` for how pages that drift are read completely, `orders` for what an
order commits, `hooks` for what a webhook is believed. The room knows of no other vendor's, and nothing of its own
sandbox: the two agree through the protocol alone.
"""

from __future__ import annotations

from connectors.registry import Connector
from connectors.woocommerce.channel import WooCommerceChannel
from connectors.woocommerce.settings import WooCommerceSettings

CONNECTOR = Connector(
    name="woocommerce",
    channel_settings=WooCommerceSettings,
    open_channel=WooCommerceChannel,
    sandbox="connectors.woocommerce.sandbox",
)

__all__ = ["CONNECTOR", "WooCommerceChannel", "WooCommerceSettings"]
