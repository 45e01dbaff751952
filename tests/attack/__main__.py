"""`make attack`: thousands of hostile inputs against a real receiver process, and what came of them."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from config import logging
from config.settings import ChannelSettings, LogSettings
from connectors.shopify import ShopifySettings
from tests import receiving, servers
from tests.attack.campaign import Campaign, Report, receiver
from tests.attack.inputs import LIMIT_BYTES, OTHER_CHANNEL, OTHER_SECRET, OTHER_SHOP
from worker.services import Services
from worker.store import Store
from worker.store.migrate import upgrade
from worker.web import WebServer, create_app

MOST_GROWTH_BYTES = 16 * 1024 * 1024
"""What memory may grow by from the warm-up to the end: an allocator's fragments, not one per input."""


def serve(url: str, log_format: str) -> None:
    """A receiver with two channels, until standard input ends. Prints its address."""
    base = receiving.settings(max_body_bytes=LIMIT_BYTES)
    other = ChannelSettings(
        name=OTHER_CHANNEL,
        connector="shopify",
        any_seller=True,
        options=ShopifySettings(
            shop=OTHER_SHOP, access_token=SecretStr("shpat_unused"), client_secret=SecretStr(OTHER_SECRET)
        ),
    )
    settings = base.model_copy(update={"channels": {**base.channels, OTHER_CHANNEL: other}})
    logging.configure(LogSettings.model_validate({"format": log_format}), secrets=settings.secrets())
    services = Services(settings, store=Store(url))
    services.register_channels()
    server = WebServer(create_app(services, None), "127.0.0.1", 0)
    say(f'{{"url": "{server.start()}"}}')
    sys.stdin.read()
    server.stop()


@contextmanager
def database(kind: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="trueup-attack-") as folder:
        if kind == "sqlite":
            yield f"sqlite:///{folder}/trueup.db"
            return
        with servers.postgres() as server:
            yield server.fresh()


def run(kind: str, arguments: argparse.Namespace) -> Report:
    with database(kind) as url, tempfile.TemporaryDirectory(prefix="trueup-attack-") as folder:
        store = Store(url)
        upgrade(store)
        with receiver(url, Path(folder) / "log", arguments.log_format) as process:
            campaign = Campaign(process, store, arguments.seed)
            asyncio.run(whole(campaign, arguments.inputs, can_be_locked=store.is_sqlite))
        campaign.examine()
        store.dispose()
    return campaign.report


async def whole(campaign: Campaign, inputs: int, *, can_be_locked: bool) -> None:
    await campaign.attack(inputs)
    await campaign.slow(50)
    await campaign.crowd()
    if can_be_locked:
        await campaign.overload()


def shown(kind: str, report: Report) -> str:
    mebibyte = 1024 * 1024
    lines = [
        f"{kind}: {report.inputs:,} hostile inputs in {report.seconds:.0f} s, seed {report.seed}",
        f"  taken: {len(report.accepted)}; answered 500 or never: {len(report.failed)}",
        f"  answers: {', '.join(f'{status} {count:,}' for status, count in sorted(report.statuses.items()))}",
        f"  good deliveries in between: {report.good}, all stored; repeats of old ones: {report.repeats}, none stored",
        f"  memory: {report.memory_before / mebibyte:.1f} MiB before, {report.memory_after / mebibyte:.1f} MiB after",
        f"  slow senders: {report.slow_cut}, the last cut off after {report.slow_longest_seconds:.0f} s",
        f"  connections: {report.idle_opened} opened, {report.idle_held} held",
        f"  log: {report.log_lines} lines in all",
    ]
    if report.overload:
        seconds = report.overload_longest_seconds
        lines.append(f"  database locked: {dict(report.overload)}; who was sent away waited {seconds:.1f} s at most")
    return "\n".join([*lines, *(f"  TAKEN {kind}" for kind in report.accepted), *(f"  {one}" for one in report.failed)])


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite"])
    parser.add_argument("--log-format", choices=["json", "console"], default="json")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument("--serve", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.log_format)
        return
    fine = True
    for kind in arguments.databases:
        report = run(kind, arguments)
        say(report.as_json() if arguments.json else shown(kind, report))
        fine &= not report.accepted and not report.failed
        fine &= report.memory_after - report.memory_before < MOST_GROWTH_BYTES
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
