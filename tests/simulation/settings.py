"""The configuration of every simulated deployment: real settings, with the schedule of a busy operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import SecretStr

from config.settings import (
    ChannelSettings,
    MarketplaceSettings,
    PolicySettings,
    ScheduleSettings,
    Settings,
    WebSettings,
)
from connectors.sharetribe.settings import SharetribeMarketplaceSettings
from connectors.shopify.settings import ShopifySettings

BEGINNING = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
"""When every history begins, and orders begin to count."""

MARKETPLACE_HOST = "marketplace.example"
CLIENT_ID = "c11e0000-0000-4000-8000-000000000001"
MARKETPLACE_SECRET = "simulated-marketplace-secret"
PUBLIC_URL = "https://receiver.example"


@dataclass(frozen=True, slots=True)
class Shop:
    """How one channel is called everywhere."""

    channel: str
    domain: str
    token: str
    secret: str


SHOPS = tuple(
    Shop(
        f"shop-{number}", f"shop-{number}.myshopify.com", f"shpat_simulated_{number}", f"simulated-hook-secret-{number}"
    )
    for number in (1, 2)
)


def settings(*, shops: int, close_after_seconds: float, settle_after_seconds: float) -> Settings:
    """What every process of one history is configured with."""
    return Settings(
        marketplace=MarketplaceSettings(
            connector="sharetribe",
            options=SharetribeMarketplaceSettings(
                client_id=CLIENT_ID,
                client_secret=SecretStr(MARKETPLACE_SECRET),
                base_url=f"https://{MARKETPLACE_HOST}",
            ),
        ),
        channels={
            shop.channel: ChannelSettings(
                name=shop.channel,
                connector="shopify",
                any_seller=True,
                poll_seconds=90,
                counted_from=BEGINNING,
                options=ShopifySettings(
                    shop=shop.domain, access_token=SecretStr(shop.token), webhook_secrets=(SecretStr(shop.secret),)
                ),
            )
            for shop in SHOPS[:shops]
        },
        policy=PolicySettings(
            confirm_new_channels=False,
            close_after_seconds=close_after_seconds,
            settle_after_seconds=settle_after_seconds,
            lease_seconds=30,
        ),
        schedule=ScheduleSettings(
            feed_seconds=30,
            poll_seconds=90,
            recent_seconds=900,
            sweep_seconds=3000,
            upkeep_seconds=30,
            reconcile_seconds=15,
            intake_seconds=15,
            alerts_seconds=60,
            subscriptions_seconds=86_400 * 7,
        ),
        web=WebSettings(public_url=PUBLIC_URL),
    )
