"""Puts one sandbox together."""

from __future__ import annotations

from random import Random

from starlette.applications import Starlette
from starlette.routing import Route

from connectors.clock import Clock, SystemClock
from connectors.sandbox.app import application
from connectors.sandbox.calls import Counts
from connectors.sandbox.clock import movable
from connectors.sandbox.faults import losing

from .api import IntegrationApi
from .auth import Tokens
from .auth_api import AuthApi
from .control import Control
from .marketplace import Marketplace
from .options import Options
from .purchases import Purchases

COMPARE_AND_SET = "stock/compare_and_set"


def create_app(options: Options, clock: Clock = SystemClock()) -> Starlette:  # noqa: B008
    """A fresh marketplace behind the Integration API, to be served by `connectors.sandbox.serve`.

    `clock` may be a `VirtualClock` the caller moves; any other is laid under an offset that the control surface moves.
    """
    moved = movable(clock)
    marketplace = Marketplace(options, moved)
    purchases = Purchases(marketplace)
    tokens = Tokens(options, moved, Random(f"tokens:{options.seed}"))
    faults = losing(
        Random(f"faults:{options.seed}"),
        (COMPARE_AND_SET,),
        before_rate=options.lost_before_rate,
        after_rate=options.lost_after_rate,
    )
    counts = Counts()
    api = IntegrationApi(marketplace, purchases, tokens, faults, counts)
    auth = AuthApi(marketplace, tokens, faults, counts)
    control = Control(marketplace, purchases, tokens, faults, counts)
    routes = [
        Route("/v1/integration_api/{resource}/{action}", api.handle, methods=["GET", "POST"]),
        Route("/v1/auth/token", auth.token, methods=["POST"]),
        Route("/v1/auth/revoke", auth.revoke, methods=["POST"]),
    ]
    app = application(routes, control, moved)
    # For whoever runs it within the own process: people act here, and proofs look here, without HTTP.
    app.state.marketplace, app.state.purchases, app.state.tokens = marketplace, purchases, tokens
    return app
