"""From Sharetribe's refusals to ours. The code decides, not the status (API reference, "Error codes")."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from connectors.answers import masked
from connectors.clock import Clock
from connectors.errors import (
    ConnectorError,
    InsufficientStock,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    StockMismatch,
    Unauthorized,
    Unavailable,
)
from connectors.http import excerpt, retry_after_seconds

MISMATCH = "old-total-mismatch"
CONFLICT = "conflict"
INVALID_STATE = "listing-invalid-state"

_BY_CODE: dict[str, type[ConnectorError]] = {
    MISMATCH: StockMismatch,
    "transaction-listing-insufficient-stock": InsufficientStock,
    "not-found": NotFound,
    "listing-not-found": NotFound,
    "transaction-not-found": NotFound,
    "transaction-listing-not-found": NotFound,
    "auth-invalid-access-token": Unauthorized,
    "auth-missing-access-token": Unauthorized,
    "forbidden": Unauthorized,
    "too-many-requests": RateLimited,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the vendor says it refused, and why."""

    code: str
    title: str = ""
    path: str = ""
    """The part of the request it objects to; empty when it names none."""

    def __str__(self) -> str:
        return " ".join(part for part in (self.title or self.code, f"({self.path})" if self.path else "") if part)


def refusal(response: httpx.Response) -> Refusal | None:
    """The first error in an answer that has the documented shape; None when there is none."""
    try:
        answer = response.json()
        entries = answer["errors"]
        entry = next(entry for entry in entries if isinstance(entry["code"], str) and entry["code"])
    except (ValueError, LookupError, TypeError, StopIteration, RecursionError):
        return None
    title, source = entry.get("title"), entry.get("source")
    path = source.get("path") if isinstance(source, dict) else None
    return Refusal(
        entry["code"],
        title[:120] if isinstance(title, str) else "",
        ".".join(map(str, path))[:80] if isinstance(path, list) else "",
    )


def read_error(response: httpx.Response, *, account: str, what: str, clock: Clock) -> ConnectorError:
    """What an answer to a read that is not a success means. `what` completes "Sharetribe refused ...".

    A refusal without the vendor's error body does not come from the vendor's API, so a bare 404 is no `NotFound`.
    """
    named = refusal(response)
    if named is not None:
        return _named(named, response, account=account, what=what, clock=clock)
    status = response.status_code
    if status in (401, 403):
        return _unauthorized(response, account=account, what=what)
    if response.is_redirect:
        message = f"{what} was redirected, which is never followed; check the base_url"
        return Rejected(message, account=account, code=str(status))
    message = f"{what} was answered {status} without a reason: {excerpt(response)}"
    return Unavailable(message, account=account, code=str(status))


def write_error(response: httpx.Response, *, account: str, what: str, clock: Clock) -> ConnectorError:
    """What an answer to a write that is not a success means; only what certainly was not executed is named so."""
    named = refusal(response)
    if named is not None and (response.is_client_error or named.code in _BY_CODE):
        return _named(named, response, account=account, what=what, clock=clock)
    status = response.status_code
    if status in (401, 403):
        return _unauthorized(response, account=account, what=what)
    message = f"{what} was answered {status} without saying whether it was executed: {excerpt(response)}"
    return OutcomeUnknown(message, account=account, code=str(status))


def _named(named: Refusal, response: httpx.Response, *, account: str, what: str, clock: Clock) -> ConnectorError:
    kind = _BY_CODE.get(named.code, Rejected)
    message = f"Sharetribe refused {what}: {masked(str(named), response.request)}"
    if kind is RateLimited:
        seconds = retry_after_seconds(response, clock)
        return RateLimited(message, account=account, code=named.code, retry_after_seconds=seconds)
    return kind(message, account=account, code=named.code)


def _unauthorized(response: httpx.Response, *, account: str, what: str) -> Unauthorized:
    message = f"Sharetribe refused {what} for lack of access: {excerpt(response)}"
    return Unauthorized(message, account=account, code=str(response.status_code))
