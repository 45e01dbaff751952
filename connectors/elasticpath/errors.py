"""From Elastic Path's refusals to ours.

The HTTP status decides; the one in the body is a number in some of the vendor's APIs, a text in others, and missing
from a few. Two refusals are known by their words alone, because no code tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
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

INSUFFICIENT = "insufficient stock"
ORGANIZATION = "product identifier"
"""What the refusal says that meets a product made at organisation level whose stock another store keeps."""
ORGANIZATION_PRODUCT = "organization_product"

_BY_STATUS: dict[int, type[ConnectorError]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: StockMismatch,
    429: RateLimited,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the vendor says it refused, and why."""

    text: str
    missing_ids: frozenset[str] = frozenset()
    """Ids of the request that it does not know, where it names them."""

    def says(self, words: str) -> bool:
        """Whether its text holds `words`, however they are spelled."""
        return words in self.text.lower()


def refusal(response: httpx.Response) -> Refusal | None:
    """The first error in an answer that has the documented shape; None when there is none."""
    try:
        entry = response.json()["errors"][0]
        title, detail = entry["title"], entry.get("detail")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(title, str):
        return None
    meta = entry.get("meta")
    missing = meta.get("missing_ids") if isinstance(meta, Mapping) else None
    return Refusal(
        f"{title}: {detail}"[:200] if isinstance(detail, str) and detail else title[:200],
        frozenset(each for each in missing if isinstance(each, str)) if isinstance(missing, list) else frozenset(),
    )


def read_error(response: httpx.Response, *, account: str, what: str, clock: Clock) -> ConnectorError:
    """What an answer to a read that is not a success means. `what` completes "Elastic Path refused ...".

    A refusal without the vendor's error body does not come from the vendor's API, so a bare 404 is no `NotFound`.
    """
    named = refusal(response)
    status = response.status_code
    if named is not None and response.is_client_error:
        return _named(named, response, account=account, what=what, clock=clock)
    if status in (401, 403):
        message = f"Elastic Path refused {what} for lack of access: {excerpt(response)}"
        return Unauthorized(message, account=account, code=str(status))
    if response.is_redirect:
        message = f"{what} was redirected, which is never followed; check the base_url"
        return Rejected(message, account=account, code=str(status))
    message = f"{what} was answered {status} without a reason: {excerpt(response)}"
    return Unavailable(message, account=account, code=str(status))


def write_error(response: httpx.Response, *, account: str, what: str, clock: Clock) -> ConnectorError:
    """What an answer to a write that is not a success means; only what certainly was not executed is named so."""
    named = refusal(response)
    status = response.status_code
    if response.is_client_error and (named is not None or status in (401, 403)):
        return read_error(response, account=account, what=what, clock=clock)
    message = f"{what} was answered {status} without saying whether it was executed: {excerpt(response)}"
    return OutcomeUnknown(message, account=account, code=str(status))


def _named(named: Refusal, response: httpx.Response, *, account: str, what: str, clock: Clock) -> ConnectorError:
    code = str(response.status_code)
    message = f"Elastic Path refused {what}: {masked(named.text, response.request)}"
    if named.says(ORGANIZATION):
        message = (
            f"{message}. The product belongs to the organisation, and its stock is kept by another store: a store"
            " cannot keep stock of its own for it. Connect that store, or link a product made in this one"
        )
        return Rejected(message, account=account, code=ORGANIZATION_PRODUCT)
    if named.says(INSUFFICIENT):
        return InsufficientStock(message, account=account, code=code)
    kind = _BY_STATUS.get(response.status_code, Rejected)
    if kind is RateLimited:
        seconds = retry_after_seconds(response, clock)
        return RateLimited(message, account=account, code=code, retry_after_seconds=seconds)
    return kind(message, account=account, code=code)
