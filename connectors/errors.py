"""The errors a connector may raise, sorted by what the caller can do about them.

    ConnectorError
    |-- StockMismatch        the stock is not what we saw: read, plan again
    |-- InsufficientStock    the guarded decrement would go below zero: read, plan again
    |-- OutcomeUnknown       a write may or may not have happened: settle it from the records, never resend
    |-- NotFound             the listing, order or account is not there
    |-- Rejected             will never work as sent: a person or a code change is needed
    |-- Unauthorized         the credentials are refused: stop this account, tell the operator
    |-- RateLimited          not executed; come back after `retry_after_seconds`
    |-- Unavailable          not executed (a write) or not answered (a read): try later
    |-- CursorTooOld         the vendor no longer keeps what follows this cursor: reconcile in full
    |-- InvalidSignature     a delivery that its sender did not sign: refuse it, keep nothing
    `-- Unreadable           a body or answer that does not have its documented shape: keep it for a person

Every error carries the account it concerns and, where there is one, a short code of the vendor. Messages never hold a
secret nor a whole answer: at most a redacted excerpt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from connectors.text import legible

MAX_MESSAGE_CHARACTERS = 2000


class ConnectorError(Exception):
    """Something a vendor said, or failed to say. `message` is one sentence for an operator, fit for a row."""

    def __init__(self, message: str, *, account: str = "", code: str = "") -> None:
        self.message = legible(message[:MAX_MESSAGE_CHARACTERS])
        super().__init__(self.message)
        self.account = account
        self.code = legible(code[:100])

    def __str__(self) -> str:
        where = f"{self.account}: " if self.account else ""
        code = f" [{self.code}]" if self.code else ""
        return f"{where}{self.message}{code}"


class StockMismatch(ConnectorError):
    """A compare-and-set found another total than the one we had seen. Nothing was changed."""


class InsufficientStock(ConnectorError):
    """A guarded decrement would have gone below zero. Nothing was changed."""


class OutcomeUnknown(ConnectorError):
    """A write was sent and no trustworthy answer came. It may have happened, or happen yet."""


class NotFound(ConnectorError):
    """The named thing does not exist, or no longer."""


class Rejected(ConnectorError):
    """The vendor understood the request and refused it; the same request will be refused again."""


class Unauthorized(ConnectorError):
    """The credentials are missing, revoked or lack a scope. Nothing was executed."""


class RateLimited(ConnectorError):
    """Over a limit; nothing was executed."""

    def __init__(
        self, message: str, *, account: str = "", code: str = "", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message, account=account, code=code)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(ConnectorError):
    """The vendor cannot be reached or does not work right now. A write was certainly not executed."""


class CursorTooOld(ConnectorError):
    """What follows this cursor is past the vendor's retention; a full reconcile is needed.

    `kept_since` is from when the vendor still has everything, where it says so.
    """

    def __init__(self, message: str, *, account: str = "", code: str = "", kept_since: datetime | None = None) -> None:
        super().__init__(message, account=account, code=code)
        self.kept_since = kept_since


class InvalidSignature(ConnectorError):
    """The delivery carries no valid signature for this channel."""


class Unreadable(ConnectorError):
    """Bytes that do not have the documented shape. `order_id` names the order when that much could be read."""

    def __init__(self, message: str, *, account: str = "", code: str = "", order_id: str | None = None) -> None:
        super().__init__(message, account=account, code=code)
        self.order_id = order_id


@contextmanager
def concerning(account: str) -> Iterator[None]:
    """Errors raised within are about this account, unless they say which: pure parts do not know theirs."""
    try:
        yield
    except ConnectorError as error:
        error.account = error.account or account
        raise
