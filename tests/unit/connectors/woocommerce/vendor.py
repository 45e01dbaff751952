"""A shop that answers as it is told, for tests of single calls, and the smallest true orders to answer with."""

from __future__ import annotations

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
from connectors.woocommerce import WooCommerceChannel, WooCommerceSettings

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SITE = "https://shop.test/store"
ROOT = "/store/wp-json/wc/v3/"
KEY, SECRET = "ck_0123456789abcdef", "cs_fedcba9876543210"
HOOK_SECRET = "hush"

Answer = Any
"""A JSON value, a whole response, what goes wrong, or what makes one of these from the request."""


@dataclass
class Vendor:
    """Answers each path with what was queued for it; the last answer of a queue is given for ever."""

    clock: VirtualClock
    skew_seconds: float = 0.0
    dated: bool = True
    asked: list[httpx.Request] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)

    def will(self, what: str, *answers: Answer) -> None:
        """Answer `GET orders` and the like with these, one after the other."""
        self.answers[what] = list(answers)

    def params(self, path: str) -> list[dict[str, str]]:
        """What a path was asked with, each time."""
        return [dict(request.url.params) for request in self.asked if request.url.path == ROOT + path]

    @property
    def names(self) -> list[str]:
        return [_name(request) for request in self.asked]

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        queue = self.answers.get(_name(request))
        assert queue, f"no answer for {_name(request)} {request.url.params}"
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            # A response is consumed by its reader; the queue's last is given again and again.
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return httpx.Response(200, headers=self.headers(), json=answer)

    def headers(self) -> dict[str, str]:
        moment = datetime.fromtimestamp(self.clock.now().timestamp() + self.skew_seconds, UTC)
        return {"Date": format_datetime(moment, usegmt=True)} if self.dated else {}


def _name(request: httpx.Request) -> str:
    return f"{request.method} {request.url.path.removeprefix(ROOT)}"


def toolbox(vendor: Vendor) -> Toolbox:
    router = respx.Router(assert_all_called=False)
    router.route(url__startswith=f"{SITE}/wp-json/wc/v3/").mock(side_effect=vendor.handle)
    return Toolbox(
        clock=vendor.clock,
        budgets=LocalBudgets(vendor.clock),
        random=random.Random(1),
        transport=httpx.MockTransport(router.handler),
    )


def settings(**changes: Any) -> WooCommerceSettings:
    values: dict[str, Any] = {
        "site": SITE,
        "consumer_key": KEY,
        "consumer_secret": SECRET,
        "webhook_secrets": [HOOK_SECRET],
    }
    return WooCommerceSettings.model_validate({**values, **changes})


def channel(vendor: Vendor, **changes: Any) -> WooCommerceChannel:
    return WooCommerceChannel("toys", settings(**changes), toolbox(vendor))


def error(status: int, code: str, **data: Any) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": "Sorry.", "data": {"status": status, **data}})


# Orders -----------------------------------------------------------------------------------------------------------


def line(line_id: int = 11, quantity: Any = 3, reduced: Any = None, **changes: Any) -> dict[str, Any]:
    meta = [{"id": 1, "key": "Engraving", "value": "For Bob"}]
    if reduced is not None:
        meta.append({"id": 2, "key": "_reduced_stock", "value": reduced})
    row = {
        "id": line_id,
        "name": "A teddy bear",
        "product_id": 93,
        "variation_id": 0,
        "quantity": quantity,
        "sku": f"SKU-{line_id}",
        "price": 12,
        "meta_data": meta,
    }
    return {**row, **changes}


def order(
    order_id: Any = 1,
    *lines: Mapping[str, Any],
    modified: Any = "2026-11-21T11:00:00",
    refunds: Sequence[int] = (),
    **changes: Any,
) -> dict[str, Any]:
    row = {
        "id": order_id,
        "number": f"W-{order_id}",
        "status": "processing",
        "date_created": "2026-11-20T15:00:00",
        "date_created_gmt": "2026-11-20T09:30:00",
        "date_modified": "2026-11-21T16:30:00",
        "date_modified_gmt": modified,
        "created_via": "checkout",
        "customer_note": "Ada Lovelace is not at home",
        "billing": {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "555-0100"},
        "meta_data": [{"id": 9, "key": "_gift", "value": "For Bob"}],
        "line_items": list(lines) or [line()],
        "refunds": [{"id": refund_id, "reason": "broken", "total": "-6.00"} for refund_id in refunds],
    }
    return {**row, **changes}


def refund(refund_id: int, *parts: tuple[Any, Any]) -> dict[str, Any]:
    """Of (line id, units below zero)."""
    lines = [
        {
            "id": 900 + place,
            "product_id": 93,
            "variation_id": 0,
            "quantity": units,
            "sku": "A",
            "meta_data": [{"id": 3, "key": "_refunded_item_id", "value": line_id}],
        }
        for place, (line_id, units) in enumerate(parts)
    ]
    return {"id": refund_id, "amount": "6.00", "reason": "Ada Lovelace sent it back", "line_items": lines}
