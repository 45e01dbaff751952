"""Getting in: a token in `X-Shopify-Access-Token`, fixed or obtained by the client credentials grant."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated

import httpx
import msgspec

from connectors.clock import Clock
from connectors.errors import RateLimited, Unauthorized, Unavailable
from connectors.http import excerpt, retry_after_seconds
from connectors.shopify.settings import ShopifySettings

HEADER = "X-Shopify-Access-Token"

RENEW_BEFORE_SECONDS = 300.0
"""A token this close to its end is replaced, so that none expires on its way; sooner for one that lives shortly."""


class _Grant(msgspec.Struct):
    access_token: Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]+\Z")]
    expires_in: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class FixedToken(httpx.Auth):
    """A token that lives until somebody revokes it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See `httpx.Auth.auth_flow`."""
        request.headers[HEADER] = self._token
        yield request


class ClientCredentials(httpx.Auth):
    """A token of about a day, asked for when needed (vendor page "Using the client credentials grant").

    The grant gives no refresh token: it is simply asked again. After a 401 to a token we hold, another is asked for
    and the request repeated once; a request answered 401 was not executed, so this is safe for writes too.
    """

    requires_response_body = True

    def __init__(self, *, url: str, client_id: str, client_secret: str, clock: Clock, account: str) -> None:
        self._url = url
        self._form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._clock = clock
        self._account = account
        self._held: tuple[str, float] | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See `httpx.Auth.auth_flow`."""
        token = self._current()
        fresh = token is None
        if token is None:
            token = yield from self._ask(request)
        request.headers[HEADER] = token
        response = yield request
        if response.status_code == 401 and not fresh:
            request.headers[HEADER] = yield from self._ask(request)
            yield request

    def _current(self) -> str | None:
        held = self._held
        return None if held is None or self._clock.monotonic() >= held[1] else held[0]

    def _ask(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, str]:
        # Two threads may ask at the same time: both tokens are good, and either may be held.
        # A request made here has no time-outs of its own: it takes those of the request it is made for.
        response = yield httpx.Request(
            "POST",
            self._url,
            data=self._form,
            headers={"accept": "application/json"},
            extensions={"timeout": request.extensions.get("timeout", {})},
        )
        token, lifetime_seconds = self._granted(response)
        usable_seconds = lifetime_seconds - min(RENEW_BEFORE_SECONDS, lifetime_seconds / 10)
        self._held = (token, self._clock.monotonic() + usable_seconds)
        return token

    def _granted(self, response: httpx.Response) -> tuple[str, float]:
        status = response.status_code
        if status == 429:
            message = "too many requests for access tokens"
            seconds = retry_after_seconds(response, self._clock)
            raise RateLimited(message, account=self._account, code="429", retry_after_seconds=seconds)
        if status == 408 or status >= 500:
            message = f"the shop's token address answered {status}: {excerpt(response)}"
            raise Unavailable(message, account=self._account, code=str(status))
        if status != 200:
            message = (
                f"the shop gave no access token ({status}); check client_id and client_secret, "
                "and that the app is installed on this shop"
            )
            raise Unauthorized(message, account=self._account, code=str(status))
        try:
            grant = msgspec.json.decode(response.content, type=_Grant)
        except (ValueError, RecursionError):
            # The answer is not shown, nor is the reason: either may hold a token.
            message = "the shop's token address gave an answer without a usable access token"
            raise Unavailable(message, account=self._account) from None
        return grant.access_token, grant.expires_in


def auth(settings: ShopifySettings, clock: Clock, *, account: str) -> httpx.Auth:
    """How this shop wants to be asked."""
    if settings.access_token is not None:
        return FixedToken(settings.access_token.get_secret_value())
    if settings.client_id is None or settings.client_secret is None:
        raise ValueError("the settings of a shop hold no way in")
    return ClientCredentials(
        url=f"{settings.address}/admin/oauth/access_token",
        client_id=settings.client_id,
        client_secret=settings.client_secret.get_secret_value(),
        clock=clock,
        account=account,
    )
