"""A shop on this machine that speaks Acorn's protocol: `trueup sandbox acorn`.

    GET  /v1/shops/{shop}/orders?changed_since=&behind=&limit=   pages of whole orders, oldest change first
    GET  /v1/shops/{shop}/orders/{id}                            one order
    GET  /v1/shops/{shop}/webhooks                               what is registered; POST registers

Under `/_control` tests and people sell, take back, cancel and delete, revoke the key, arm faults and move the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from random import Random
from typing import Any

import httpx
from connectors.clock import Clock, SystemClock
from connectors.sandbox.clock import MovableClock, movable
from connectors.sandbox.connection import DateHeader
from connectors.sandbox.faults import Fault, FaultPlan, play
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MAX_LIMIT = 250
CUSTOMER = {"name": "Ada Lovelace", "email": "ada@example.com", "address": "12 Analytical Street, London"}


class Options(BaseModel):
    """How to set up one shop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shop: str = Field(default="corner", description="The shop's name.")
    api_key: SecretStr = Field(default=SecretStr("sandbox-api-key"), description="What callers must know.")
    webhook_secret: SecretStr = Field(
        default=SecretStr("sandbox-webhook-secret"), description="What webhooks are signed with."
    )
    seed: int = Field(default=0, description="Makes faults reproducible.")


@dataclass(slots=True)
class Order:
    """One order, as Acorn keeps it."""

    id: str
    placed_at: datetime
    changed_at: datetime
    items: list[dict[str, Any]]
    source: str
    status: str = "paid"
    version: int = 0
    change: int = 0
    """The number of its last change among all changes of the shop: pages go by it, so none skips an order."""


@dataclass
class Shop:
    """One shop. Used from the event loop only."""

    options: Options
    clock: Clock
    orders: dict[str, Order] = field(default_factory=dict)
    webhooks: list[dict[str, Any]] = field(default_factory=list)
    outgoing: asyncio.Queue[tuple[str, dict[str, str], bytes]] = field(default_factory=asyncio.Queue)
    told: list[dict[str, Any]] = field(default_factory=list)
    """Every webhook so far, delivered or not."""
    revoked: bool = False
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def sell(self, items: list[dict[str, Any]], source: str = "till") -> Order:
        """Place an order; its items are numbered."""
        rows = [{"quantity": 1, "returned": 0, **item, "id": str(place)} for place, item in enumerate(items, 1)]
        now = self.clock.now()
        order = Order(f"A-{next(self.numbers)}", now, now, rows, source)
        self.orders[order.id] = order
        return self.changed(order)

    def changed(self, order: Order) -> Order:
        """A new version of an order, told to whoever registered."""
        order.version += 1
        order.change = next(self.numbers)
        order.changed_at = self.clock.now()
        self.tell("order.changed", self.shown(order))
        return order

    def delete(self, order_id: str) -> None:
        """Remove an order for good."""
        del self.orders[order_id]
        self.tell("order.deleted", {"id": order_id})

    def shown(self, order: Order) -> dict[str, Any]:
        """An order as the API shows it."""
        return {
            "id": order.id,
            "version": order.version,
            "status": order.status,
            "source": order.source,
            "placed_at": order.placed_at.isoformat(),
            "changed_at": order.changed_at.isoformat(),
            "customer": CUSTOMER,
            "items": order.items,
        }

    def tell(self, event: str, order: dict[str, Any] | None = None) -> None:
        """Queue a webhook for every address that wants this event."""
        body = json.dumps({"id": f"evt-{next(self.numbers)}", "event": event, "order": order}).encode()
        headers = self.signed(body)
        for hook in self.webhooks:
            if event in hook["events"]:
                self.told.append({"headers": headers, "body": body.decode()})
                self.outgoing.put_nowait((hook["url"], headers, body))

    def signed(self, body: bytes) -> dict[str, str]:
        """The headers of a webhook."""
        secret = self.options.webhook_secret.get_secret_value().encode()
        signature = hmac.new(secret, body, "sha256").hexdigest()
        return {"content-type": "application/json", "acorn-signature": signature}

    async def send(self) -> None:
        """Send what is queued, each once, until cancelled: what gets lost is found by polling."""
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while True:
                url, headers, body = await self.outgoing.get()
                with contextlib.suppress(httpx.HTTPError):
                    await client.post(url, content=body, headers=headers)


class Api:
    """What Acorn answers, under whatever fault is armed for `orders`, `order` or `webhooks`."""

    def __init__(self, shop: Shop, faults: FaultPlan, clock: MovableClock) -> None:
        self._shop = shop
        self._faults = faults
        self._clock = clock

    def routes(self) -> list[Route]:
        """Acorn's own, and the control surface."""
        shop, control, one = "/v1/shops/{shop}", "/_control", "/_control/orders/{order_id}"
        return [
            Route(f"{shop}/orders", self._guarded("orders", self.page), methods=["GET"]),
            Route(f"{shop}/orders/{{order_id}}", self._guarded("order", self.one), methods=["GET"]),
            Route(f"{shop}/webhooks", self._guarded("webhooks", self.registered), methods=["GET"]),
            Route(f"{shop}/webhooks", self.register, methods=["POST"]),
            Route(f"{control}/orders", self.sell, methods=["POST"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.change, methods=["POST"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{control}/faults", self.arm, methods=["POST"]),
            Route(f"{control}/clock", self.advance, methods=["POST"]),
            Route(f"{control}/revoke", self.revoke, methods=["POST"]),
            Route(f"{control}/told", self.told, methods=["GET"]),
        ]

    def _guarded(self, name: str, answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            refusal = self._refusal(request)
            if refusal is not None:
                return refusal
            fault = self._faults.strike(name)
            return await play(fault, lambda: answer(request), clock=self._clock, too_many_requests=_too_many)

        return guarded

    def _refusal(self, request: Request) -> Response | None:
        options = self._shop.options
        given = request.headers.get("authorization", "").encode()
        expected = f"Bearer {options.api_key.get_secret_value()}".encode()
        if self._shop.revoked or not hmac.compare_digest(given, expected):
            return JSONResponse({"error": "unknown_key"}, 401)
        return None if request.path_params["shop"] == options.shop else JSONResponse({"error": "no_such_shop"}, 404)

    # Acorn's own

    def page(self, request: Request) -> Response:
        since = datetime.fromisoformat(request.query_params["changed_since"])
        limit = min(int(request.query_params.get("limit", "100")), MAX_LIMIT)
        behind = int(request.query_params.get("behind") or 0)
        found = [one for one in self._shop.orders.values() if one.changed_at >= since and one.change > behind]
        found.sort(key=lambda order: order.change)
        rows = found[:limit]
        following = str(rows[-1].change) if len(found) > limit else None
        return JSONResponse({"orders": [self._shop.shown(order) for order in rows], "next": following})

    def one(self, request: Request) -> Response:
        order = self._shop.orders.get(request.path_params["order_id"])
        return JSONResponse({"error": "no_such_order"}, 404) if order is None else JSONResponse(self._shop.shown(order))

    def registered(self, request: Request) -> Response:
        return JSONResponse(self._shop.webhooks)

    async def register(self, request: Request) -> Response:
        asked = await request.json()

        def execute() -> Response:
            self._shop.webhooks.append({"url": asked["url"], "events": asked["events"], "enabled": True})
            return JSONResponse(self._shop.webhooks[-1], 201)

        return await self._guarded("webhooks/register", lambda _: execute())(request)

    # The control surface

    async def sell(self, request: Request) -> Response:
        asked = await request.json()
        return JSONResponse(self._shop.shown(self._shop.sell(asked["items"], asked.get("source", "till"))))

    async def show(self, request: Request) -> Response:
        return JSONResponse(self._shop.shown(self._shop.orders[request.path_params["order_id"]]))

    async def change(self, request: Request) -> Response:
        """`{"status": "cancelled"}`, `{"items": {"SKU": {"returned": 2}}}`, or `{}` for a change of nothing."""
        asked = await request.json()
        order = self._shop.orders[request.path_params["order_id"]]
        order.status = asked.get("status", order.status)
        for item in order.items:
            item.update(asked.get("items", {}).get(item["sku"], {}))
        return JSONResponse(self._shop.shown(self._shop.changed(order)))

    async def delete(self, request: Request) -> Response:
        self._shop.delete(request.path_params["order_id"])
        return JSONResponse({})

    async def arm(self, request: Request) -> Response:
        self._faults.arm(Fault.model_validate(await request.json()))
        return JSONResponse({})

    async def advance(self, request: Request) -> Response:
        self._clock.advance((await request.json())["seconds"])
        return JSONResponse({})

    async def revoke(self, request: Request) -> Response:
        """Refuse the key from now on, and say so."""
        self._shop.tell("access.revoked")
        self._shop.revoked = True
        return JSONResponse({})

    async def told(self, request: Request) -> Response:
        return JSONResponse(self._shop.told)


def _too_many(retry_after_seconds: int | None) -> Response:
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    return JSONResponse({"error": "slow_down"}, 429, headers=headers)


def create_app(options: Options, clock: Clock | None = None) -> Starlette:
    """One shop. Webhooks are sent while the application's lifespan runs."""
    time = movable(clock or SystemClock())
    shop = Shop(options, time)
    faults = FaultPlan(Random(options.seed))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sending = asyncio.create_task(shop.send())
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    app = Starlette(
        routes=Api(shop, faults, time).routes(), middleware=[Middleware(DateHeader, clock=time)], lifespan=lifespan
    )
    app.state.shop, app.state.faults = shop, faults
    return app
