"""What the kit's view of our own sandboxes shares: the control surface, and a receiver for webhooks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from connectors.budget import LocalBudgets
from connectors.http import Toolbox
from connectors.registry import Connector, connector
from connectors.sandbox.serve import serve
from connectors.testing import Delivery, VirtualClock
from tests.conformance.shopify_sandbox.api import until


class Served:
    """One of our sandboxes, served on loopback: the vendor's own address, and everybody else's hands."""

    page_size = 100

    def __init__(self, url: str, clock: VirtualClock, options: Any, receiver: Receiver) -> None:
        self.url = url
        self.clock = clock
        self.options = options
        self.receiver = receiver
        self._http = httpx.Client(base_url=f"{url}/_control", timeout=20)

    def control(self, path: str, body: Any = None, *, method: str = "POST") -> Any:
        answer = self._http.request(method, path, json={} if body is None else body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def look(self, path: str) -> Any:
        return self.control(path, method="GET")

    def told(self) -> Sequence[Delivery]:
        until(lambda: bool(self.look("/quiet")["quiet"]))
        return list(self.receiver.received)

    def plain_toolbox(self) -> Toolbox:
        """To do by the connector itself what a person would do at the vendor."""
        return Toolbox(self.clock, LocalBudgets(self.clock), random.Random(1))

    def close(self) -> None:
        self._http.close()


class Receiver:
    """Takes webhooks in and answers each with 200."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[Delivery] = []
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.received.append(Delivery(dict(request.headers), await request.body()))
        return Response(status_code=200)


@contextmanager
def served(kind: Callable[..., Any], options: Any, create_app: Callable[[Any, VirtualClock], ASGIApp]) -> Iterator[Any]:
    """A sandbox of that kind with these options."""
    clock, receiver = VirtualClock(), Receiver()
    with serve(create_app(options, clock)) as url, serve(receiver.app) as hook:
        receiver.url = f"{hook}/hook"
        sandbox = kind(url, clock, options, receiver)
        try:
            yield sandbox
        finally:
            sandbox.close()


def installed(name: str) -> Connector:
    """As the worker finds it."""
    return connector(name)
