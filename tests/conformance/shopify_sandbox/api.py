"""Plain HTTP calls to a Shopify sandbox, and a receiver for its webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
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

from connectors.shopify.sandbox import Options

ORDERS_SINCE = """
query OrdersSince($q: String!, $first: Int!, $after: String) {
  orders(first: $first, after: $after, query: $q, sortKey: UPDATED_AT) {
    nodes {
      id name legacyResourceId createdAt updatedAt processedAt cancelledAt cancelReason closedAt
      test confirmed edited sourceName displayFinancialStatus displayFulfillmentStatus returnStatus
      lineItems(first: 50) {
        nodes {
          id sku quantity currentQuantity refundableQuantity unfulfilledQuantity nonFulfillableQuantity restockable
          isGiftCard requiresShipping variant { id sku inventoryItem { id tracked } }
        }
        pageInfo { hasNextPage endCursor }
      }
      refunds(first: 20) {
        id createdAt updatedAt processedAt
        refundLineItems(first: 50) {
          nodes { id quantity restockType restocked location { id } lineItem { id } }
          pageInfo { hasNextPage endCursor }
        }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""


class Api:
    """The Admin API with the application's own token, and the control surface."""

    def __init__(self, client: httpx.Client, options: Options) -> None:
        self.http = client
        self.options = options
        self.token = options.access_token.get_secret_value()

    def post(
        self, text: str, *, version: str = "2026-10", token: str | None = None, **variables: Any
    ) -> httpx.Response:
        """One GraphQL request."""
        return self.http.post(
            f"/admin/api/{version}/graphql.json",
            json={"query": text, "variables": variables},
            headers={"X-Shopify-Access-Token": token or self.token},
        )

    def ask(self, text: str, **variables: Any) -> Any:
        """The data of an answer without errors."""
        answer = self.post(text, **variables).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def since(self, moment: str, *, first: int = 10, after: str | None = None) -> Any:
        return self.ask(ORDERS_SINCE, q=f"updated_at:>='{moment}'", first=first, after=after)["orders"]

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

    def refund(self, order: Any, *parts: tuple[int, int, str]) -> Any:
        """Refund (position, units, restock type) of an order's lines."""
        lines = [
            {"line_id": order["lines"][place], "quantity": units, "restock_type": kind} for place, units, kind in parts
        ]
        return self.control(f"orders/{order['id']}/refund", {"lines": lines})

    def subscribe(self, topic: str, url: str, **wanted: Any) -> str:
        made = self.ask(SUBSCRIBE, topic=topic, wanted={"uri": url, "format": "JSON", **wanted})
        payload = made["webhookSubscriptionCreate"]
        assert payload["userErrors"] == []
        return str(payload["webhookSubscription"]["id"])

    def until_quiet(self) -> None:
        until(lambda: self.show("quiet")["quiet"])

    def until_retry(self, count: int = 1) -> None:
        """Until so many deliveries have failed and wait to be tried again."""
        until(lambda: self.show("quiet")["retries"] == count)


SUBSCRIBE = """
mutation Subscribe($topic: WebhookSubscriptionTopic!, $wanted: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $wanted) {
    webhookSubscription { id topic uri includeFields apiVersion { handle } }
    userErrors { field message }
  }
}
"""


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
        return self.headers["x-shopify-topic"]

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    def signed_by(self, secret: str) -> bool:
        digest = hmac.digest(secret.encode(), self.body, hashlib.sha256)
        return base64.b64encode(digest).decode() == self.headers["x-shopify-hmac-sha256"]


class Receiver:
    """Takes webhooks in; answers each with `status`, or as long as there are any with the next of `statuses`."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[Received] = []
        self.status = 200
        self.statuses: list[int] = []
        self._lock = threading.Lock()
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        with self._lock:
            self.received.append(Received(dict(request.headers), body))
            status = self.statuses.pop(0) if self.statuses else self.status
        return Response(status_code=status, headers={"Location": "/elsewhere"} if status == 302 else None)

    def topics(self) -> list[str]:
        return [one.topic for one in self.received]

    def wait_for(self, count: int) -> list[Received]:
        until(lambda: len(self.received) >= count)
        return self.received


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
