"""`GET /metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from worker.services import Services
from worker.web.cached import Cached
from worker.web.metrics.process import ProcessCollector
from worker.web.metrics.stored import StoredCollector

KEPT_SECONDS = 2.0
WITHIN_SECONDS = 8.0
"""Less than a scraper's usual patience of ten seconds."""


class Metrics:
    """What a process did and, where it is `stored`, what the database says, in Prometheus's text format."""

    def __init__(self, services: Services, registry: CollectorRegistry, *, stored: bool = True) -> None:
        registry.register(ProcessCollector(services))
        if stored:
            registry.register(StoredCollector(services))
        self._text = Cached(
            lambda: generate_latest(registry),
            services.clock,
            for_seconds=KEPT_SECONDS,
            within_seconds=WITHIN_SECONDS,
        )

    async def show(self, _request: Request) -> Response:
        """The values, two seconds old at most; 503 when the database gives no answer in time."""
        try:
            return Response(await self._text.get(), media_type=CONTENT_TYPE_LATEST)
        except TimeoutError:
            return PlainTextResponse("the database gives no answer\n", status_code=503)
