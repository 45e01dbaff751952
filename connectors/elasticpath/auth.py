"""Access tokens by client credentials: an hour each, without a refresh token."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from connectors.clock import Clock
from connectors.errors import RateLimited, Unauthorized, Unavailable
from connectors.http import excerpt, retry_after_seconds

TOKEN_PATH = "/oauth/access_token"  # noqa: S105  # nosec B105  # a path
UNSTATED_LIFETIME_SECONDS = 300.0
LONGEST_LIFETIME_SECONDS = 3600.0
"""Whatever an answer says, a token is renewed after this."""
_REFUSED = (400, 401, 403)


@dataclass(frozen=True, slots=True)
class _Token:
    authorization: str
    stale_at: float
    """On the monotonic clock: a little before the vendor lets it expire."""


class TokenAuth(httpx.Auth):
    """Puts a valid access token on every request. One fetch serves all threads; the others wait for it.

    A request answered 401 is sent once more with a fresh token, writes too: a refused token executes nothing. Raises
    `Unauthorized`, `RateLimited` or `Unavailable` when no token can be had; the request itself was not sent then, or
    refused.
    """

    def __init__(self, *, account: str, base_url: str, client_id: str, client_secret: SecretStr, clock: Clock) -> None:
        self._account = account
        self._url = base_url + TOKEN_PATH
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._failed_at: float | None = None

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

    def _renewed(self, used: _Token | None) -> Generator[httpx.Request, httpx.Response, _Token]:
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
                response = yield self._request()
                response.read()
                self._token = self._read(response)
            finally:
                self._failed_at = self._clock.monotonic() if self._token is None else None
            return self._token

    def _request(self) -> httpx.Request:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret.get_secret_value(),
        }
        return httpx.Request("POST", self._url, data=form, headers={"accept": "application/json"})

    def _read(self, response: httpx.Response) -> _Token:
        status = response.status_code
        if status in _REFUSED:
            message = "Elastic Path refuses the client id and secret; check both, and the region in base_url"
            raise Unauthorized(message, account=self._account, code=str(status))
        if status == 429:
            message = "Elastic Path gives out no token now: too many requests"
            seconds = retry_after_seconds(response, self._clock)
            raise RateLimited(message, account=self._account, code="429", retry_after_seconds=seconds)
        token = self._readable(response) if status == 200 else None
        if token is None:
            message = f"Elastic Path's token endpoint answered {status}: {excerpt(response)}"
            raise Unavailable(message, account=self._account, code=str(status))
        return token

    def _readable(self, response: httpx.Response) -> _Token | None:
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            return None
        # The vendor's specification wraps the answer in `data`, its documentation and its own client do not.
        if isinstance(answer, Mapping) and isinstance(answer.get("data"), Mapping):
            answer = answer["data"]
        if not isinstance(answer, Mapping):
            return None
        token, seconds = answer.get("access_token"), answer.get("expires_in", UNSTATED_LIFETIME_SECONDS)
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            return None
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
            return None
        # Early by a tenth, at most half a minute: the token must outlive its way to the vendor.
        seconds = min(seconds, LONGEST_LIFETIME_SECONDS)
        return _Token(f"Bearer {token}", self._clock.monotonic() + seconds - min(30.0, seconds / 10))
