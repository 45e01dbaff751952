from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.woocommerce import WooCommerceChannel
from tests.unit.connectors.woocommerce.vendor import NOW, Vendor, channel


@pytest.fixture
def vendor() -> Vendor:
    return Vendor(VirtualClock(NOW))


@pytest.fixture
def shop(vendor: Vendor) -> Iterator[WooCommerceChannel]:
    opened = channel(vendor)
    yield opened
    opened.close()
