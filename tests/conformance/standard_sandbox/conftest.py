"""A served standard sandbox on a virtual clock, a plain HTTP client for it, and a receiver for its messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.standard.sandbox import Options, create_app
from tests.conformance.standard_sandbox.api import Api, Receiver, Serve


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 1, 10, tzinfo=UTC))


@pytest.fixture
def serve_with(clock: VirtualClock) -> Serve:
    """A sandbox with these options, for the length of a block."""

    @contextmanager
    def serving(**options: Any) -> Iterator[Api]:
        chosen = Options.model_validate(options)
        with serve(create_app(chosen, clock)) as url, httpx.Client(base_url=url, timeout=20) as client:
            yield Api(client, chosen)

    return serving


@pytest.fixture
def api(serve_with: Serve) -> Iterator[Api]:
    with serve_with() as api:
        yield api


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with serve(receiver.app) as url:
        receiver.url = f"{url}/hook"
        yield receiver
