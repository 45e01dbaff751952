"""Plain HTTP calls to a standard sandbox, and a receiver for its messages."""

from __future__ import annotations

import base64
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

from connectors.standard.sandbox import Options


class Api:
    """`GET /orders` with the shop's own token, and the control surface."""

    def __init__(self, client: httpx.Client, options: Options) -> None:
        self.http = client
        self.options = options

    def call(self, *, token: str | None = None, **params: Any) -> httpx.Response:
        token = token or self.options.token.get_secret_value()
        return self.http.get("/orders", params=params, headers={"authorization": f"Bearer {token}"})

    def get(self, **params: Any) -> Any:
        answer = self.call(**params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def control(self, path: str, body: Any = None, *, method: str = "POST", status: int = 200) -> Any:
        answer = self.http.request(method, f"/_control/{path}", json={} if body is None else body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def show(self, path: str) -> Any:
        return self.control(path, method="GET")

    def register(self, url: str) -> None:
        self.control("endpoints", {"url": url})

    def place(self, *lines: dict[str, Any], **order: Any) -> Any:
        """One order: its id and those of its lines."""
        spec = {"lines": lines or [{"sku": "A", "quantity": 3}], **order}
        return self.control("orders", {"orders": [spec]})["orders"][0]

    def change(self, what: str, order: Any, *parts: tuple[int, int]) -> None:
        """`cancel` or `restock` (position, units) of an order's lines; without any, cancel it all."""
        lines = [{"line_id": order["lines"][place], "quantity": units} for place, units in parts]
        self.control(f"orders/{order['id']}/{what}", {"lines": lines})

    def set_quantity(self, order: Any, place: int, quantity: int) -> None:
        self.control(f"orders/{order['id']}/edit", {"set": [{"line_id": order["lines"][place], "quantity": quantity}]})

    def delete(self, order: Any) -> None:
        self.control(f"orders/{order['id']}", method="DELETE")

    def until_quiet(self) -> None:
        until(lambda: self.show("quiet")["quiet"])


class Serve(Protocol):
    """Serves a sandbox with these options for the length of a block."""

    def __call__(self, **options: Any) -> AbstractContextManager[Api]: ...


@dataclass(frozen=True)
class Received:
    """One message as it came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    def signed_with(self, secret: str) -> bool:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = f"{self.message_id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = f"v1,{base64.b64encode(hmac.digest(key, text, 'sha256')).decode()}"
        return expected in self.headers["webhook-signature"].split(" ")


class Receiver:
    """Takes messages; answers with `status`."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.received: list[Received] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.received.append(Received(dict(request.headers), await request.body()))
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
