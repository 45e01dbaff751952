from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from tests.conformance.marketplacer_sandbox.api import Api, served
from tests.conformance.shopify_sandbox.api import Receiver


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def api(clock: VirtualClock) -> Iterator[Api]:
    with served(clock) as api:
        yield api


@pytest.fixture
def parent(clock: VirtualClock) -> Iterator[Api]:
    """A multi-store with members 2 and 3."""
    with served(clock, multi_store=True) as api:
        for key in ("key-of-2", "key-of-3"):
            api.control("/sellers", {"name": key, "api_key": key, "member": True})
        yield api


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with serve(receiver.app) as url:
        receiver.url = f"{url}/hook"
        yield receiver
