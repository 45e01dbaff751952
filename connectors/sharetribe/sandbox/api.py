"""The Integration API over HTTP: every request checked in the same order, then executed as one step.

The order is rate and concurrency, token, content type, unknown keys, missing keys, values, existence, state, act. A
refused token is therefore certain not to have executed anything, and a repeated call after a refresh is harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.calls import Counts, answered
from connectors.sandbox.faults import FaultPlan
from connectors.sandbox.log import Entry

from . import events, listings, stock, transactions
from .auth import Tokens
from .codec import answer_codec, decoded
from .endpoint import Call, Endpoint, Reply
from .errors import ApiError
from .fields import read_fields
from .limits import Limits, OverLimitError
from .marketplace import Marketplace
from .purchases import Purchases
from .resources import Renderer, identity

ENDPOINTS: Mapping[str, Endpoint] = {
    **listings.ENDPOINTS,
    **stock.ENDPOINTS,
    **events.ENDPOINTS,
    **transactions.ENDPOINTS,
}

_OPEN_QUERY = ("fields.", "limit.")
_COMMON_QUERY = frozenset({"include", "expand"})


class IntegrationApi:
    """The endpoints under `/v1`."""

    def __init__(
        self, marketplace: Marketplace, purchases: Purchases, tokens: Tokens, faults: FaultPlan, counts: Counts
    ) -> None:
        self._marketplace = marketplace
        self._purchases = purchases
        self._tokens = tokens
        self._faults = faults
        self._limits = Limits(marketplace.options, marketplace.clock)
        self._counts = counts

    async def handle(self, request: Request) -> Response:
        """`/v1/integration_api/{resource}/{action}`"""
        name = f"{request.path_params['resource']}/{request.path_params['action']}"
        endpoint = ENDPOINTS.get(name)
        if endpoint is None or endpoint.method != request.method:
            return self._refusal(request, ApiError(404, "not-found", f"There is no {request.method} {name}."))
        self._counts.calls[name] += 1
        body = await request.body()
        address = request.client.host if request.client else ""
        try:
            with self._limits.admit(address, request.method, name):
                return await answered(
                    name,
                    lambda: self._execute(name, endpoint, request, body),
                    faults=self._faults,
                    counts=self._counts,
                    clock=self._marketplace.clock,
                    too_many_requests=lambda seconds: self._too_many(request, seconds),
                )
        except OverLimitError as over:
            self._counts.outcomes[name]["too-many-requests"] += 1
            seconds = over.retry_after_seconds if self._marketplace.switches.retry_after else None
            return self._too_many(request, seconds)

    def _execute(self, name: str, endpoint: Endpoint, request: Request, body: bytes) -> tuple[Response, str]:
        marketplace = self._marketplace
        try:
            with marketplace.lock:
                self._purchases.pass_time()
                client_id = self._tokens.caller(request.headers.get("authorization"))
                posted = endpoint.method == "POST"
                content = decoded(request.headers.get("content-type"), body) if posted else {}
                # Includes and fields are the renderer's; the rest is the endpoint's.
                asked = dict(request.query_params)
                own = {key: value for key, value in asked.items() if key not in _COMMON_QUERY}
                query = read_fields(own, endpoint.query, "query", (*_OPEN_QUERY, *endpoint.open_query))
                values = read_fields(content, endpoint.body, "body")
                reply = endpoint.run(Call(marketplace, self._purchases, client_id, query, values))
                rendered = self._rendered(endpoint, reply, asked)
                return self._answer(request, 200, rendered), reply.outcome
        except ApiError as error:
            return self._refusal(request, error), error.code

    def _rendered(self, endpoint: Endpoint, reply: Reply, asked: Mapping[str, str]) -> dict[str, Any]:
        if endpoint.method == "POST" and asked.get("expand") != "true":
            return {"data": identity(reply.primary)}
        renderer = Renderer(self._marketplace, asked)
        if isinstance(reply.primary, list) and reply.primary and isinstance(reply.primary[0], Entry):
            rendered = [renderer.event(events.event_of(self._marketplace, entry)) for entry in reply.primary]
            return {"data": rendered, "meta": reply.meta}
        return renderer.body(reply.primary, reply.meta)

    def _answer(self, request: Request, status: int, value: Any) -> Response:
        codec = answer_codec(request.headers.get("accept"))
        response = Response(codec.encode(value), status)
        response.headers["Content-Type"] = f"{codec.media_type};charset=utf-8"
        if self._marketplace.switches.request_id_header:
            response.headers["X-Request-Id"] = self._marketplace.new_id()
        return response

    def _refusal(self, request: Request, error: ApiError) -> Response:
        return self._answer(request, error.status, error.body(self._marketplace.new_id()))

    def _too_many(self, request: Request, retry_after_seconds: int | None) -> Response:
        response = self._refusal(request, ApiError(429, "too-many-requests", "Too many requests."))
        if retry_after_seconds is not None:
            response.headers["Retry-After"] = str(retry_after_seconds)
        return response
