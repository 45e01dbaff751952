"""Access tokens by client credentials: an hour each, no refresh token, several at once."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from random import Random
from typing import Any

from connectors.clock import Clock

from .errors import ApiError
from .options import Options, Switches


class Tokens:
    """All tokens given out. Their times go by the sandbox's clock."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._random = Random(f"tokens:{options.seed}")
        self._ends: dict[str, float] = {}

    def issue(self, form: Mapping[str, str], switches: Switches) -> dict[str, Any]:
        """The answer to a form. Raises `ApiError`."""
        secret = self._options.client_secret.get_secret_value()
        if form.get("grant_type") != "client_credentials":
            raise ApiError(400, "Bad Request", "grant_type is none that is imitated")
        if form.get("client_id") != self._options.client_id or not hmac.compare_digest(
            form.get("client_secret", "").encode(), secret.encode()
        ):
            raise ApiError(401, "Unauthorized")
        token = f"{self._random.getrandbits(160):040x}"
        seconds = switches.access_token_seconds
        self._ends[token] = self._clock.monotonic() + seconds
        answer = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": seconds,
            "expires": int(self._clock.now().timestamp()) + seconds,
            "identifier": "client_credentials",
        }
        return {"data": answer} if switches.token_wrapped else answer

    def admit(self, authorization: str | None) -> None:
        """Raises `ApiError` unless the header holds a token that still lives."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or self._ends.get(token, 0.0) <= self._clock.monotonic():
            raise ApiError(401, "Unauthorized", "the access token is missing, invalid or has expired")

    def expire(self) -> None:
        """End every token now."""
        self._ends.clear()
