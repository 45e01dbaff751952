"""Access tokens: the client's secret once, the refresh token from then on (docs, "Authentication API")."""

from __future__ import annotations

from collections.abc import Generator

import httpx
from pydantic import SecretStr

from connectors import tokens
from connectors.clock import Clock

TOKEN_PATH = "/v1/auth/token"  # noqa: S105  # nosec B105  # a path
SCOPE = "integ"


class TokenAuth(tokens.TokenAuth):
    """See `tokens.TokenAuth`. The vendor checks a token before it executes anything."""

    vendor = "Sharetribe"
    remedy = "check both in Console, under Applications"
    longest_lifetime_seconds = 86_400.0

    def __init__(self, *, account: str, base_url: str, client_id: str, client_secret: SecretStr, clock: Clock) -> None:
        super().__init__(account=account, url=base_url.rstrip("/") + TOKEN_PATH, clock=clock)
        self._client_id = client_id
        self._client_secret = client_secret

    def fetched(self, refresh_token: str | None) -> Generator[httpx.Request, httpx.Response, tokens.Token]:
        """See `tokens.TokenAuth.fetched`."""
        form = {"client_id": self._client_id}
        if refresh_token is not None:
            renewal = {"grant_type": "refresh_token", "refresh_token": refresh_token}
            response = yield from self.asked({**form, **renewal})
            if response.status_code not in tokens.REFUSED:
                return self.read(response)
        secret = self._client_secret.get_secret_value()
        entry = {"client_secret": secret, "grant_type": "client_credentials", "scope": SCOPE}
        return self.read((yield from self.asked({**form, **entry})))
