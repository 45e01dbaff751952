from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import respx

from connectors.budget import LocalBudgets
from connectors.elasticpath import ElasticPathChannel, ElasticPathMarketplace
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from tests.unit.connectors.elasticpath.vendor import Vendor, channel_settings, marketplace_settings


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
def marketplace(vendor: Vendor, toolbox: Toolbox) -> Iterator[ElasticPathMarketplace]:
    opened = ElasticPathMarketplace(marketplace_settings(), toolbox)
    yield opened
    opened.disconnect()


@pytest.fixture
def channel(vendor: Vendor, toolbox: Toolbox) -> Iterator[ElasticPathChannel]:
    opened = ElasticPathChannel("shop", channel_settings(), toolbox)
    yield opened
    opened.close()
