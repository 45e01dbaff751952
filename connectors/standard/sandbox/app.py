"""The sandbox as a server: `GET /orders`, and the control surface under `/_control`."""

from __future__ import annotations

from collections import Counter
from random import Random

from starlette.applications import Starlette

from connectors.clock import Clock, SystemClock
from connectors.sandbox.app import application
from connectors.sandbox.clock import movable
from connectors.sandbox.faults import FaultPlan

from .api import Api
from .control import Control
from .messages import Messages
from .options import Options
from .shop import Shop


def create_app(options: Options, clock: Clock | None = None) -> Starlette:
    """One shop. Messages are sent while the application's lifespan runs, on the server's event loop."""
    time = movable(clock or SystemClock())
    messages = Messages(options, time)
    shop = Shop(options, time, messages.announce)
    messages.shop = shop
    faults = FaultPlan(Random(f"api faults {options.seed}"))
    calls: Counter[str] = Counter()
    api = Api(options=options, shop=shop, faults=faults, clock=time, calls=calls)

    control = Control(shop, messages, faults, time, calls)
    app = application(api.routes(), control, time, sender=messages.sender, dated=lambda: shop.switches.dated)
    # For whoever runs it within the own process: merchants act here, and proofs look here, without HTTP.
    app.state.shop, app.state.messages = shop, messages
    return app
