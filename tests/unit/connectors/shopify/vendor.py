"""A shop that answers as it is told, for tests of single calls, and the smallest true orders to answer with."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx
import respx

from connectors.budget import LocalBudgets
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.shopify import ShopifyChannel, ShopifySettings

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
URL = "https://toys.myshopify.com"
TOKEN = "shpat_0123456789abcdef"

Answer = Mapping[str, Any] | httpx.Response | Exception | Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Asked:
    """One operation the shop was asked."""

    name: str
    variables: Mapping[str, Any]
    headers: httpx.Headers


@dataclass
class Vendor:
    """Answers each operation with what was queued for it; the last answer of a queue is given for ever."""

    clock: VirtualClock
    skew_seconds: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    version: str | None = "2026-10"
    dated: bool = True
    unhurried: bool = False
    """Whether answers say that points are plenty and every question is dear."""

    def will(self, operation: str, *answers: Answer) -> None:
        """Answer `operation` with these, one after the other: data, a whole response, or what goes wrong."""
        self.answers[operation] = list(answers)

    def variables(self, operation: str) -> list[Mapping[str, Any]]:
        """What was asked, for each time that operation was."""
        return [asked.variables for asked in self.asked if asked.name == operation]

    @property
    def names(self) -> list[str]:
        return [asked.name for asked in self.asked]

    def handle(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        name, variables = body["operationName"], body["variables"]
        assert f"{name}" in body["query"]
        self.asked.append(Asked(name, variables, request.headers))
        queue = self.answers.get(name)
        assert queue, f"no answer for {name} {variables}"
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if callable(answer):
            answer = answer(variables)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            # A response is consumed by its reader; the queue's last is given again and again.
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        whole = dict(answer) if "data" in answer or "errors" in answer else {"data": answer}
        if self.unhurried:
            whole.setdefault("extensions", cost(900, 9000, actual=1, size=10_000, rate=10_000))
        return httpx.Response(200, headers=self.headers(), json=whole)

    def headers(self) -> dict[str, str]:
        headers = {} if self.version is None else {"X-Shopify-API-Version": self.version}
        if self.dated:
            moment = datetime.fromtimestamp(self.clock.now().timestamp() + self.skew_seconds, UTC)
            headers["Date"] = format_datetime(moment, usegmt=True)
        return headers


def cost(
    requested: Any, available: float, *, actual: float | None = None, size: float = 2000, rate: float = 100
) -> Any:
    """The cost figures of an answer."""
    status = {"maximumAvailable": size, "currentlyAvailable": available, "restoreRate": rate}
    return {"cost": {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": status}}


def toolbox(vendor: Vendor) -> Toolbox:
    router = respx.Router(assert_all_called=False)
    router.post(url__startswith=f"{URL}/admin/api/").mock(side_effect=vendor.handle)
    return Toolbox(
        clock=vendor.clock,
        budgets=LocalBudgets(vendor.clock),
        random=random.Random(1),
        transport=httpx.MockTransport(router.handler),
    )


def settings(**changes: Any) -> ShopifySettings:
    values: dict[str, Any] = {"shop": "toys.myshopify.com", "access_token": TOKEN, "client_secret": "hush"}
    return ShopifySettings.model_validate({**values, **changes})


def channel(vendor: Vendor, **changes: Any) -> ShopifyChannel:
    return ShopifyChannel("toys", settings(**changes), toolbox(vendor))


# Orders -----------------------------------------------------------------------------------------------------------


def order_gid(order_id: int) -> str:
    return f"gid://shopify/Order/{order_id}"


def page_info(after: str | None = None) -> dict[str, Any]:
    return {"hasNextPage": after is not None, "endCursor": after}


def line_node(line_id: int = 11, quantity: Any = 3, current: Any = None, **changes: Any) -> dict[str, Any]:
    node = {
        "id": f"gid://shopify/LineItem/{line_id}",
        "quantity": quantity,
        "currentQuantity": quantity if current is None else current,
        "sku": f"SKU-{line_id}",
        "variant": {"id": f"gid://shopify/ProductVariant/{line_id + 500}"},
    }
    return {**node, **changes}


def refund_line_node(line_id: int = 11, quantity: Any = 1, restock_type: str = "CANCEL") -> dict[str, Any]:
    return {
        "quantity": quantity,
        "restockType": restock_type,
        "lineItem": {"id": f"gid://shopify/LineItem/{line_id}"},
    }


def refund_node(refund_id: int, lines: Sequence[Mapping[str, Any]], after: str | None = None) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/Refund/{refund_id}",
        "refundLineItems": {"nodes": list(lines), "pageInfo": page_info(after)},
    }


def order_node(
    order_id: int = 1,
    lines: Sequence[Mapping[str, Any]] | None = None,
    *,
    updated_at: str = "2026-11-21T11:00:00Z",
    refunds: Sequence[Mapping[str, Any]] = (),
    lines_after: str | None = None,
    **changes: Any,
) -> dict[str, Any]:
    node = {
        "id": order_gid(order_id),
        "createdAt": "2026-11-20T09:30:00Z",
        "updatedAt": updated_at,
        "cancelledAt": None,
        "displayFulfillmentStatus": "UNFULFILLED",
        "test": False,
        "sourceName": "web",
        "app": None,
        "tags": [],
        "lineItems": {"nodes": [line_node()] if lines is None else list(lines), "pageInfo": page_info(lines_after)},
        "refunds": list(refunds),
    }
    return {**node, **changes}


def orders_page(*nodes: Mapping[str, Any], after: str | None = None) -> dict[str, Any]:
    return {"orders": {"nodes": list(nodes), "pageInfo": page_info(after)}}


def hook_line(line_id: int = 11, quantity: Any = 3, current: Any = None, **changes: Any) -> dict[str, Any]:
    line = {
        "id": line_id,
        "quantity": quantity,
        "current_quantity": quantity if current is None else current,
        "sku": f"SKU-{line_id}",
        "variant_id": line_id + 500,
        "name": "A teddy bear",
        "price": "12.00",
    }
    return {**line, **changes}


def hook_refund(*lines: tuple[int, int, str]) -> dict[str, Any]:
    return {
        "id": 71,
        "note": "Ada Lovelace was not at home",
        "refund_line_items": [
            {"id": 900, "line_item_id": line_id, "quantity": quantity, "restock_type": kind, "location_id": None}
            for line_id, quantity, kind in lines
        ],
        "transactions": [{"amount": "12.00"}],
    }


def hook_order(order_id: Any = 1, lines: Any = None, refunds: Any = (), **changes: Any) -> dict[str, Any]:
    body = {
        "id": order_id,
        "admin_graphql_api_id": f"gid://shopify/Order/{order_id}",
        "name": "#1001",
        "created_at": "2026-11-20T10:30:00+01:00",
        "updated_at": "2026-11-21T12:00:00+01:00",
        "cancelled_at": None,
        "fulfillment_status": None,
        "test": False,
        "source_name": "web",
        "app_id": None,
        "tags": "",
        "email": "ada@example.com",
        "customer": {"first_name": "Ada", "last_name": "Lovelace", "phone": "555-0100"},
        "billing_address": {"address1": "12 Analytical Street"},
        "total_price": "36.00",
        "line_items": [hook_line()] if lines is None else lines,
        "refunds": list(refunds),
    }
    return {**body, **changes}
