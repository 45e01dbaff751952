"""Who may call: access tokens of the applications on the shop (docs, "Authentication and authorization")."""

from __future__ import annotations

import hmac
from random import Random

from connectors.clock import Clock

from .options import Options

THE_APPLICATION = "the application"
"""How the application under test is called here."""


class Tokens:
    """Standing tokens, and those the client credentials grant gives out. Used from the event loop only."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._random = Random(f"tokens {options.seed}")
        self._standing = {options.access_token.get_secret_value(): THE_APPLICATION} | {
            token.get_secret_value(): name for name, token in options.other_applications.items()
        }
        self._granted: dict[str, float] = {}
        self.installed = True

    @property
    def applications(self) -> list[str]:
        """Everybody with a standing token."""
        return list(dict.fromkeys(self._standing.values()))

    def application(self, token: str) -> str | None:
        """Whose token this is; None: nobody's, expired, or of a removed application."""
        name = self._standing.get(token)
        if name is None and self._granted.get(token, 0.0) > self._clock.monotonic():
            name = THE_APPLICATION
        return name if self.installed or name != THE_APPLICATION else None

    def grant(self, client_id: str, client_secret: str) -> str | None:
        """A new token of the application under test; None when id or secret is wrong."""
        secrets = (self._options.client_secret, *self._options.further_secrets)
        known = any(
            hmac.compare_digest(client_secret.encode(), secret.get_secret_value().encode()) for secret in secrets
        )
        if client_id != self._options.client_id or not known or not self.installed:
            return None
        token = f"shpat_{self._random.getrandbits(128):032x}"
        self._granted[token] = self._clock.monotonic() + self._options.access_token_seconds
        return token

    def expire(self) -> None:
        """End every token that was granted."""
        self._granted.clear()
