"""Puts one sandbox together."""

from __future__ import annotations

from random import Random

from starlette.applications import Starlette

from connectors.clock import Clock, SystemClock
from connectors.sandbox.app import application
from connectors.sandbox.calls import Counts
from connectors.sandbox.clock import movable
from connectors.sandbox.faults import losing

from .api import VendorApi
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
    faults = losing(
        Random(f"faults:{options.seed}"),
        WRITES,
        before_rate=options.lost_before_rate,
        after_rate=options.lost_after_rate,
    )
    counts = Counts()
    api = VendorApi(site, purchases, faults, counts)
    control = Control(site, purchases, webhooks, faults, counts)

    app = application(api.routes(), control, moved, sender=webhooks)
    # For whoever runs it within the own process: people act here, and proofs look here, without HTTP.
    app.state.site, app.state.purchases, app.state.webhooks = site, purchases, webhooks
    return app
