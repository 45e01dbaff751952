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
from .control import Control
from .nodes import Nodes
from .options import Options
from .purchases import Purchases
from .site import Site
from .webhooks import Webhooks

WRITES = ("variants/update", "inventories/update")


def create_app(options: Options, clock: Clock | None = None) -> Starlette:
    """One site. Webhooks are sent while the application's lifespan runs, on the server's event loop.

    `clock` may be a `VirtualClock` the caller moves; any other is laid under an offset that the control surface moves.
    """
    moved = movable(clock or SystemClock())
    site = Site(options, moved)
    purchases = Purchases(site)
    nodes = Nodes(site, purchases)
    webhooks = Webhooks(options, moved, lambda: site.switches)
    webhooks.concerns, webhooks.node = nodes.concerns, nodes.show
    site.announce = webhooks.announce
    faults = FaultPlan(Random(f"faults:{options.seed}"))
    for kind, rate in (
        (FaultKind.DROP_BEFORE, options.lost_before_rate),
        (FaultKind.DROP_AFTER, options.lost_after_rate),
    ):
        for write in WRITES if rate else ():
            faults.arm(Fault(operation=write, kind=kind, probability=rate, times=None))
    counts = Counts()
    api = VendorApi(site, purchases, faults, counts)
    control = Control(site, purchases, webhooks, faults, counts)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sending = asyncio.create_task(webhooks.run())
        try:
            yield
        finally:
            webhooks.stop()
            await sending

    app = Starlette(
        routes=[*api.routes(), Mount("/_control", routes=control.routes())],
        middleware=[Middleware(DateHeader, clock=moved)],
        lifespan=lifespan,
    )
    # For whoever runs it within the own process: people act here, and proofs look here, without HTTP.
    app.state.site, app.state.purchases, app.state.webhooks = site, purchases, webhooks
    return app
