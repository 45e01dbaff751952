"""The web application: hooks, health and metrics, put together for one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from worker import schedule
from worker.doorbell import Doorbell
from worker.intake.inbox import Incoming
from worker.services import Services
from worker.store.ticks import pull_tick
from worker.web.batching import MOST_WAITING, Batcher
from worker.web.health import Health
from worker.web.metrics import Meters, Metrics
from worker.web.receiver import Receiver


class OneSpelling:
    """An address has one spelling: none of ours needs an escape, and what is escaped may slip past a proxy's rules."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and b"%" in scope["raw_path"]:
            await PlainTextResponse("Not Found", status_code=404)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def create_worker_app(services: Services) -> Starlette:
    """What a worker process shows of itself: its own metrics, and nothing that the receiver shows for all."""
    app = Starlette(routes=[Route("/metrics", Metrics(services, CollectorRegistry(), stored=False).show)])
    app.router.redirect_slashes = False
    return app


def create_app(services: Services, bell: Doorbell | None, *, most_waiting: int = MOST_WAITING) -> Starlette:
    """Everything this process serves. Without a `bell`, what is stored waits for the schedule.

    More deliveries than `most_waiting` at once are sent away, to come again.
    """
    registry = CollectorRegistry()
    meters = Meters(registry, services.channels)

    def put(deliveries: Sequence[Incoming]) -> None:
        new = services.inbox.put(deliveries)
        meters.count_repeated(len(deliveries) - new)
        if bell is not None:
            bell.ring(schedule.INTAKE)

    def ask_for_poll(channel: str) -> None:
        with services.store.write() as transaction:
            pull_tick(transaction, f"poll:{channel}", services.clock.now())
        if bell is not None:
            bell.ring(schedule.POLL)

    batcher = Batcher(put, most_waiting=most_waiting)
    health = Health(services)
    receiver = Receiver(
        services.channels,
        services.clock,
        batcher,
        meters,
        max_body_bytes=services.settings.web.max_body_bytes,
        ask_for_poll=ask_for_poll,
        tracing=services.tracing,
    )
    routes = [
        Route("/hooks/{channel}", receiver),
        Route("/healthz", health.live),
        Route("/readyz", health.ready),
    ]
    if services.settings.web.metrics:
        routes.append(Route("/metrics", Metrics(services, registry).show))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await batcher.close()

    app = Starlette(routes=routes, middleware=[Middleware(OneSpelling)], lifespan=lifespan)
    # Else a slash too many is answered with a redirect to whatever host the request names.
    app.router.redirect_slashes = False
    return app
