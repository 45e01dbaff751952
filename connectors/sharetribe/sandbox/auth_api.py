"""`/v1/auth/token` and `/v1/auth/revoke`: forms in, JSON out, and plain text for bad credentials."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from connectors.sandbox.calls import Counts
from connectors.sandbox.faults import FaultPlan, play

from .auth import BadCredentialsError, Tokens
from .errors import ApiError
from .marketplace import Marketplace


class AuthApi:
    """The Authentication API. Its calls do not count towards the limits of the Integration API."""

    def __init__(self, marketplace: Marketplace, tokens: Tokens, faults: FaultPlan, counts: Counts) -> None:
        self._marketplace = marketplace
        self._tokens = tokens
        self._faults = faults
        self._counts = counts

    async def token(self, request: Request) -> Response:
        """`POST /v1/auth/token`"""
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        return await self._call("auth/token", lambda: self._token(form))

    async def revoke(self, request: Request) -> Response:
        """`POST /v1/auth/revoke`"""
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        authorization = request.headers.get("authorization")
        return await self._call("auth/revoke", lambda: self._revoke(authorization, form))

    async def _call(self, name: str, execute: Callable[[], Response]) -> Response:
        self._counts.calls[name] += 1
        return await play(
            self._faults.strike(name),
            execute,
            clock=self._marketplace.clock,
            too_many_requests=lambda seconds: PlainTextResponse(
                "Too many requests", 429, headers=None if seconds is None else {"Retry-After": str(seconds)}
            ),
        )

    def _token(self, form: dict[str, str]) -> Response:
        try:
            answer = self._tokens.issue(form, self._marketplace.switches)
        except BadCredentialsError:
            self._counts.outcomes["auth/token"]["unauthorized"] += 1
            return PlainTextResponse("Unauthorized", 401)
        self._counts.outcomes["auth/token"]["ok"] += 1
        return JSONResponse(answer)

    def _revoke(self, authorization: str | None, form: dict[str, str]) -> Response:
        try:
            self._tokens.caller(authorization)
        except ApiError as error:
            return JSONResponse(error.body(self._marketplace.new_id()), error.status)
        revoked = self._tokens.revoke(form.get("token", ""))
        return JSONResponse({"action": "revoked" if revoked else "nothing"})
