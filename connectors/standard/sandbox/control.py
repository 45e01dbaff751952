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

from .commands import ChangeSpec, EditSpec, EndpointSpec, OrderSpec, SecretsSpec
from .messages import Messages
from .sender import carry, new_client
from .shop import ImpossibleError, Shop

_Model = TypeVar("_Model", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Orders(_Body):
    """Orders to place, one after the other."""

    orders: tuple[OrderSpec, ...]


class Advance(_Body):
    """How far to move the clock."""

    seconds: float = Field(ge=0)


class MadeUpMessage(_Body):
    """A message of any content, sent once."""

    body: Any = None
    raw_body: str | None = Field(default=None, description="Sent as it is, instead of `body` as JSON.")
    url: str | None = Field(default=None, description="Null: to every address somebody registered.")
    signed: bool = True
    headers: Mapping[str, str] = Field(default_factory=dict, description="Replace the usual ones.")


@dataclass(frozen=True)
class Control:
    """What the control surface works on."""

    shop: Shop
    messages: Messages
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
        self._messages = control.messages

    def routes(self) -> list[Route]:
        post, get, delete = ["POST"], ["GET"], ["DELETE"]
        order, guarded = "/orders/{order_id}", self._guarded
        return [
            Route("/orders", guarded(self.place), methods=post),
            Route(order, guarded(self.show), methods=get),
            Route(order, guarded(self.delete), methods=delete),
            Route(f"{order}/cancel", guarded(self.cancel), methods=post),
            Route(f"{order}/restock", guarded(self.restock), methods=post),
            Route(f"{order}/edit", guarded(self.edit), methods=post),
            Route(f"{order}/touch", guarded(self.touch), methods=post),
            Route("/endpoints", guarded(self.register), methods=post),
            Route("/endpoints", guarded(self.forget), methods=delete),
            Route("/secrets", guarded(self.replace_secrets), methods=post),
            Route("/webhooks", guarded(self.send_made_up), methods=post),
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
            # A bulk must not keep messages from being sent in time.
            await asyncio.sleep(0)
        return {"orders": placed}

    async def show(self, request: Request) -> object:
        return self._shop.state(self._shop.order(_order_id(request)))

    async def delete(self, request: Request) -> object:
        self._shop.delete(_order_id(request))
        return {}

    async def cancel(self, request: Request) -> object:
        """All of an order, or the units that are named."""
        spec, order_id = await _read(request, ChangeSpec), _order_id(request)
        changed = self._shop.cancel_units(order_id, spec) if spec.lines else self._shop.cancel(order_id)
        return self._shop.state(changed)

    async def restock(self, request: Request) -> object:
        return self._shop.state(self._shop.restock(_order_id(request), await _read(request, ChangeSpec)))

    async def edit(self, request: Request) -> object:
        return self._shop.state(self._shop.edit(_order_id(request), await _read(request, EditSpec)))

    async def touch(self, request: Request) -> object:
        return self._shop.state(self._shop.touch(_order_id(request)))

    # Messages

    async def register(self, request: Request) -> object:
        url = (await _read(request, EndpointSpec)).url
        if url not in self._messages.urls:
            self._messages.urls.append(url)
        return {"urls": self._messages.urls}

    async def forget(self, request: Request) -> object:
        self._messages.urls.clear()
        return {"urls": []}

    async def replace_secrets(self, request: Request) -> object:
        self._messages.secrets = (await _read(request, SecretsSpec)).secrets
        return {}

    async def send_made_up(self, request: Request) -> object:
        wanted = await _read(request, MadeUpMessage)
        body = orjson.dumps(wanted.body) if wanted.raw_body is None else wanted.raw_body.encode()
        answers = []
        async with new_client() as client:
            for url in [wanted.url] if wanted.url else self._messages.urls:
                parcel = self._messages.made_up(body, url, signed=wanted.signed, headers=wanted.headers)
                answers.append({"url": url, "status": await carry(client, parcel)})
        return {"answers": answers}

    async def quiet(self, request: Request) -> object:
        pending = self._messages.sender.pending
        return {"quiet": not any(pending.values()), **pending}

    async def flush(self, request: Request) -> object:
        self._messages.sender.flush()
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
        return self._messages.faults.model_dump()

    async def set_delivery_faults(self, request: Request) -> object:
        self._messages.faults = await _changed(request, self._messages.faults)
        return self._messages.faults.model_dump()

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
            "deliveries": dict(self._messages.sender.counts),
            "pending": self._messages.sender.pending,
        }

    async def state(self, request: Request) -> object:
        counts: Any = await self.counts(request)
        return {
            **counts,
            "now": self._control.clock.now().isoformat(),
            "endpoints": self._messages.urls,
            "orders": [self._shop.state(order) for order in self._shop.orders.values()],
        }

    def _guarded(self, handle: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                body, status = await handle(request), 200
            except ImpossibleError as error:
                body, status = {"error": str(error)}, 409
            except (ValidationError, ValueError) as error:
                body, status = {"error": str(error)}, 422
            return Response(orjson.dumps(body), status, media_type="application/json")

        return endpoint


def _order_id(request: Request) -> str:
    return str(request.path_params["order_id"])


async def _read(request: Request, model: type[_Model]) -> _Model:
    return TypeAdapter(model).validate_json(await request.body() or b"{}")


async def _changed(request: Request, present: _Model) -> _Model:
    """`present` with the given fields replaced."""
    given = orjson.loads(await request.body() or b"{}")
    return type(present).model_validate({**present.model_dump(), **given})
