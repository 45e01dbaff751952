"""The scene before the first sale: listings on the marketplace, trueup's configuration, links, the confirmed channel.

What an operator does with `trueup sweep`, `trueup links import`, `trueup holds lift` and `trueup doctor` is done here
through the same rooms, from this process and not from trueup's own: as the command line would.
"""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from config import loading
from connectors.contract import Hooks
from worker.demo.catalogue import Catalogue
from worker.demo.inbox import Inbox
from worker.demo.vendors import Channel, Marketplace
from worker.demo.vendors.base import Option, Secret, Vendor
from worker.housekeeping import hook_address
from worker.links import Links
from worker.operators import Actor, Via
from worker.services import Services
from worker.store.migrate import upgrade
from worker.store.tables import HoldReason, HoldScope, Role

CHANNEL = "shop"

FEED_SECONDS = 1
SWEEP_SECONDS = 5
"""Where there is no feed."""
POLL_SECONDS = 5
SETTLE_AFTER_SECONDS = 3
CLOSE_AFTER_SECONDS = 0

CONFIGURATION = """\
# Written by `trueup demo`. Short times, so that a demo is short; everything else is the default.
[database]
url = "file:database_url"

[marketplace]
name = "marketplace"
connector = "{marketplace}"
{marketplace_account}

[channels.{channel}]
connector = "{shop}"
{seller}
counted_from = {counted_from}
{shop_account}

[policy]
settle_after_seconds = {settle_after}
close_after_seconds = {close_after}
# A month of sales and returns in some minutes looks like an accident.
large_plan_listings = 1_000_000
large_plan_share = 1.0

[schedule]
feed_seconds = {feed}
sweep_seconds = {sweep}
poll_seconds = {poll}
upkeep_seconds = 1
reconcile_seconds = 2
intake_seconds = 2

[web]
port = 0

[console]
port = 0

[log]
level = "warning"
format = "json"
"""

ALERTS = """
[alerts.destinations.terminal]
webhook = "file:alerts_url"
webhook_secrets = ["file:alerts_secret"]
"""

PASSWORD_BYTES = 12
PAST = timedelta(days=30)
"""How long ago the listings were made: their opening stock is no news."""


def put_on_sale(marketplace: Marketplace, shop: Channel, catalogue: Catalogue) -> None:
    """What both sides sell, before trueup begins."""
    marketplace.put_on_sale(catalogue.listings, datetime.now(UTC) - PAST)
    shop.stock(sorted({link.sku for link in catalogue.links}))


def write_configuration(
    folder: Path, marketplace: Marketplace, shop: Channel, *, database_url: str | None, inbox: Inbox | None = None
) -> Path:
    """Write `trueup.toml` and the secrets it refers to; returns its path. Alerts go to the inbox, if there is one."""
    seller = marketplace.seller()
    _write_secret(folder / "database_url", database_url or f"sqlite:///{folder / 'trueup.db'}")
    path = folder / "trueup.toml"
    path.write_text(
        CONFIGURATION.format(
            channel=CHANNEL,
            marketplace=marketplace.connector,
            marketplace_account=_account(folder, "marketplace", marketplace),
            shop=shop.connector,
            shop_account=_account(folder, "shop", shop),
            seller="any_seller = true" if seller is None else f"seller = {json.dumps(seller)}",
            # Shops stamp whole seconds: the first order must not seem older than the channel.
            counted_from=(datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds"),
            settle_after=SETTLE_AFTER_SECONDS,
            close_after=CLOSE_AFTER_SECONDS,
            feed=FEED_SECONDS,
            sweep=86400 if marketplace.feed else SWEEP_SECONDS,
            poll=POLL_SECONDS,
        ),
        encoding="utf-8",
    )
    if inbox is not None:
        _write_secret(folder / "alerts_url", inbox.url)
        _write_secret(folder / "alerts_secret", inbox.secret)
        with path.open("a", encoding="utf-8") as file:
            file.write(ALERTS)
    return path


def _account(folder: Path, role: str, vendor: Vendor) -> str:
    """The vendor's settings as lines; each secret becomes a file and a reference to it."""

    def written(name: str, option: Option) -> str:
        if isinstance(option, Secret):
            file = folder / f"{role}_{name}"
            _write_secret(file, option.value)
            return f'"file:{file.name}"'
        if isinstance(option, str | int):
            # Texts, numbers and truth are the same in JSON and TOML.
            return json.dumps(option)
        return f"[{', '.join(written(f'{name}_{number}', each) for number, each in enumerate(option))}]"

    options = vendor.account(vendor.control.url).items()
    return "\n".join(f"{name} = {written(name, option)}" for name, option in options)


def _write_secret(path: Path, value: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(value)


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
    """Register the channel's webhooks at the shop, where it sends any."""
    with closing(Services(loading.load(configuration, {}))) as services:
        channel = services.channels[CHANNEL]
        if isinstance(channel, Hooks):
            channel.subscribe(hook_address(receiver_url, CHANNEL))


def let_in(configuration: Path) -> tuple[str, str]:
    """Let one operator into the console, with a password made for this run. Returns name and password."""
    name, password = "demo", secrets.token_urlsafe(PASSWORD_BYTES)
    with closing(Services(loading.load(configuration, {}))) as services:
        services.operators.add(name, password, Role.OPERATOR, by=Actor("the demo", Via.COMMAND))
    return name, password


def links_csv(catalogue: Catalogue) -> str:
    """The links, as a file for `trueup links import`."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["channel", "sku", "listing_id", "units"])
    rows.writerows([CHANNEL, link.sku, link.listing_id, link.units] for link in catalogue.links)
    return text.getvalue()
