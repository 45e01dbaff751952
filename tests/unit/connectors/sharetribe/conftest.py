from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import respx

from connectors.budget import LocalBudgets
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sharetribe import SharetribeMarketplace
from tests.unit.connectors.sharetribe.vendor import Vendor, settings


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
def marketplace(vendor: Vendor, toolbox: Toolbox) -> Iterator[SharetribeMarketplace]:
    opened = SharetribeMarketplace(settings(), toolbox)
    yield opened
    opened.disconnect()
