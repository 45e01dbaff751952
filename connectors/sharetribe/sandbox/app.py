"""Puts one sandbox together."""

from __future__ import annotations

from random import Random

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from connectors.clock import Clock, SystemClock
from connectors.sandbox.clock import movable
from connectors.sandbox.connection import DateHeader
from connectors.sandbox.faults import Fault, FaultKind, FaultPlan

from .api import IntegrationApi
from .auth import Tokens
from .auth_api import AuthApi
from .control import Control
from .counts import Counts
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
    faults = FaultPlan(Random(f"faults:{options.seed}"))
    for kind, rate in (
        (FaultKind.DROP_BEFORE, options.lost_before_rate),
        (FaultKind.DROP_AFTER, options.lost_after_rate),
    ):
        if rate:
            faults.arm(Fault(operation=COMPARE_AND_SET, kind=kind, probability=rate, times=None))
    counts = Counts()
    api = IntegrationApi(marketplace, purchases, tokens, faults, counts)
    auth = AuthApi(marketplace, tokens, faults, counts)
    control = Control(marketplace, purchases, tokens, faults, counts)
    app = Starlette(
        routes=[
            Route("/v1/integration_api/{resource}/{action}", api.handle, methods=["GET", "POST"]),
            Route("/v1/auth/token", auth.token, methods=["POST"]),
            Route("/v1/auth/revoke", auth.revoke, methods=["POST"]),
            Mount("/_control", routes=control.routes()),
        ],
        middleware=[Middleware(DateHeader, clock=moved)],
    )
    # For whoever runs it within the own process: people act here, and proofs look here, without HTTP.
    app.state.marketplace, app.state.purchases, app.state.tokens = marketplace, purchases, tokens
    return app
