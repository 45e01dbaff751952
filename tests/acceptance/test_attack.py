"""A few hundred hostile inputs against a receiver process; `make attack` sends thousands."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.attack.campaign import Campaign, receiver
from tests.attack.inputs import KINDS
from worker.store import Store
from worker.store.migrate import upgrade

ROUNDS = 10
"""Of every kind."""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nothing_hostile_is_taken_and_good_deliveries_are(tmp_path: Path, log_format: str) -> None:
    url = f"sqlite:///{tmp_path}/trueup.db"
    store = Store(url)
    upgrade(store)

    async def whole(campaign: Campaign) -> None:
        await campaign.attack(ROUNDS * len(KINDS))
        await campaign.crowd()
        await campaign.overload()

    with receiver(url, tmp_path / "log", log_format) as process:
        campaign = Campaign(process, store, seed=7)
        asyncio.run(whole(campaign))
    campaign.examine()
    store.dispose()

    assert campaign.report.accepted == []
    assert campaign.report.failed == []
    assert campaign.report.stored == campaign.report.good + campaign.report.overload["200"]
