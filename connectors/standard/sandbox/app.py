"""The sandbox as a server: `GET /orders`, and the control surface under `/_control`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from random import Random

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.clock import Clock, SystemClock
from connectors.sandbox.clock import movable
from connectors.sandbox.connection import DateHeader
from connectors.sandbox.faults import FaultPlan

from .api import Api
from .control import Control, control_routes
from .messages import Messages
from .options import Options
from .shop import Shop


class _MaybeDated:
    """The `Date` header, unless the shop does not tell its time."""

    def __init__(self, app: ASGIApp, clock: Clock, shop: Shop) -> None:
        self._plain = app
        self._dated = DateHeader(app, clock)
        self._shop = shop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        await (self._dated if self._shop.switches.dated else self._plain)(scope, receive, send)


def create_app(options: Options, clock: Clock | None = None) -> Starlette:
    """One shop. Messages are sent while the application's lifespan runs, on the server's event loop."""
    time = movable(clock or SystemClock())
    messages = Messages(options, time)
    shop = Shop(options, time, messages.announce)
    messages.shop = shop
    faults = FaultPlan(Random(f"api faults {options.seed}"))
    calls: Counter[str] = Counter()
    api = Api(options=options, shop=shop, faults=faults, clock=time, calls=calls)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sending = asyncio.create_task(messages.sender.run())
        try:
            yield
        finally:
            messages.sender.stop()
            await sending

    app = Starlette(
        routes=[
            *api.routes(),
            Mount("/_control", routes=control_routes(Control(shop, messages, faults, time, calls))),
        ],
        middleware=[Middleware(_MaybeDated, clock=time, shop=shop)],
        lifespan=lifespan,
    )
    # For whoever runs it within the own process: merchants act here, and proofs look here, without HTTP.
    app.state.shop, app.state.messages = shop, messages
    return app
