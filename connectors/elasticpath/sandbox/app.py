"""Puts one sandbox together."""

from __future__ import annotations

from random import Random

from starlette.applications import Starlette

from connectors.clock import Clock, SystemClock
from connectors.sandbox.app import application
from connectors.sandbox.clock import movable
from connectors.sandbox.faults import losing

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
    faults = losing(
        Random(f"faults:{options.seed}"),
        (WRITE,),
        before_rate=options.lost_before_rate,
        after_rate=options.lost_after_rate,
    )
    counts = Counts()
    api = VendorApi(store, inventory, orders, integrations, tokens, faults, counts)
    control = Control(store, inventory, orders, integrations, tokens, faults, counts)

    app = application(api.routes(), control, moved, sender=integrations)
    # For whoever runs it within the own process: people act here, and proofs look here, without HTTP.
    app.state.store, app.state.inventory, app.state.orders = store, inventory, orders
    app.state.integrations, app.state.tokens = integrations, tokens
    return app
