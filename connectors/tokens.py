"""Access tokens by OAuth's client credentials, with a refresh token where the vendor gives one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from connectors.clock import Clock
from connectors.errors import RateLimited, Unauthorized, Unavailable
from connectors.http import excerpt, retry_after_seconds

UNSTATED_LIFETIME_SECONDS = 300.0
REFUSED = (400, 401, 403)


@dataclass(frozen=True, slots=True)
class Token:
    """One access token."""

    authorization: str
    refresh_token: str | None
    stale_at: float
    """On the monotonic clock: a little before the vendor lets it expire."""


class TokenAuth(httpx.Auth, ABC):
    """Puts a valid access token on every request. One fetch serves all threads; the others wait for it.

    A request answered 401 is sent once more with a fresh token, writes too: a refused token executes nothing. Raises
    `Unauthorized`, `RateLimited` or `Unavailable` when no token can be had; the request itself was not sent then, or
    refused.
    """

    vendor: str
    """Its name, in errors."""
    remedy: str
    """What to do when it refuses the credentials."""
    longest_lifetime_seconds: float
    """Whatever an answer says, a token is renewed after this."""

    def __init__(self, *, account: str, url: str, clock: Clock) -> None:
        self._account = account
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._failed_at: float | None = None

    @abstractmethod
    def fetched(self, refresh_token: str | None) -> Generator[httpx.Request, httpx.Response, Token]:
        """A new token, by way of the refresh token of the last one if there is one; see `asked` and `read`."""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See `httpx.Auth`."""
        token = self._token
        if token is None or self._clock.monotonic() >= token.stale_at:
            token = yield from self._renewed(token)
        request.headers["authorization"] = token.authorization
        response = yield request
        if response.status_code == 401:
            token = yield from self._renewed(token)
            request.headers["authorization"] = token.authorization
            yield request

    def asked(self, form: Mapping[str, str]) -> Generator[httpx.Request, httpx.Response, httpx.Response]:
        """The answer to a form, whole."""
        request = httpx.Request("POST", self._url, data=dict(form), headers={"accept": "application/json"})
        response = yield request
        response.read()
        return response

    def read(self, response: httpx.Response) -> Token:
        """The token in an answer. Raises what its absence means."""
        status = response.status_code
        if status in REFUSED:
            message = f"{self.vendor} refuses the client id and secret; {self.remedy}"
            raise Unauthorized(message, account=self._account, code=str(status))
        if status == 429:
            message = f"{self.vendor} gives out no token now: too many requests"
            seconds = retry_after_seconds(response, self._clock)
            raise RateLimited(message, account=self._account, code="429", retry_after_seconds=seconds)
        token = self._readable(response) if status == 200 else None
        if token is None:
            message = f"{self.vendor}'s token endpoint answered {status}: {excerpt(response)}"
            raise Unavailable(message, account=self._account, code=str(status))
        return token

    def granted(self, answer: Any) -> Any:
        """The object that holds the token: the answer itself, unless a vendor wraps it."""
        return answer

    def _renewed(self, used: Token | None) -> Generator[httpx.Request, httpx.Response, Token]:
        """The token to use instead of `used`: another thread's, if one came first, else a new one."""
        asked_at = self._clock.monotonic()
        with self._lock:
            if self._token is not None and self._token is not used:
                return self._token
            if self._failed_at is not None and self._failed_at > asked_at:
                # Else every waiting thread would time out in its turn, one after the other.
                raise Unavailable("no token could be had a moment ago, while this call waited", account=self._account)
            self._token = None
            try:
                self._token = yield from self.fetched(used.refresh_token if used else None)
            finally:
                self._failed_at = self._clock.monotonic() if self._token is None else None
            return self._token

    def _readable(self, response: httpx.Response) -> Token | None:
        try:
            answer = self.granted(response.json())
        except (ValueError, RecursionError):
            return None
        if not isinstance(answer, Mapping):
            return None
        token, refresh_token = answer.get("access_token"), answer.get("refresh_token")
        seconds = answer.get("expires_in", UNSTATED_LIFETIME_SECONDS)
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            return None
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
            return None
        # Early by a tenth, at most half a minute: the token must outlive its way to the vendor.
        seconds = min(seconds, self.longest_lifetime_seconds)
        stale_at = self._clock.monotonic() + seconds - min(30.0, seconds / 10)
        return Token(f"Bearer {token}", refresh_token if isinstance(refresh_token, str) else None, stale_at)
