"""Two hundred channels on real processes, twenty of which hang: nobody waits for them, and they come back by
themselves.

What is compared is how often each shop was asked while all were asked so often, never how long anything took.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.deployment import OPENING, Deployment, deployed, until
from tests.integration.conftest import build_schema
from tests.servers import PostgresServer
from tests.shops import Mood, Shops, open_shops
from worker.intake.poll import cursor_name
from worker.store.tables import Cursor

pytestmark = pytest.mark.timeout(600)

CALL_SECONDS = 3
NAMES = [f"shop-{number:03}" for number in range(200)]
BAD = NAMES[::10]
GOOD = [name for name in NAMES if name not in BAD]
TURNED = (Mood.HANGS, Mood.HANGS, Mood.DRIPS_ITS_HEAD, Mood.DRIPS_ITS_BODY)
LISTING_OF = {name: str(uuid.uuid5(uuid.NAMESPACE_URL, name[:-1])) for name in NAMES}
"""Ten shops sell the units of one listing; one of them is a bad one."""


def tables(shops: Shops) -> list[str]:
    return [
        f'[channels.{name}]\nconnector = "standard"\nany_seller = true\norders_url = "{shops.url}/{name}/orders"\n'
        for name in NAMES
    ]


def asked(shops: Shops, times: int) -> Mapping[str, int]:
    """How often each good shop was asked, while each was asked so often at least."""
    before = dict(shops.asked)

    def since() -> dict[str, int]:
        return {name: shops.asked[name] - before.get(name, 0) for name in GOOD}

    until(lambda: min(since().values()) >= times, since)
    return since()


def read_until(site: Deployment) -> Mapping[str, float]:
    """Until which moment each channel is read, by the database."""
    with site.services() as services, services.store.read() as transaction:
        rows = transaction.execute(select(Cursor.name, Cursor.current_at)).all()
    moments = {row.name: row.current_at.timestamp() for row in rows if row.current_at is not None}
    return {name: moments.get(cursor_name(name), 0.0) for name in NAMES}


def nobody_waits_for_who_hangs(site: Deployment, shops: Shops, *commands: str) -> None:
    site.prepare(LISTING_OF)
    with site.running(*commands):
        calm = asked(shops, 2)
        for number, name in enumerate(BAD):
            shops.moods[name] = TURNED[number % len(TURNED)]
        for name in NAMES:
            shops.sell(name, "1", {"A": 1})
        troubled = asked(shops, 3)

        # Each as often as any other, with twenty that hang as without, and all of them further than any that hangs.
        assert max(calm.values()) <= 2 * min(calm.values())
        assert max(troubled.values()) <= 2 * min(troubled.values())
        read = read_until(site)
        assert max(read[name] for name in BAD) < min(read[name] for name in GOOD)

        # What the others sold is taken, and of those that hang it is told.
        until(lambda: set(site.totals().values()) == {OPENING - 9}, site.totals)
        until(lambda: _like(site, "does not answer") == BAD, site.conditions)
        said = site.say("status")
        assert "accounts do not answer, and rest: shop-000, shop-010, shop-020, shop-030, shop-040 and 15 more" in said
        assert len(said.splitlines()) < 100

        # They come back by themselves.
        shops.moods.clear()
        until(lambda: set(site.totals().values()) == {OPENING - 10}, site.totals)
        until(lambda: not _like(site, "does not answer"), site.conditions)
        until(lambda: not _told(site), lambda: _told(site))
    for command in commands:
        assert "Traceback" not in site.log(command)


def _like(site: Deployment, condition: str) -> list[str]:
    return [name for name, found in site.conditions().items() if found == condition]


def _told(site: Deployment) -> list[str]:
    return [entry["message"] for entry in site.ask("anomalies", "list")["anomalies"]]


def test_twenty_of_two_hundred_channels_hang_and_the_embedded_process_serves_the_others(tmp_path: Path) -> None:
    with open_shops() as shops, deployed(tmp_path, tables(shops), call_seconds=CALL_SECONDS) as site:
        nobody_waits_for_who_hangs(site, shops, "run")


def test_twenty_of_two_hundred_channels_hang_and_a_celery_worker_serves_the_others(
    tmp_path: Path, postgres_server: PostgresServer, redis_url: str
) -> None:
    settings = {"database": postgres_server.fresh(build_schema), "more": f'[broker]\nurl = "{redis_url}"\n'}
    with open_shops() as shops, deployed(tmp_path, tables(shops), call_seconds=CALL_SECONDS, **settings) as site:
        nobody_waits_for_who_hangs(site, shops, "worker", "beat")
