from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import respx

from connectors.budget import LocalBudgets
from connectors.http import Toolbox
from connectors.marketplacer import MarketplacerChannel, MarketplacerMarketplace
from connectors.sandbox.clock import VirtualClock
from tests.unit.connectors.marketplacer.vendor import Vendor, channel_settings, marketplace_settings


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with respx.mock(assert_all_called=False, assert_all_mocked=True) as router:
        yield Vendor(router)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def toolbox(clock: VirtualClock) -> Toolbox:
    return Toolbox(clock, LocalBudgets(clock), random.Random(1))


@pytest.fixture
def marketplace(vendor: Vendor, toolbox: Toolbox) -> Iterator[MarketplacerMarketplace]:
    opened = MarketplacerMarketplace(marketplace_settings(), toolbox)
    yield opened
    opened.disconnect()


@pytest.fixture
def multi_store(vendor: Vendor, toolbox: Toolbox) -> Iterator[MarketplacerMarketplace]:
    opened = MarketplacerMarketplace(marketplace_settings(inventory="multi_store"), toolbox)
    yield opened
    opened.disconnect()


@pytest.fixture
def channel(vendor: Vendor, toolbox: Toolbox) -> Iterator[MarketplacerChannel]:
    opened = MarketplacerChannel("shop", channel_settings(), toolbox)
    yield opened
    opened.close()
