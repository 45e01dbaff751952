"""Who may see a page, and whose word a form is: between the routes and the pages.

A page gets a `Visit`: somebody who is signed in, and, where a form was sent, its fields. A form counts when the browser
says that it comes from here, and when it carries the token of this very browser's secret.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from connectors.clock import Clock
from worker.console.uploads import read_upload
from worker.operators import Session, Sessions
from worker.store.tables import Role

MOST_FORM_BYTES = 32 * 1024
MOST_FIELDS = 50
MOST_CHARACTERS = 2000
"""Of one field: a reason, not a book."""
LARGEST_ROW = 2**63 - 1
SIGN_IN = "/sign-in"
REFRESH = "x-trueup-refresh"
"""The header by which our script says that nobody asked for the page."""
TOKEN = "token"  # noqa: S105  # nosec B105  # the name of a field


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    session: Session
    token: str
    """What this browser's forms must carry."""
    now: datetime
    form: Mapping[str, str]

    @property
    def may_act(self) -> bool:
        return self.session.role is Role.OPERATOR

    def asked(self, name: str) -> str:
        """A parameter of the address; empty where there is none."""
        return _storable(self.request.query_params.get(name, ""))

    def asked_number(self, name: str) -> int | None:
        """A parameter that is a number of a row; None for anything else."""
        asked = self.request.query_params.get(name, "")
        return int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 19 else None

    def row(self, name: str) -> int:
        """A part of the path that is the number of a row. Raises a 404 for one that no row can have."""
        asked: int = self.request.path_params[name]
        if asked > LARGEST_ROW:
            raise HTTPException(404)
        return asked

    def said(self, name: str) -> str:
        """A field of the form, without blanks around it; empty where there is none."""
        return self.form.get(name, "").strip()


Page = Callable[[Visit], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


class Door:
    """Lets visitors in. Pages run in threads: they ask the database."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock

    def shows(self, page: Page) -> Endpoint:
        """An endpoint for everybody who is signed in; others are sent to sign in, and come back."""

        async def endpoint(request: Request) -> Response:
            # A page that fetches itself is not somebody who is there: it keeps no session alive.
            by_itself = REFRESH in request.headers
            visit = await run_in_threadpool(self._visit, request, {}, in_use=not by_itself)
            return to_sign_in(request) if visit is None else await run_in_threadpool(page, visit)

        return endpoint

    def does(self, page: Page, *, role: Role = Role.OPERATOR) -> Endpoint:
        """An endpoint for a form, sent by somebody of this role."""

        async def endpoint(request: Request) -> Response:
            form = await read_form(request)
            visit = await run_in_threadpool(self._visit, request, form)
            if visit is None:
                return RedirectResponse(SIGN_IN, status_code=303)
            require_token(form, secret_of(request))
            if role is Role.OPERATOR and not visit.may_act:
                raise HTTPException(403, "A viewer looks; only an operator decides.")
            return await run_in_threadpool(page, visit)

        return endpoint

    def takes(self, page: Page) -> Endpoint:
        """An endpoint for an operator's form that may hold a file. Of anybody else nothing is read."""

        async def endpoint(request: Request) -> Response:
            require_own_site(request)
            visit = await run_in_threadpool(self._visit, request, {})
            if visit is None:
                return RedirectResponse(SIGN_IN, status_code=303)
            if not visit.may_act:
                raise HTTPException(403, "A viewer looks; only an operator decides.")
            form = await read_upload(request)
            require_token(form, secret_of(request))
            return await run_in_threadpool(page, replace(visit, form=form))

        return endpoint

    def _visit(self, request: Request, form: Mapping[str, str], *, in_use: bool = True) -> Visit | None:
        secret = secret_of(request)
        session = self._sessions.of(secret, in_use=in_use) if secret else None
        return None if session is None else Visit(request, session, token_of(secret), self._clock.now(), form)


def to_sign_in(request: Request) -> Response:
    """To the form, and afterwards back to what was asked for."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': wanted})}" if wanted != "/" else SIGN_IN, status_code=303)


def local_path(wanted: str) -> str:
    """An address on this very console, whatever was asked for."""
    parts = urlsplit(wanted)
    local = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return wanted if local and wanted.isprintable() else "/"


# --- secrets in the browser -------------------------------------------------------------------------------------


def _cookie(request: Request, name: str) -> str:
    """The prefix makes browsers refuse one that was not set by this very host over TLS."""
    return f"__Host-{name}" if request.url.scheme == "https" else name


def _set(response: Response, request: Request, name: str, value: str, same_site: str) -> None:
    response.set_cookie(
        _cookie(request, name),
        value,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict" if same_site == "strict" else "lax",
    )


def secret_of(request: Request) -> str:
    """The secret of this browser's session; empty when it has none."""
    return request.cookies.get(_cookie(request, "trueup"), "")


def keep_secret(response: Response, request: Request, secret: str) -> None:
    """Lax, so that a link in an alert leads to the page and not to the sign-in; no link of another site does anything,
    since nothing is done by a GET.
    """
    _set(response, request, "trueup", secret, "lax")


def drop_secret(response: Response, request: Request) -> None:
    """Forget the session; and tell the browser to drop what else it kept of us."""
    response.delete_cookie(
        _cookie(request, "trueup"), path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax"
    )
    response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'


def form_secret(request: Request) -> str:
    """What ties the sign-in form to this browser, before there is a session; a new one where it has none."""
    return request.cookies.get(_cookie(request, "trueup-form"), "") or secrets.token_urlsafe(24)


def keep_form_secret(response: Response, request: Request, secret: str) -> None:
    """Strict: the form is always shown before it is sent."""
    _set(response, request, "trueup-form", secret, "strict")


# --- forms ------------------------------------------------------------------------------------------------------


def token_of(secret: str) -> str:
    """The token that forms of the browser with this secret carry; it does not tell the secret."""
    return hmac.new(secret.encode(), b"forms of the console", hashlib.sha256).hexdigest()


def require_token(form: Mapping[str, str], secret: str) -> None:
    """Raises a 403 for a form that this browser did not get from us."""
    if not secret or not hmac.compare_digest(form.get(TOKEN, "").encode(), token_of(secret).encode()):
        raise HTTPException(403, "This form has expired. Go back, load the page again, and send it once more.")


def require_own_site(request: Request) -> None:
    """Raises a 403 for a form that a page of another site sent."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in {None, "same-origin", "none"} or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise HTTPException(403, "This form was sent from another site.")


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form that a page of ours sent. Raises a 4xx for anything else."""
    require_own_site(request)
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Not a form of the console.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_FORM_BYTES:
            raise HTTPException(413, "The form is too large.")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise HTTPException(400, "The form cannot be read.") from None
    return {name: _storable(value) for name, value in fields}


def _storable(text: str) -> str:
    """Of a text that somebody sent, as much as may be asked for: PostgreSQL holds no NUL."""
    return text[:MOST_CHARACTERS].replace("\0", "")
