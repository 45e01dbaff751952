"""Access tokens by client credentials: an hour each, without a refresh token."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import httpx
from pydantic import SecretStr

from connectors import tokens
from connectors.clock import Clock

TOKEN_PATH = "/oauth/access_token"  # noqa: S105  # nosec B105  # a path


class TokenAuth(tokens.TokenAuth):
    """See `tokens.TokenAuth`."""

    vendor = "Elastic Path"
    remedy = "check both, and the region in base_url"
    longest_lifetime_seconds = 3600.0

    def __init__(self, *, account: str, base_url: str, client_id: str, client_secret: SecretStr, clock: Clock) -> None:
        super().__init__(account=account, url=base_url + TOKEN_PATH, clock=clock)
        self._client_id = client_id
        self._client_secret = client_secret

    def fetched(self, refresh_token: str | None) -> Generator[httpx.Request, httpx.Response, tokens.Token]:
        """See `tokens.TokenAuth.fetched`."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret.get_secret_value(),
        }
        return self.read((yield from self.asked(form)))

    def granted(self, answer: Any) -> Any:
        """The vendor's specification wraps the answer in `data`, its documentation and its own client do not."""
        if isinstance(answer, Mapping) and isinstance(answer.get("data"), Mapping):
            return answer["data"]
        return answer
