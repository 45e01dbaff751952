"""The configuration of every simulated deployment: real settings, with the schedule of a busy operator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from config.settings import (
    ChannelSettings,
    MarketplaceSettings,
    PolicySettings,
    ScheduleSettings,
    Settings,
    WebSettings,
)
from tests.simulation.market import Market
from tests.simulation.shop import Shop

BEGINNING = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
"""When every history begins, and orders begin to count."""

PUBLIC_URL = "https://receiver.example"
SWEEP_SECONDS = {True: 3000, False: 600}
"""With a change feed, and without one: then a sweep is all that tells what happened."""


def settings(
    market: Market, shops: Sequence[Shop], *, close_after_seconds: float, settle_after_seconds: float
) -> Settings:
    """What every process of one history is configured with."""
    return Settings(
        marketplace=MarketplaceSettings(connector=market.connector, options=market.settings),
        channels={
            shop.channel: ChannelSettings(
                name=shop.channel,
                connector=shop.name,
                any_seller=True,
                poll_seconds=90,
                counted_from=BEGINNING,
                options=shop.settings,
            )
            for shop in shops
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
            sweep_seconds=SWEEP_SECONDS[market.has_feed],
            audit_seconds=900,
            upkeep_seconds=30,
            reconcile_seconds=15,
            intake_seconds=15,
            alerts_seconds=60,
            subscriptions_seconds=86_400 * 7,
        ),
        web=WebSettings(public_url=PUBLIC_URL),
    )
