from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.shopify import ShopifyChannel
from tests.unit.connectors.shopify.vendor import NOW, Vendor, channel


@pytest.fixture
def vendor() -> Vendor:
    return Vendor(VirtualClock(NOW))


@pytest.fixture
def shop(vendor: Vendor) -> Iterator[ShopifyChannel]:
    opened = channel(vendor)
    yield opened
    opened.close()
