"""The scene before the first sale: listings on the marketplace, trueup's configuration, links, the confirmed channel.

What an operator does with `trueup sweep`, `trueup links import`, `trueup holds lift` and `trueup doctor` is done here
through the same rooms, from this process and not from trueup's own: as the command line would.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from config import loading
from connectors.contract import Hooks
from worker.demo.catalogue import Catalogue
from worker.demo.control import Control
from worker.housekeeping import hook_address
from worker.links import Links
from worker.services import Services
from worker.store.migrate import upgrade
from worker.store.tables import HoldReason, HoldScope

CHANNEL = "shop"

FEED_SECONDS = 1
POLL_SECONDS = 5
SETTLE_AFTER_SECONDS = 3
CLOSE_AFTER_SECONDS = 0

CONFIGURATION = """\
# Written by `trueup demo`. Short times, so that a demo is short; everything else is the default.
[database]
url = "file:database_url"

[marketplace]
name = "marketplace"
connector = "sharetribe"
base_url = "{marketplace_url}"
client_id = "{client_id}"
client_secret = "file:marketplace_secret"

[channels.{channel}]
connector = "shopify"
seller = "{seller}"
counted_from = {counted_from}
shop = "{shop_domain}"
base_url = "{shop_url}"
access_token = "file:shop_token"
webhook_secrets = ["file:webhook_secret"]

[policy]
settle_after_seconds = {settle_after}
close_after_seconds = {close_after}

[schedule]
feed_seconds = {feed}
poll_seconds = {poll}
upkeep_seconds = 1
reconcile_seconds = 2
intake_seconds = 2

[web]
port = 0

[log]
level = "warning"
format = "json"
"""

BATCH_LISTINGS = 500
PAST = timedelta(days=30)
"""How long ago the listings were made: their opening stock is no news."""


def put_on_sale(marketplace: Control, catalogue: Catalogue) -> None:
    """Create the listings with their opening stock, as a seller did some time ago."""
    made_at = (datetime.now(UTC) - PAST).isoformat()
    for start in range(0, len(catalogue.listings), BATCH_LISTINGS):
        listings = [
            {
                "id": listing.listing_id,
                "title": f"Article {listing.title}",
                "stock": listing.opening,
                "created_at": made_at,
                "metadata": {"sku": listing.title},
            }
            for listing in catalogue.listings[start : start + BATCH_LISTINGS]
        ]
        marketplace.post("/listings", {"listings": listings, "events": False})


def write_configuration(
    folder: Path,
    *,
    marketplace: Control,
    marketplace_options: Mapping[str, Any],
    shop: Control,
    shop_options: Mapping[str, Any],
    database_url: str | None,
) -> Path:
    """Write `trueup.toml` and the secrets it refers to; returns its path."""
    seller = marketplace.get("/state", adjustments="false")["provider_id"]
    for name, value in {
        "database_url": database_url or f"sqlite:///{folder / 'trueup.db'}",
        "marketplace_secret": marketplace_options["client_secret"],
        "shop_token": shop_options["access_token"],
        "webhook_secret": shop_options["client_secret"],
    }.items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(value)
    path = folder / "trueup.toml"
    path.write_text(
        CONFIGURATION.format(
            channel=CHANNEL,
            marketplace_url=marketplace.url,
            client_id=marketplace_options["client_id"],
            seller=seller,
            # Shops stamp whole seconds: the first order must not seem older than the channel.
            counted_from=(datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds"),
            shop_domain=shop_options["shop_domain"],
            shop_url=shop.url,
            settle_after=SETTLE_AFTER_SECONDS,
            close_after=CLOSE_AFTER_SECONDS,
            feed=FEED_SECONDS,
            poll=POLL_SECONDS,
        ),
        encoding="utf-8",
    )
    return path


def prepare(configuration: Path, catalogue: Catalogue) -> int:
    """Make the database, learn the listings, import the links, confirm the channel. Returns the number of links."""
    with closing(Services(loading.load(configuration, {}))) as services:
        upgrade(services.store)
        services.register_channels()
        services.sweeper.sweep()
        links = Links(services.store, services.clock, services.anomalies)
        imported = links.import_csv(links_csv(catalogue))
        services.holds.lift(HoldScope.CHANNEL, CHANNEL, by="the demo", reason=HoldReason.SHADOW)
        return len(imported.begun)


def subscribe(configuration: Path, receiver_url: str) -> None:
    """Register the channel's webhooks at the shop."""
    with closing(Services(loading.load(configuration, {}))) as services:
        channel = services.channels[CHANNEL]
        assert isinstance(channel, Hooks)  # noqa: S101  the demo's channel has webhooks
        channel.subscribe(hook_address(receiver_url, CHANNEL))


def links_csv(catalogue: Catalogue) -> str:
    """The links, as a file for `trueup links import`."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["channel", "sku", "listing_id", "units"])
    rows.writerows([CHANNEL, link.sku, link.listing_id, link.units] for link in catalogue.links)
    return text.getvalue()
