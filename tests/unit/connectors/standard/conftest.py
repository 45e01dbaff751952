from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.standard import AskedChannel, StandardSettings
from tests.unit.connectors.standard.vendor import NOW, SECRET, TOKEN, URL, Vendor, toolbox


@pytest.fixture
def vendor() -> Vendor:
    return Vendor(VirtualClock(NOW))


@pytest.fixture
def shop(vendor: Vendor) -> Iterator[AskedChannel]:
    chosen = StandardSettings.model_validate(
        {"webhook_secrets": [SECRET], "orders_url": URL, "orders_token": TOKEN, "page_size": 2}
    )
    opened = AskedChannel("till", chosen, toolbox(vendor.clock, vendor.transport()))
    yield opened
    opened.close()
