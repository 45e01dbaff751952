"""Tokens: `auth/token` and `auth/revoke`, and the bearer check (docs, "Authentication API")."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from connectors.clock import Clock

from .errors import ApiError
from .options import Options, Switches

SCOPE = "integ"


class BadCredentialsError(Exception):
    """The token endpoint refuses; it does not say why."""


@dataclass(frozen=True, slots=True)
class _Grant:
    client_id: str
    expires_at: float


class Tokens:
    """All tokens given out. Their times go by the sandbox's clock."""

    def __init__(self, options: Options, clock: Clock, random: Random) -> None:
        secrets = {options.client_id: options.client_secret, **options.other_applications}
        self._secrets = {client_id: secret.get_secret_value() for client_id, secret in secrets.items()}
        self._clock = clock
        self._random = random
        self._access: dict[str, _Grant] = {}
        self._refresh: dict[str, _Grant] = {}

    def issue(self, form: Mapping[str, str], switches: Switches) -> dict[str, Any]:
        """The answer of `auth/token` to a form. Raises `BadCredentialsError`."""
        match form.get("grant_type"):
            case "client_credentials":
                client_id, refresh_token = self._by_secret(form), None
            case "refresh_token":
                client_id, refresh_token = self._by_refresh_token(form, switches)
            case _:
                raise BadCredentialsError
        now = self._clock.monotonic()
        access_token = self._new_token()
        self._access[access_token] = _Grant(client_id, now + switches.access_token_seconds)
        if refresh_token is None:
            refresh_token = self._new_token()
            self._refresh[refresh_token] = _Grant(client_id, now + switches.refresh_token_seconds)
        return {
            "access_token": access_token,
            "refresh_token": refresh_token,
            "token_type": "bearer",
            "expires_in": switches.access_token_seconds,
            "scope": SCOPE,
        }

    def caller(self, authorization: str | None) -> str:
        """The client id behind an `Authorization` header. Raises `ApiError`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ApiError(401, "auth-missing-access-token", "Access token is missing.")
        grant = self._access.get(token.strip())
        if grant is None or grant.expires_at <= self._clock.monotonic():
            raise ApiError(401, "auth-invalid-access-token", "Access token is invalid or has expired.")
        return grant.client_id

    def revoke(self, refresh_token: str) -> bool:
        """End a refresh token; False when there was none."""
        return self._refresh.pop(refresh_token, None) is not None

    def expire(self, *, refresh_tokens: bool) -> None:
        """End every access token now, and the refresh tokens too if asked."""
        self._access.clear()
        if refresh_tokens:
            self._refresh.clear()

    def _by_secret(self, form: Mapping[str, str]) -> str:
        client_id = form.get("client_id", "")
        secret = self._secrets.get(client_id)
        if secret is None or not hmac.compare_digest(secret.encode(), form.get("client_secret", "").encode()):
            raise BadCredentialsError
        if form.get("scope") != SCOPE:
            raise BadCredentialsError
        return client_id

    def _by_refresh_token(self, form: Mapping[str, str], switches: Switches) -> tuple[str, str | None]:
        token = form.get("refresh_token", "")
        grant = self._refresh.get(token)
        if grant is None or grant.expires_at <= self._clock.monotonic():
            raise BadCredentialsError
        client_id = form.get("client_id")
        if client_id != grant.client_id and (client_id is not None or switches.refresh_needs_client_id):
            raise BadCredentialsError
        if not switches.rotate_refresh_tokens:
            return grant.client_id, token
        del self._refresh[token]
        return grant.client_id, None

    def _new_token(self) -> str:
        return f"{self._random.getrandbits(160):040x}"
