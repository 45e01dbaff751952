"""The control surface: what tests, the demo and people do to the shop. JSON, unauthenticated, for this machine only.

Orders are named by their numeric ids. A body of the wrong shape is answered with 422, an impossible command with 409;
both with `{"error": ...}`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.clock import MovableClock
from connectors.sandbox.faults import Fault, FaultPlan

from .commands import CancelSpec, EditSpec, FulfilSpec, OrderSpec, RefundSpec, ReturnSpec, VariantSpec
from .cost import Bucket
from .orders import ImpossibleError, Line, Order
from .payloads import utc_time
from .sender import carry, new_client
from .shop import Shop
from .tokens import THE_APPLICATION, Tokens
from .webhooks import Webhooks

_Model = TypeVar("_Model", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Orders(_Body):
    """Orders to place, one after the other."""

    orders: tuple[OrderSpec, ...]


class Variants(_Body):
    """Variants to make."""

    variants: tuple[VariantSpec, ...]


class Advance(_Body):
    """How far to move the clock."""

    seconds: float = Field(ge=0)


class MadeUpWebhook(_Body):
    """A delivery of any content, sent once."""

    topic: str
    body: Any = None
    raw_body: str | None = Field(default=None, description="Sent as it is, instead of `body` as JSON.")
    url: str | None = Field(default=None, description="Null: to every address somebody subscribed with.")
    signed: bool = True
    headers: Mapping[str, str] = Field(default_factory=dict, description="Replace the usual ones.")
    api_version: str | None = None


@dataclass(frozen=True)
class Control:
    """What the control surface works on."""

    shop: Shop
    webhooks: Webhooks
    tokens: Tokens
    bucket: Bucket
    faults: FaultPlan
    clock: MovableClock
    calls: Counter[str]


def control_routes(control: Control) -> list[Route]:
    """All routes below `/_control`."""
    return _Routes(control).routes()


class _Routes:
    def __init__(self, control: Control) -> None:
        self._control = control
        self._shop = control.shop
        self._webhooks = control.webhooks

    def routes(self) -> list[Route]:
        post, get = ["POST"], ["GET"]
        order = "/orders/{order_id:int}"
        return [
            Route("/orders", _guarded(self.place), methods=post),
            Route(order, _guarded(self.show), methods=get),
            Route(order, _guarded(self.delete), methods=["DELETE"]),
            Route(f"{order}/pay", _guarded(self.pay), methods=post),
            Route(f"{order}/touch", _guarded(self.touch), methods=post),
            Route(f"{order}/edit", _guarded(self.edit), methods=post),
            Route(f"{order}/cancel", _guarded(self.cancel), methods=post),
            Route(f"{order}/refund", _guarded(self.refund), methods=post),
            Route(f"{order}/fulfil", _guarded(self.fulfil), methods=post),
            Route(f"{order}/return", _guarded(self.set_return_status), methods=post),
            Route("/variants", _guarded(self.add_variants), methods=post),
            Route("/webhooks", _guarded(self.send_made_up), methods=post),
            Route("/quiet", _guarded(self.quiet), methods=get),
            Route("/flush", _guarded(self.flush), methods=post),
            Route("/clock", _guarded(self.read_clock), methods=get),
            Route("/clock", _guarded(self.advance), methods=post),
            Route("/switches", _guarded(self.read_switches), methods=get),
            Route("/switches", _guarded(self.turn), methods=post),
            Route("/delivery_faults", _guarded(self.read_delivery_faults), methods=get),
            Route("/delivery_faults", _guarded(self.set_delivery_faults), methods=post),
            Route("/faults", _guarded(self.read_faults), methods=get),
            Route("/faults", _guarded(self.arm), methods=post),
            Route("/faults", _guarded(self.disarm), methods=["DELETE"]),
            Route("/bucket/empty", _guarded(self.empty_bucket), methods=post),
            Route("/tokens/expire", _guarded(self.expire_tokens), methods=post),
            Route("/uninstall", _guarded(self.uninstall), methods=post),
            Route("/reinstall", _guarded(self.reinstall), methods=post),
            Route("/counts", _guarded(self.counts), methods=get),
            Route("/state", _guarded(self.state), methods=get),
        ]

    # Orders

    async def place(self, request: Request) -> object:
        placed = []
        for spec in (await _read(request, Orders)).orders:
            order = self._shop.place(spec)
            placed.append({"id": order.order_id, "name": order.name, "lines": [line.line_id for line in order.lines]})
            # A bulk must not keep webhooks from being sent in time.
            await asyncio.sleep(0)
        return {"orders": placed}

    async def show(self, request: Request) -> object:
        return order_state(self._shop.order(_order_id(request)))

    async def delete(self, request: Request) -> object:
        self._shop.delete(_order_id(request))
        return {}

    async def pay(self, request: Request) -> object:
        return order_state(self._shop.pay(_order_id(request)))

    async def touch(self, request: Request) -> object:
        return order_state(self._shop.touch(_order_id(request)))

    async def edit(self, request: Request) -> object:
        return order_state(self._shop.edit(_order_id(request), await _read(request, EditSpec)))

    async def cancel(self, request: Request) -> object:
        return order_state(self._shop.cancel(_order_id(request), await _read(request, CancelSpec)))

    async def refund(self, request: Request) -> object:
        refund = self._shop.refund(_order_id(request), await _read(request, RefundSpec))
        return {"refund_id": refund.refund_id} | order_state(self._shop.order(_order_id(request)))

    async def fulfil(self, request: Request) -> object:
        return order_state(self._shop.fulfil(_order_id(request), await _read(request, FulfilSpec)))

    async def set_return_status(self, request: Request) -> object:
        return order_state(self._shop.set_return_status(_order_id(request), await _read(request, ReturnSpec)))

    async def add_variants(self, request: Request) -> object:
        made = [self._shop.add_variant(spec) for spec in (await _read(request, Variants)).variants]
        return {"variants": [{"id": variant.variant_id, "sku": variant.sku} for variant in made]}

    # Webhooks

    async def send_made_up(self, request: Request) -> object:
        wanted = await _read(request, MadeUpWebhook)
        body = orjson.dumps(wanted.body) if wanted.raw_body is None else wanted.raw_body.encode()
        version = wanted.api_version or self._shop.options.api_versions[-1]
        known = dict.fromkeys(one.uri for one in self._webhooks.subscriptions.of(THE_APPLICATION))
        answers = []
        async with new_client() as client:
            for url in [wanted.url] if wanted.url else known:
                delivery = self._webhooks.made_up(
                    wanted.topic, body, url, signed=wanted.signed, headers=wanted.headers, api_version=version
                )
                answers.append({"url": url, "status": await carry(client, delivery)})
        return {"answers": answers}

    async def quiet(self, request: Request) -> object:
        pending = self._webhooks.sender.pending
        return {"quiet": not any(pending.values()), **pending}

    async def flush(self, request: Request) -> object:
        self._webhooks.sender.flush()
        return await self.quiet(request)

    # Time, switches, faults

    async def read_clock(self, request: Request) -> object:
        return {"now": self._control.clock.now().isoformat()}

    async def advance(self, request: Request) -> object:
        self._control.clock.advance((await _read(request, Advance)).seconds)
        return await self.read_clock(request)

    async def read_switches(self, request: Request) -> object:
        return self._shop.switches.model_dump()

    async def turn(self, request: Request) -> object:
        switches = await _changed(request, self._shop.switches)
        self._shop.turn(switches)
        self._webhooks.turn(switches)
        return switches.model_dump()

    async def read_delivery_faults(self, request: Request) -> object:
        return self._webhooks.faults.model_dump()

    async def set_delivery_faults(self, request: Request) -> object:
        self._webhooks.faults = await _changed(request, self._webhooks.faults)
        return self._webhooks.faults.model_dump()

    async def read_faults(self, request: Request) -> object:
        struck = [
            {"operation": operation, "kind": kind, "times": times}
            for (operation, kind), times in self._control.faults.struck.items()
        ]
        return {"armed": [fault.model_dump() for fault in self._control.faults.armed], "struck": struck}

    async def arm(self, request: Request) -> object:
        self._control.faults.arm(await _read(request, Fault))
        return await self.read_faults(request)

    async def disarm(self, request: Request) -> object:
        self._control.faults.disarm()
        return await self.read_faults(request)

    async def empty_bucket(self, request: Request) -> object:
        self._control.bucket.empty()
        return self._control.bucket.status()

    # The application's standing

    async def expire_tokens(self, request: Request) -> object:
        self._control.tokens.expire()
        return {}

    async def uninstall(self, request: Request) -> object:
        self._control.tokens.installed = False
        options = self._shop.options
        payload = {"id": 71_000_000_001, "name": options.shop_name, "myshopify_domain": options.shop_domain}
        self._webhooks.uninstall(THE_APPLICATION, payload)
        return {}

    async def reinstall(self, request: Request) -> object:
        self._control.tokens.installed = True
        return {}

    # The whole

    async def counts(self, request: Request) -> object:
        return {
            "orders": len(self._shop.orders),
            "calls": dict(self._control.calls),
            "deliveries": dict(self._webhooks.sender.counts),
            "pending": self._webhooks.sender.pending,
            "bucket": self._control.bucket.status(),
        }

    async def state(self, request: Request) -> object:
        subscriptions = [
            {"id": one.subscription_id, "topic": one.topic, "uri": one.uri, "failures_in_a_row": one.failures_in_a_row}
            for one in self._webhooks.subscriptions.of(THE_APPLICATION)
        ]
        counts: Any = await self.counts(request)
        return {
            **counts,
            "now": self._control.clock.now().isoformat(),
            "subscriptions": subscriptions,
            "orders": [order_state(order) for order in self._shop.orders.values()],
        }


def order_state(order: Order) -> dict[str, Any]:
    """An order with what became of every unit, as the vendor itself knows it."""
    return {
        "id": order.order_id,
        "name": order.name,
        "created_at": utc_time(order.created_at),
        "updated_at": utc_time(order.updated_at),
        "cancelled": order.cancelled_at is not None,
        "test": order.test,
        "financial_status": order.financial_status,
        "lines": [_line_state(line) for line in order.lines],
        "refunds": [
            {
                "id": refund.refund_id,
                "lines": [
                    {"line_id": one.line.line_id, "quantity": one.quantity, "restock_type": one.restock_type.value}
                    for one in refund.lines
                ],
            }
            for refund in order.refunds
        ],
    }


def _line_state(line: Line) -> dict[str, Any]:
    return {
        "id": line.line_id,
        "sku": line.sku,
        "variant_id": line.variant.variant_id if line.variant else None,
        "ordered": line.ordered,
        "removed_restocked": line.removed_restocked,
        "removed_kept": line.removed_kept,
        "refunded_restocked": line.refunded_restocked,
        "refunded_kept": line.refunded_kept,
        "fulfilled": line.fulfilled,
        "current": line.current,
        "committed": line.committed,
    }


def _order_id(request: Request) -> int:
    return int(request.path_params["order_id"])


async def _read(request: Request, model: type[_Model]) -> _Model:
    return TypeAdapter(model).validate_json(await request.body() or b"{}")


async def _changed(request: Request, present: _Model) -> _Model:
    """`present` with the given fields replaced."""
    given = orjson.loads(await request.body() or b"{}")
    return type(present).model_validate({**present.model_dump(), **given})


def _guarded(handle: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body, status = await handle(request), 200
        except ImpossibleError as error:
            body, status = {"error": str(error)}, 409
        except (ValidationError, ValueError) as error:
            body, status = {"error": str(error)}, 422
        return Response(orjson.dumps(body), status, media_type="application/json")

    return endpoint
