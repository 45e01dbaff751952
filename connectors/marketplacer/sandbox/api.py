"""The vendor's API over HTTP: limit, key, body, act. A refused key is certain not to have executed anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.calls import Bucket, Counts, answered
from connectors.sandbox.faults import FaultPlan

from . import catalogue_api, invoices_api
from .auth import admit
from .call import Call, Endpoint
from .errors import ApiError
from .purchases import Purchases
from .site import Site

ROOT = "/api/v2/client"
MEDIA_TYPE = "application/vnd.api+json"
ENDPOINTS: Mapping[tuple[str, str], tuple[str, Endpoint]] = {**catalogue_api.ENDPOINTS, **invoices_api.ENDPOINTS}


class VendorApi:
    """All endpoints of the vendor."""

    def __init__(self, site: Site, purchases: Purchases, faults: FaultPlan, counts: Counts) -> None:
        self._site = site
        self._purchases = purchases
        self._faults = faults
        self._counts = counts
        self._bucket = Bucket(site.options.per_second, site.clock)

    def routes(self) -> list[Route]:
        """In an order in which what is fixed goes before what is an id."""
        return [self._route(method, path, name, run) for (method, path), (name, run) in ENDPOINTS.items()]

    def _route(self, method: str, path: str, name: str, run: Endpoint) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._handle(request, name, run, await request.body())

        return Route(ROOT + path, endpoint, methods=[method], name=name)

    async def _handle(self, request: Request, name: str, run: Endpoint, body: bytes) -> Response:
        self._counts.calls[name] += 1
        if not self._bucket.take():
            self._counts.outcomes[name]["429"] += 1
            return self._too_many(1 if self._site.switches.retry_after_shown else None)
        return await answered(
            name,
            lambda: self._execute(request, run, body),
            faults=self._faults,
            counts=self._counts,
            clock=self._site.clock,
            too_many_requests=self._too_many,
        )

    def _execute(self, request: Request, run: Endpoint, body: bytes) -> tuple[Response, str]:
        try:
            with self._site.lock:
                call = Call(
                    self._site,
                    self._purchases,
                    admit(self._site, request.headers),
                    request.path_params,
                    dict(request.query_params),
                    _decoded(body),
                    str(request.base_url).rstrip("/"),
                    request.url.path,
                )
                reply = run(call)
        except ApiError as error:
            return self._refused(error), str(error.status)
        if reply.status == 204:
            return Response(status_code=204), reply.outcome
        return Response(orjson.dumps(reply.body), reply.status, media_type=MEDIA_TYPE), reply.outcome

    def _refused(self, error: ApiError) -> Response:
        match self._site.switches.error_body:
            case "empty":
                return Response(status_code=error.status)
            case "html":
                page = f"<!DOCTYPE html><html><body><h1>{error.title}</h1></body></html>"
                return Response(page, error.status, media_type="text/html")
        entry: dict[str, Any] = {"status": str(error.status), "title": error.title, "detail": error.detail}
        if error.pointer:
            entry["source"] = {"pointer": error.pointer}
        return Response(orjson.dumps({"errors": [entry]}), error.status, media_type=MEDIA_TYPE)

    def _too_many(self, retry_after_seconds: int | None) -> Response:
        response = self._refused(ApiError(429, "Too Many Requests"))
        if retry_after_seconds is not None:
            response.headers["Retry-After"] = str(retry_after_seconds)
        return response


def _decoded(body: bytes) -> Any:
    if not body:
        return None
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise ApiError(400, "Bad Request", "The body cannot be read") from error
