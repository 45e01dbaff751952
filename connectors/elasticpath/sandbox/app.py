"""Puts one sandbox together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from connectors.clock import Clock, SystemClock
from connectors.sandbox.clock import movable
from connectors.sandbox.connection import DateHeader
from connectors.sandbox.faults import Fault, FaultKind, FaultPlan

from .api import Counts, VendorApi
from .auth import Tokens
from .control import Control
from .integrations import Integrations
from .inventory import Inventory
from .options import Options
from .orders import Orders
from .store import Store

WRITE = "transactions/create"


def create_app(options: Options, clock: Clock | None = None) -> Starlette:
    """One store. Events are sent while the application's lifespan runs, on the server's event loop.

    `clock` may be a `VirtualClock` the caller moves; any other is laid under an offset that the control surface moves.
    """
    moved = movable(clock or SystemClock())
    store = Store(options, moved)
    inventory = Inventory(store)
    orders = Orders(store, inventory)
    integrations = Integrations(options, moved, store.new_id, lambda: store.switches)
    store.announce = integrations.announce
    tokens = Tokens(options, moved)
    faults = FaultPlan(Random(f"faults:{options.seed}"))
    for kind, rate in (
        (FaultKind.DROP_BEFORE, options.lost_before_rate),
        (FaultKind.DROP_AFTER, options.lost_after_rate),
    ):
        if rate:
            faults.arm(Fault(operation=WRITE, kind=kind, probability=rate, times=None))
    counts = Counts()
    api = VendorApi(store, inventory, orders, integrations, tokens, faults, counts)
    control = Control(store, inventory, orders, integrations, tokens, faults, counts)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sending = asyncio.create_task(integrations.run())
        try:
            yield
        finally:
            integrations.stop()
            await sending

    app = Starlette(
        routes=[*api.routes(), Mount("/_control", routes=control.routes())],
        middleware=[Middleware(DateHeader, clock=moved)],
        lifespan=lifespan,
    )
    # For whoever runs it within the own process: people act here, and proofs look here, without HTTP.
    app.state.store, app.state.inventory, app.state.orders = store, inventory, orders
    app.state.integrations, app.state.tokens = integrations, tokens
    return app
