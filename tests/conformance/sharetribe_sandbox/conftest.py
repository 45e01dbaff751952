"""A served Sharetribe sandbox on a virtual clock, and a plain HTTP client for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.sharetribe.sandbox import Options, create_app
from tests.conformance.sharetribe_sandbox.api import Api, Serve


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def serve_with(clock: VirtualClock) -> Serve:
    """A sandbox with these options, for the length of a block."""

    @contextmanager
    def serving(**options: Any) -> Iterator[Api]:
        chosen = Options.model_validate(options)
        with serve(create_app(chosen, clock)) as url, httpx.Client(base_url=url, timeout=10) as client:
            yield Api(client, chosen)

    return serving


@pytest.fixture
def api(serve_with: Serve) -> Iterator[Api]:
    with serve_with() as api:
        yield api
