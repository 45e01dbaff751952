"""Signing in and out, and whom one is signed in as."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from worker.console.door import (
    Visit,
    drop_secret,
    form_secret,
    keep_form_secret,
    keep_secret,
    local_path,
    read_form,
    require_token,
    secret_of,
    token_of,
)
from worker.console.rendering import Rendering
from worker.operators import Sessions, SignInRefusedError


class SignIn:
    """The way in and out."""

    def __init__(self, sessions: Sessions, rendering: Rendering) -> None:
        self._sessions = sessions
        self._rendering = rendering

    async def show(self, request: Request) -> Response:
        """`GET /sign-in`."""
        return self._form(request, name="", wanted=local_path(request.query_params.get("next", "/")))

    async def sign_in(self, request: Request) -> Response:
        """`POST /sign-in`."""
        form = await read_form(request)
        require_token(form, form_secret(request))
        name, wanted = form.get("name", ""), local_path(form.get("next", "/"))
        address = request.client.host if request.client is not None else ""

        def sign_in() -> str:
            return self._sessions.sign_in(
                name, form.get("password", ""), address=address, replacing=secret_of(request) or None
            )

        try:
            secret = await run_in_threadpool(sign_in)
        except SignInRefusedError as refused:
            return self._form(request, name=name, wanted=wanted, problem=str(refused))
        response = RedirectResponse(wanted, status_code=303)
        keep_secret(response, request, secret)
        return response

    def _form(self, request: Request, *, name: str, wanted: str, problem: str | None = None) -> Response:
        secret = form_secret(request)
        response = self._rendering.plain(
            "sign_in.html",
            {"token": token_of(secret), "name": name, "wanted": wanted, "problem": problem},
            status=200 if problem is None else 401,
        )
        keep_form_secret(response, request, secret)
        return response

    def sign_out(self, visit: Visit) -> Response:
        """`POST /sign-out`."""
        self._sessions.sign_out(secret_of(visit.request), by=visit.session.actor)
        response = RedirectResponse("/sign-in", status_code=303)
        drop_secret(response, visit.request)
        return response

    def sign_out_everywhere(self, visit: Visit) -> Response:
        """`POST /sign-out-everywhere`: this browser too."""
        self._sessions.sign_out_everywhere(visit.session.operator, by=visit.session.actor)
        response = RedirectResponse("/sign-in", status_code=303)
        drop_secret(response, visit.request)
        return response
