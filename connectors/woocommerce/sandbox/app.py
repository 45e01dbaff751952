"""The sandbox as a server: the REST API on the vendor's paths, the control surface under `/_control`."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from connectors.clock import Clock, SystemClock
from connectors.sandbox.app import application
from connectors.sandbox.clock import movable
from connectors.sandbox.faults import FaultPlan

from .api import Api
from .control import Control
from .options import Options
from .payloads import Payloads
from .shop import Shop
from .webhooks import Webhooks


def create_app(options: Options, clock: Clock | None = None) -> Starlette:
    """One shop. Webhooks are sent while the application's lifespan runs, on the server's event loop."""
    time = movable(clock or SystemClock())
    webhooks = Webhooks(options, time)
    shop = Shop(options, time, webhooks.announce)
    payloads = Payloads(options)
    faults = FaultPlan(Random(f"api faults {options.seed}"))
    calls: Counter[str] = Counter()

    def representation(order_id: int) -> dict[str, Any] | None:
        shop.settle()
        order = shop.orders.get(order_id)
        return None if order is None else payloads.order(order, shop.switches)

    webhooks.shop, webhooks.representation = shop, representation
    api = Api(options=options, shop=shop, webhooks=webhooks, payloads=payloads, faults=faults, clock=time, calls=calls)

    control = Control(shop, webhooks, faults, time, calls)
    app = application([Mount("/wp-json/wc/v3", routes=api.routes())], control, time, sender=webhooks.sender)
    # For whoever runs it within the own process: merchants act here, and proofs look here, without HTTP.
    app.state.shop, app.state.webhooks = shop, webhooks
    return app
