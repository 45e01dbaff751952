"""Calls to the shop's REST API (`/wp-json/wc/v3`): HTTP basic authentication, JSON, and what each answer means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import httpx
import msgspec

from connectors.answers import excerpt, masked, name_of, parse_json
from connectors.budget import Priority, Scope
from connectors.errors import NotFound, OutcomeUnknown, Rejected, Unauthorized, Unavailable, Unreadable
from connectors.http import Http, Toolbox
from connectors.text import legible
from connectors.woocommerce.settings import WooCommerceSettings
from connectors.woocommerce.shapes import ErrorBody

ROOT = "wp-json/wc/v3"
NO_SUCH_ORDER = "woocommerce_rest_shop_order_invalid_id"
INVALID_PARAMETER = "rest_invalid_param"


class Answer(NamedTuple):
    """What was answered with success."""

    value: Any
    asked_at: datetime
    """When the request started, by our clock."""


class InvalidParameterError(Rejected):
    """The site does not take one of the parameters; `parameters` are those it names."""

    def __init__(self, message: str, *, account: str, parameters: frozenset[str]) -> None:
        super().__init__(message, account=account, code=INVALID_PARAMETER)
        self.parameters = parameters


class Client:
    """One shop's REST API. Safe for use from several threads; close it when done.

    The vendor documents no limits and hosts set their own, so few calls run at once and `Retry-After` is honoured.
    """

    def __init__(self, settings: WooCommerceSettings, toolbox: Toolbox, *, account: str) -> None:
        self.account = account
        self._clock = toolbox.clock
        self.http = Http(
            toolbox,
            account=account,
            base_url=f"{settings.address}/{ROOT}",
            auth=httpx.BasicAuth(settings.consumer_key.get_secret_value(), settings.consumer_secret.get_secret_value()),
        )
        self._scopes = (Scope(f"woocommerce:{settings.source}", None, in_flight=settings.calls_at_once),)

    def get(self, path: str, params: Mapping[str, Any] | None = None, priority: Priority = Priority.READ) -> Answer:
        """Read something. Raises what a read raises, `NotFound` with the site's code for a 404 of the API itself."""
        asked_at = self._clock.now()
        response = self.http.read("GET", path, scopes=self._scopes, priority=priority, params=params)
        return Answer(self._value(response), asked_at)

    def tell(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Write something, once. Raises what a write raises; `OutcomeUnknown` also for an answer of no sense."""
        response = self.http.write(method, path, scopes=self._scopes, json=body)
        try:
            return self._value(response)
        except (Unavailable, Unreadable) as error:
            raise OutcomeUnknown(error.message, account=self.account, code=error.code) from error

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self.http.close()

    def _value(self, response: httpx.Response) -> Any:
        status, what = response.status_code, name_of(response.request)
        try:
            value = parse_json(response, account=self.account)
        except Unreadable as error:
            if 300 <= status < 400:
                message = f"{what} was answered {status}: the site is at another address; set `site` to that one"
                raise Rejected(message, account=self.account, code="redirect") from error
            if status == 401:
                message = f"{what} was answered 401 by something before the shop: {excerpt(response)}"
                raise Unauthorized(message, account=self.account, code="401") from error
            if status == 404:
                message = f"{what} was answered 404: there is no REST API; are plain permalinks on, is `site` right?"
                raise NotFound(message, account=self.account, code="404") from error
            # A page of the host, of a security plugin or of maintenance, whatever its status: none of the shop's words.
            # Half an order would be shown by an excerpt, with whose it is.
            message = f"{what} was answered {status} without JSON" if 200 <= status < 300 else error.message
            raise Unavailable(message, account=self.account, code=str(status)) from error.__cause__
        if 200 <= status < 300:
            return value
        code, parameters = _named(value)
        message = f"{what} was answered {status}: {excerpt(response)}"
        if status in (401, 403):
            raise Unauthorized(message, account=self.account, code=code)
        if status == 404:
            raise NotFound(message, account=self.account, code=code)
        if code == INVALID_PARAMETER:
            raise InvalidParameterError(message, account=self.account, parameters=parameters)
        raise Rejected(message, account=self.account, code=code)


def _named(value: Any) -> tuple[str, frozenset[str]]:
    """The code of an error object, and the parameters it blames."""
    try:
        error = msgspec.convert(value, ErrorBody)
    except ValueError:
        return "", frozenset()
    blamed = error.data.get("params") if isinstance(error.data, dict) else None
    return legible(masked(error.code, None)), frozenset(blamed) if isinstance(blamed, dict) else frozenset()
