"""Plain HTTP calls to a WooCommerce sandbox, and a receiver for its webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.woocommerce.sandbox import Options

SECRET = "a long random text of our own"


class Api:
    """The REST API with the shop's own key, and the control surface."""

    def __init__(self, client: httpx.Client, options: Options) -> None:
        self.http = client
        self.options = options
        self._key = (options.consumer_key.get_secret_value(), options.consumer_secret.get_secret_value())

    def call(self, method: str, path: str, *, key: tuple[str, str] | None = None, **wanted: Any) -> httpx.Response:
        return self.http.request(method, f"/wp-json/wc/v3/{path}", auth=key or self._key, **wanted)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def register(self, topic: str, url: str, **wanted: Any) -> httpx.Response:
        body = {"topic": topic, "delivery_url": url, "secret": SECRET, **wanted}
        return self.call("POST", "webhooks", json=body)

    def control(self, path: str, body: Any = None, *, method: str = "POST", status: int = 200) -> Any:
        answer = self.http.request(method, f"/_control/{path}", json={} if body is None else body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def show(self, path: str) -> Any:
        return self.control(path, method="GET")

    def place(self, *lines: dict[str, Any], **order: Any) -> Any:
        """One order: its id and those of its lines."""
        spec = {"lines": lines or [{"sku": "A", "quantity": 3}], **order}
        return self.control("orders", {"orders": [spec]})["orders"][0]

    def become(self, order: Any, status: str) -> None:
        self.control(f"orders/{order['id']}/status", {"status": status})

    def refund(self, order: Any, *parts: tuple[int, int], restock: bool = True) -> Any:
        """Refund (position, units) of an order's lines."""
        lines = [{"line_id": order["lines"][place], "quantity": units} for place, units in parts]
        return self.control(f"orders/{order['id']}/refund", {"lines": lines, "restock": restock})

    def set_quantity(self, order: Any, place: int, quantity: int) -> None:
        change = {"line_id": order["lines"][place], "quantity": quantity}
        self.control(f"orders/{order['id']}/edit", {"set": [change]})

    def delete(self, order: Any) -> None:
        self.control(f"orders/{order['id']}", {"force": True}, method="DELETE")

    def until_quiet(self) -> None:
        until(lambda: self.show("quiet")["quiet"])


class Serve(Protocol):
    """Serves a sandbox with these options for the length of a block."""

    def __call__(self, **options: Any) -> AbstractContextManager[Api]: ...


@dataclass(frozen=True)
class Received:
    """One delivery as it came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def topic(self) -> str:
        return self.headers["x-wc-webhook-topic"]

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    @property
    def delivery_id(self) -> str:
        return self.headers["x-wc-webhook-delivery-id"]

    def signed_with(self, secret: str) -> bool:
        expected = base64.b64encode(hmac.digest(secret.encode(), self.body, hashlib.sha256)).decode()
        return self.headers["x-wc-webhook-signature"] == expected


class Receiver:
    """Takes webhooks, and pings apart from them; answers with `status`."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.received: list[Received] = []
        self.pings: list[Received] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        delivery = Received(dict(request.headers), await request.body())
        (self.received if "x-wc-webhook-topic" in delivery.headers else self.pings).append(delivery)
        return Response(status_code=self.status)

    def wait_for(self, count: int) -> list[Received]:
        until(lambda: len(self.received) >= count)
        return list(self.received)


def until(condition: Callable[[], bool]) -> None:
    """Poll a condition, within ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
