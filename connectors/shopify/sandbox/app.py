"""The sandbox as a server: the Admin API on the vendor's paths, the control surface under `/_control`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.clock import Clock, SystemClock
from connectors.sandbox.app import application
from connectors.sandbox.clock import MovableClock, movable
from connectors.sandbox.faults import FaultPlan, play

from .control import Control
from .cost import Bucket
from .fields import Call
from .graphql_api import GraphQLApi
from .options import Options
from .shop import Shop
from .tokens import THE_APPLICATION, Tokens
from .webhooks import Webhooks

_VERSION = re.compile(r"\d{4}-(01|04|07|10)")
_UNKNOWN_CREDENTIALS = "[API] Invalid API key or access token (unrecognized login or wrong password)"


def create_app(options: Options, clock: Clock | None = None) -> Starlette:
    """One shop. Webhooks are sent while the application's lifespan runs, on the server's event loop."""
    sandbox = _Sandbox(options, movable(clock or SystemClock()))
    routes = [
        Route("/admin/api/{version}/graphql.json", sandbox.graphql, methods=["POST"]),
        Route("/admin/oauth/access_token", sandbox.access_token, methods=["POST"]),
    ]
    app = application(routes, sandbox.control, sandbox.clock, sender=sandbox.webhooks.sender)
    # For whoever runs it within the own process: merchants act here, and proofs look here, without HTTP.
    app.state.shop, app.state.webhooks, app.state.tokens = sandbox.shop, sandbox.webhooks, sandbox.tokens
    return app


class _Asked(BaseModel):
    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 the protocol's own name


class _Sandbox:
    def __init__(self, options: Options, clock: MovableClock) -> None:
        self._options = options
        self.clock = clock
        self._random = Random(f"requests {options.seed}")
        self.webhooks = Webhooks(options, clock)
        self.shop = Shop(options, clock, self.webhooks.announce)
        self.tokens = Tokens(options, clock)
        self._api = GraphQLApi()
        self._faults = FaultPlan(Random(f"api faults {options.seed}"))
        self._calls: Counter[str] = Counter()
        self._buckets = {
            name: Bucket(clock, maximum=options.bucket_points, restore_per_second=options.restore_points_per_second)
            for name in self.tokens.applications
        }
        self.control = Control(
            shop=self.shop,
            webhooks=self.webhooks,
            tokens=self.tokens,
            bucket=self._buckets[THE_APPLICATION],
            faults=self._faults,
            clock=clock,
            calls=self._calls,
        )

    async def graphql(self, request: Request) -> Response:
        version = self._served(request.path_params["version"])
        if version is None:
            return self._answer(404, {"errors": "Not Found"})
        application = self.tokens.application(request.headers.get("X-Shopify-Access-Token", ""))
        if application is None:
            self._calls["unauthorized"] += 1
            return self._answer(401, {"errors": _UNKNOWN_CREDENTIALS})
        try:
            asked = _Asked.model_validate_json(await request.body())
        except ValidationError:
            return self._answer(400, {"errors": {"query": "Required parameter missing or invalid"}}, version)
        prepared = self._api.prepare(version, asked.query)
        operation = f"graphql/{prepared.root_field}"
        self._calls[operation] += 1

        def execute() -> Response:
            call = Call(
                shop=self.shop,
                webhooks=self.webhooks,
                application=application,
                scopes=frozenset(self._options.scopes),
                api_version=version,
                api_versions=self._options.api_versions,
            )
            body = self._api.answer(
                prepared,
                variables=asked.variables or {},
                operation_name=asked.operationName,
                call=call,
                bucket=self._buckets[application],
            )
            self._count(body)
            return self._answer(200, body, version)

        return await play(
            self._faults.strike(operation), execute, clock=self.clock, too_many_requests=self._too_many_requests
        )

    async def access_token(self, request: Request) -> Response:
        """The client credentials grant, as a form or as JSON (docs, "Using the client credentials grant")."""
        body = await request.body()
        try:
            asked: Mapping[str, Any] = dict(parse_qsl(body.decode()))
            if request.headers.get("Content-Type", "").startswith("application/json"):
                asked = orjson.loads(body)
            grant_type, client_id, client_secret = (
                str(asked.get(name)) for name in ("grant_type", "client_id", "client_secret")
            )
        except (ValueError, AttributeError):
            grant_type = client_id = client_secret = ""
        self._calls["access_token"] += 1

        def execute() -> Response:
            if grant_type != "client_credentials":
                return self._answer(400, {"error": "unsupported_grant_type"})
            token = self.tokens.grant(client_id, client_secret)
            if token is None:
                return self._answer(401, {"error": "invalid_client"})
            scope = ",".join(self._options.scopes)
            expires_in = self._options.access_token_seconds
            return self._answer(200, {"access_token": token, "scope": scope, "expires_in": expires_in})

        return await play(
            self._faults.strike("access_token"), execute, clock=self.clock, too_many_requests=self._too_many_requests
        )

    def _served(self, version: str) -> str | None:
        """The version that answers: a retired one falls forward to the oldest supported (docs, "API versioning")."""
        versions = self._options.api_versions
        if version in versions:
            return version
        return versions[0] if _VERSION.fullmatch(version) and version < versions[0] else None

    def _answer(self, status: int, body: object, version: str | None = None) -> Response:
        headers = {"X-Request-Id": str(UUID(int=self._random.getrandbits(128), version=4))}
        if version is not None:
            headers["X-Shopify-API-Version"] = version
        return Response(orjson.dumps(body), status, headers=headers, media_type="application/json")

    def _too_many_requests(self, retry_after_seconds: int | None) -> Response:
        answer = self._answer(429, {"errors": "Exceeded the request limit for this shop."})
        if retry_after_seconds is not None:
            answer.headers["Retry-After"] = str(retry_after_seconds)
        return answer

    def _count(self, body: Mapping[str, Any]) -> None:
        cost = body.get("extensions", {}).get("cost", {})
        self._calls["points_requested"] += cost.get("requestedQueryCost") or 0
        self._calls["points_spent"] += cost.get("actualQueryCost") or 0
        for error in body.get("errors", ()):
            self._calls[f"refused/{error.get('extensions', {}).get('code', 'other')}"] += 1
