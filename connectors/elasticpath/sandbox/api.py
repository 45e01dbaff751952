"""The vendor's API over HTTP: limit, token, body, act. A refused token is certain not to have executed anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox import calls
from connectors.sandbox.calls import Bucket, answered
from connectors.sandbox.faults import FaultPlan, play

from . import integrations_api, inventory_api, orders_api, products_api
from .auth import Tokens
from .call import MULTI_LOCATION, Call, Endpoint
from .errors import ApiError, bad_request
from .integrations import Integrations
from .inventory import Inventory
from .options import PER_SECOND
from .orders import Orders
from .store import Store

ENDPOINTS: Mapping[tuple[str, str], tuple[str, Endpoint]] = {
    **inventory_api.ENDPOINTS,
    **products_api.ENDPOINTS,
    **orders_api.ENDPOINTS,
    **integrations_api.ENDPOINTS,
}


class Counts(calls.Counts):
    """With what must never happen at once."""

    def __init__(self) -> None:
        super().__init__()
        self.most_at_once: Counter[str] = Counter()
        """Of stock transactions of one product: how many were under way at the same time, at most."""


class VendorApi:
    """All endpoints of the vendor."""

    def __init__(
        self,
        store: Store,
        inventory: Inventory,
        orders: Orders,
        integrations: Integrations,
        tokens: Tokens,
        faults: FaultPlan,
        counts: Counts,
    ) -> None:
        self._store = store
        self._inventory = inventory
        self._orders = orders
        self._integrations = integrations
        self._tokens = tokens
        self._faults = faults
        self._counts = counts
        self._bucket = Bucket(PER_SECOND[store.options.profile], store.clock)
        self._under_way: Counter[str] = Counter()

    def routes(self) -> list[Route]:
        """In an order in which what is fixed goes before what is an id."""
        found = [Route("/oauth/access_token", self._token, methods=["POST"])]
        return found + [self._route(method, path, name, run) for (method, path), (name, run) in ENDPOINTS.items()]

    def _route(self, method: str, path: str, name: str, run: Endpoint) -> Route:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            product_id = request.path_params.get("product_id") if name == "transactions/create" else None
            if product_id is None:
                return await self._handle(request, name, run, body)
            self._under_way[product_id] += 1
            self._counts.most_at_once[product_id] = max(
                self._counts.most_at_once[product_id], self._under_way[product_id]
            )
            try:
                return await self._handle(request, name, run, body)
            finally:
                self._under_way[product_id] -= 1

        return Route(path, endpoint, methods=[method], name=name)

    async def _handle(self, request: Request, name: str, run: Endpoint, body: bytes) -> Response:
        self._counts.calls[name] += 1
        textual = _textual(request, name)
        if not self._bucket.take():
            self._counts.outcomes[name]["429"] += 1
            return _too_many(None, textual=textual)
        return await answered(
            name,
            lambda: self._execute(request, name, run, body),
            faults=self._faults,
            counts=self._counts,
            clock=self._store.clock,
            too_many_requests=partial(_too_many, textual=textual),
        )

    def _execute(self, request: Request, name: str, run: Endpoint, body: bytes) -> tuple[Response, str]:
        try:
            with self._store.lock:
                self._tokens.admit(request.headers.get("authorization"))
                call = Call(
                    self._store,
                    self._inventory,
                    self._orders,
                    self._integrations,
                    request.path_params,
                    dict(request.query_params),
                    _decoded(body),
                    _multi_location(request),
                )
                reply = run(call)
                return _answer(reply.status, reply.body), reply.outcome
        except ApiError as error:
            return _answer(error.status, error.body(text_status=_textual(request, name))), str(error.status)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        self._counts.calls["token"] += 1

        def execute() -> Response:
            try:
                return _answer(200, self._tokens.issue(form, self._store.switches))
            except ApiError as error:
                return _answer(error.status, error.body(text_status=True))

        too_many = partial(_too_many, textual=True)
        return await play(self._faults.strike("token"), execute, clock=self._store.clock, too_many_requests=too_many)


def _multi_location(request: Request) -> bool:
    return request.headers.get(MULTI_LOCATION, "").lower() == "true"


def _textual(request: Request, name: str) -> bool:
    """Whether an error of this operation writes its status as a text."""
    if name.startswith(("inventories/", "transactions/")):
        return _multi_location(request)
    return not name.startswith("integrations/")


def _decoded(body: bytes) -> Any:
    if not body:
        return None
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise bad_request("The body cannot be read") from error


def _answer(status: int, body: Any) -> Response:
    if status == 204:
        return Response(status_code=204)
    return Response(orjson.dumps(body), status, media_type="application/json")


def _too_many(retry_after_seconds: int | None, *, textual: bool) -> Response:
    response = _answer(429, ApiError(429, "Too Many Requests").body(text_status=textual))
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(retry_after_seconds)
    return response
