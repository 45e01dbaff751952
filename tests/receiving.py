"""What tests and benchmarks of the receiver need: a deployment with one Shopify shop, and deliveries signed for it."""

from __future__ import annotations

import base64
import hmac
import json
import uuid
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from config.settings import (
    BrokerSettings,
    ChannelSettings,
    MarketplaceSettings,
    SecretUrl,
    Settings,
    WebSettings,
)
from connectors.clock import Clock
from connectors.sharetribe.settings import SharetribeMarketplaceSettings
from connectors.shopify import ShopifySettings
from tests.unit.connectors.shopify.vendor import hook_line, hook_order
from worker.services import Services
from worker.store import Store

CHANNEL = "toys"
SECRET = "hush-hush"
SHOP = "toys.myshopify.com"


def settings(*, broker: str = "memory://", **web: Any) -> Settings:
    """A deployment that calls nobody."""
    return Settings(
        broker=BrokerSettings(url=SecretUrl(broker)),
        marketplace=MarketplaceSettings(
            connector="sharetribe",
            options=SharetribeMarketplaceSettings(client_id="trueup", client_secret=SecretStr("unused")),
        ),
        channels={
            CHANNEL: ChannelSettings(
                name=CHANNEL,
                connector="shopify",
                any_seller=True,
                options=ShopifySettings(
                    shop=SHOP, access_token=SecretStr("shpat_unused"), client_secret=SecretStr(SECRET)
                ),
            )
        },
        web=WebSettings(port=0, **web),
    )


def services(store: Store, clock: Clock | None = None, **changes: Any) -> Services:
    """The rooms of one process on `store`, with the channel made known."""
    made = Services(settings(**changes), clock=clock, store=store)
    made.register_channels()
    return made


def order_body(order_id: int = 1, lines: int = 3, **changes: Any) -> bytes:
    """An order as the shop posts it."""
    return json.dumps(hook_order(order_id, [hook_line(10 + line) for line in range(lines)], **changes)).encode()


def signature(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def signed(
    body: bytes, *, topic: str = "orders/updated", delivery_id: str | None = None, secret: str = SECRET
) -> Mapping[str, str]:
    """The headers of a delivery."""
    return {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": signature(body, secret),
        "X-Shopify-Shop-Domain": SHOP,
        "X-Shopify-Webhook-Id": delivery_id or str(uuid.uuid4()),
    }
