"""Reading what a vendor answered: JSON, excerpts fit for an error message, `Retry-After`, dates."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx

from connectors.clock import Clock
from connectors.errors import NotFound, Rejected, Unauthorized, Unreadable

EXCERPT_CHARACTERS = 200
MAX_RETRY_AFTER_SECONDS = 3600.0

FIRST_YEAR, LAST_YEAR = 1970, 9000
"""A moment outside of them is no moment: with any other one can reckon without leaving what a calendar holds."""

MIN_SECRET_CHARACTERS = 8
"""A shorter text is no secret of any vendor, and masking it would spoil every sentence."""

_LOOKED_AT_BYTES = 4096
_SECRET_NAME = re.compile(r"authorization|token|secret|key", re.IGNORECASE)
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 ***"),
    (
        re.compile(
            r"(?i)([\w-]{0,40}(?:token|secret|password|api_?key)[\w-]{0,40}[\"']?\s*[:=]\s*[\"']?)[^\s\"'&,}<]+"
        ),
        r"\1***",
    ),
    (re.compile(r"\beyJ[\w-]+(?:\.[\w-]+)*"), "***"),
    (re.compile(r"\b(?:shp[a-z]{2,3}|ck|cs)_[0-9A-Za-z]{8,}"), "***"),
    (re.compile(r"[\w.+%-]{1,64}@[\w.-]{1,255}"), "***"),
)


def parse_json(response: httpx.Response, *, account: str) -> Any:
    """The JSON value of an answer. Raises `Unreadable` on anything else (HTML, nothing at all), with an excerpt."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        request = _asked(response)
        what = name_of(request) if request else "a request"
        message = f"{what} was answered {response.status_code} without JSON: {excerpt(response)}"
        raise Unreadable(message, account=account) from error


def succeeded(response: httpx.Response, *, account: str, code: str = "") -> bytes:
    """The body of an answer of success. Raises what any other status means where the vendor says nothing better.

    `Unauthorized` for 401 and 403, `NotFound` for 404, else `Rejected`; with the vendor's `code`, or the status.
    """
    status = response.status_code
    if 200 <= status < 300:
        return response.content
    request = _asked(response)
    message = f"{name_of(request) if request else 'a request'} was answered {status}: {excerpt(response)}"
    kind = {401: Unauthorized, 403: Unauthorized, 404: NotFound}.get(status, Rejected)
    raise kind(message, account=account, code=code or str(status))


def excerpt(response: httpx.Response) -> str:
    """A piece of an answer for an error message: one line, at most 200 characters, secrets and addresses masked."""
    text = response.content[:_LOOKED_AT_BYTES].decode("utf-8", "replace")
    text = masked(" ".join(text.split()), _asked(response))
    if not text:
        return "(empty)"
    return text if len(text) <= EXCERPT_CHARACTERS else text[: EXCERPT_CHARACTERS - 1] + "…"


def masked(text: str, request: httpx.Request | None) -> str:
    """`text` without e-mail addresses, what looks like a secret, and what the request itself kept secret."""
    for secret in sorted(_secrets_of(request), key=len, reverse=True) if request else ():
        text = text.replace(secret, "***")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _secrets_of(request: httpx.Request) -> set[str]:
    """What its headers and its form say that nobody else must read: a vendor may show what it was sent."""
    pairs = list(request.headers.items())
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        pairs += parse_qsl(request.content.decode("ascii", "replace"))
    found = {secret for name, value in pairs if _SECRET_NAME.search(name) for secret in value.split()}
    return {secret for secret in found if len(secret) >= MIN_SECRET_CHARACTERS}


def retry_after_seconds(response: httpx.Response, clock: Clock) -> float | None:
    """What `Retry-After` asks for, as seconds or as a date, within [0, 1 h]; None without a readable one."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        moment = http_date(value)
        if moment is None:
            return None
        # Counted from the vendor's own clock, as the answer shows it, wherever that is known.
        now = http_date(response.headers.get("date", "")) or clock.now()
        seconds = (moment - now).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def http_date(value: str) -> datetime | None:
    """The moment of a `Date` header, in UTC; None when it is not one."""
    try:
        moment = parsedate_to_datetime(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None


def name_of(request: httpx.Request) -> str:
    """A request for an error message: without its query, which may say whose order it was."""
    return f"{request.method} {request.url.path}"


def _asked(response: httpx.Response) -> httpx.Request | None:
    try:
        return response.request
    except RuntimeError:  # An answer that was made by hand.
        return None
