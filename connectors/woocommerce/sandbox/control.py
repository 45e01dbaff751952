"""The control surface: what tests, the demo and people do to the shop. JSON, unauthenticated, for this machine only.

Orders are named by their ids. A body of the wrong shape is answered with 422, an impossible command with 409; both with
`{"error": ...}`.
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

from .commands import DeleteSpec, EditSpec, OrderSpec, ProductSpec, RefundSpec, SetStatus
from .model import REDUCING, ImpossibleError, Line, Order
from .payloads import product
from .sender import Webhook, carry, new_client
from .shop import Shop
from .webhooks import RefusedError, Webhooks

_Model = TypeVar("_Model", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Orders(_Body):
    """Orders to place, one after the other."""

    orders: tuple[OrderSpec, ...]


class Products(_Body):
    """Products to make."""

    products: tuple[ProductSpec, ...]


class Advance(_Body):
    """How far to move the clock."""

    seconds: float = Field(ge=0)


class MadeUpWebhook(_Body):
    """A delivery of any content, sent once."""

    topic: str
    body: Any = None
    raw_body: str | None = Field(default=None, description="Sent as it is, instead of `body` as JSON.")
    url: str | None = Field(default=None, description="Null: to every address somebody registered.")
    signed: bool = True
    headers: Mapping[str, str] = Field(default_factory=dict, description="Replace the usual ones.")


@dataclass(frozen=True)
class Control:
    """What the control surface works on."""

    shop: Shop
    webhooks: Webhooks
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
        post, get, delete = ["POST"], ["GET"], ["DELETE"]
        order, guarded = "/orders/{order_id:int}", self._guarded
        return [
            Route("/orders", guarded(self.place), methods=post),
            Route(order, guarded(self.show), methods=get),
            Route(order, guarded(self.delete), methods=delete),
            Route(f"{order}/status", guarded(self.set_status), methods=post),
            Route(f"{order}/touch", guarded(self.touch), methods=post),
            Route(f"{order}/edit", guarded(self.edit), methods=post),
            Route(f"{order}/cancel", guarded(self.cancel), methods=post),
            Route(f"{order}/refund", guarded(self.refund), methods=post),
            Route(f"{order}/refunds/{{refund_id:int}}", guarded(self.delete_refund), methods=delete),
            Route(f"{order}/trash", guarded(self.trash), methods=post),
            Route(f"{order}/restore", guarded(self.restore), methods=post),
            Route("/products", guarded(self.add_products), methods=post),
            Route("/products", guarded(self.list_products), methods=get),
            Route("/products/{item_id:int}", guarded(self.delete_product), methods=delete),
            Route("/webhooks", guarded(self.send_made_up), methods=post),
            Route("/webhooks/{webhook_id:int}/status", guarded(self.set_webhook_status), methods=post),
            Route("/quiet", guarded(self.quiet), methods=get),
            Route("/flush", guarded(self.flush), methods=post),
            Route("/clock", guarded(self.read_clock), methods=get),
            Route("/clock", guarded(self.advance), methods=post),
            Route("/switches", guarded(self.read_switches), methods=get),
            Route("/switches", guarded(self.turn), methods=post),
            Route("/delivery_faults", guarded(self.read_delivery_faults), methods=get),
            Route("/delivery_faults", guarded(self.set_delivery_faults), methods=post),
            Route("/faults", guarded(self.read_faults), methods=get),
            Route("/faults", guarded(self.arm), methods=post),
            Route("/faults", guarded(self.disarm), methods=delete),
            Route("/counts", guarded(self.counts), methods=get),
            Route("/state", guarded(self.state), methods=get),
        ]

    # Orders

    async def place(self, request: Request) -> object:
        placed = []
        for spec in (await _read(request, Orders)).orders:
            order = self._shop.place(spec)
            placed.append({"id": order.order_id, "lines": [line.line_id for line in order.lines]})
            # A bulk must not keep webhooks from being sent in time.
            await asyncio.sleep(0)
        return {"orders": placed}

    async def show(self, request: Request) -> object:
        return order_state(self._shop.order(_order_id(request)))

    async def delete(self, request: Request) -> object:
        wanted = await _read(request, DeleteSpec)
        self._shop.delete(_order_id(request), force=wanted.force or not await request.body())
        return {}

    async def set_status(self, request: Request) -> object:
        return order_state(self._shop.set_status(_order_id(request), (await _read(request, SetStatus)).status))

    async def touch(self, request: Request) -> object:
        return order_state(self._shop.touch(_order_id(request)))

    async def edit(self, request: Request) -> object:
        return order_state(self._shop.edit(_order_id(request), await _read(request, EditSpec)))

    async def cancel(self, request: Request) -> object:
        return order_state(self._shop.set_status(_order_id(request), "cancelled"))

    async def refund(self, request: Request) -> object:
        refund = self._shop.refund(_order_id(request), await _read(request, RefundSpec))
        return {"refund_id": refund.refund_id} | order_state(self._shop.order(_order_id(request)))

    async def delete_refund(self, request: Request) -> object:
        return order_state(self._shop.delete_refund(_order_id(request), int(request.path_params["refund_id"])))

    async def trash(self, request: Request) -> object:
        self._shop.delete(_order_id(request), force=False)
        return order_state(self._shop.order(_order_id(request)))

    async def restore(self, request: Request) -> object:
        return order_state(self._shop.restore(_order_id(request)))

    async def add_products(self, request: Request) -> object:
        made = [self._shop.add_product(spec) for spec in (await _read(request, Products)).products]
        return {"products": [product(one) for one in made]}

    async def list_products(self, request: Request) -> object:
        return {"products": [product(one) for one in self._shop.products.values()]}

    async def delete_product(self, request: Request) -> object:
        self._shop.delete_product(int(request.path_params["item_id"]))
        return {}

    # Webhooks

    async def send_made_up(self, request: Request) -> object:
        wanted = await _read(request, MadeUpWebhook)
        body = orjson.dumps(wanted.body) if wanted.raw_body is None else wanted.raw_body.encode()
        secrets = {one.delivery_url: one.secret for one in self._webhooks.by_id.values()}
        answers = []
        async with new_client() as client:
            for url in [wanted.url] if wanted.url else secrets:
                secret = secrets.get(url) if wanted.signed else None
                parcel = self._webhooks.made_up(wanted.topic, body, url, secret=secret, headers=wanted.headers)
                answers.append({"url": url, "status": await carry(client, parcel)})
        return {"answers": answers}

    async def set_webhook_status(self, request: Request) -> object:
        webhook = self._webhooks.by_id.get(int(request.path_params["webhook_id"]))
        if webhook is None:
            message = f"there is no webhook {request.path_params['webhook_id']}"
            raise ImpossibleError(message)
        self._webhooks.change(webhook, {"status": (await _read(request, SetStatus)).status})
        return webhook_state(webhook)

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
        self._shop.turn(await _changed(request, self._shop.switches))
        return self._shop.switches.model_dump()

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

    # The whole

    async def counts(self, request: Request) -> object:
        return {
            "orders": len(self._shop.orders),
            "calls": dict(self._control.calls),
            "deliveries": dict(self._webhooks.sender.counts),
            "pending": self._webhooks.sender.pending,
        }

    async def state(self, request: Request) -> object:
        counts: Any = await self.counts(request)
        return {
            **counts,
            "now": self._control.clock.now().isoformat(),
            "webhooks": [webhook_state(one) for one in self._webhooks.by_id.values()],
            "products": [product(one) for one in self._shop.products.values()],
            "orders": [order_state(order) for order in self._shop.orders.values()],
        }

    def _guarded(self, handle: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self._shop.settle()
            try:
                body, status = await handle(request), 200
            except (ImpossibleError, RefusedError) as error:
                body, status = {"error": str(error)}, 409
            except (ValidationError, ValueError) as error:
                body, status = {"error": str(error)}, 422
            return Response(orjson.dumps(body), status, media_type="application/json")

        return endpoint


def webhook_state(webhook: Webhook) -> dict[str, Any]:
    """A registration, with what the API does not show; not its secret."""
    return {
        "id": webhook.webhook_id,
        "topic": webhook.topic,
        "delivery_url": webhook.delivery_url,
        "status": webhook.status,
        "failures_in_a_row": webhook.failures_in_a_row,
    }


def order_state(order: Order) -> dict[str, Any]:
    """An order with what became of every unit, as the shop itself knows it."""
    return {
        "id": order.order_id,
        "status": order.status,
        "created_at": order.created_at,
        "modified_at": order.modified_at,
        "lines": [_line_state(order, line) for line in order.lines],
        "refunds": [refund.refund_id for refund in order.refunds],
    }


def _line_state(order: Order, line: Line) -> dict[str, Any]:
    # Of a managed product the shop books what is gone. Of one that is not, nobody books anything: it is gone while the
    # order stands and was not given back, restocked or not.
    unbooked = max(0, line.quantity - line.refunded) if order.status in REDUCING else 0
    return {
        "id": line.line_id,
        "sku": line.product.sku,
        "item_id": line.product.variation_id or line.product.product_id,
        "managed": line.product.managed,
        "ordered": line.quantity,
        "reduced": line.reduced,
        "refunded": line.refunded,
        "committed": unbooked if line.reduced is None else line.reduced,
    }


def _order_id(request: Request) -> int:
    return int(request.path_params["order_id"])


async def _read(request: Request, model: type[_Model]) -> _Model:
    return TypeAdapter(model).validate_json(await request.body() or b"{}")


async def _changed(request: Request, present: _Model) -> _Model:
    """`present` with the given fields replaced."""
    given = orjson.loads(await request.body() or b"{}")
    return type(present).model_validate({**present.model_dump(), **given})
