"""Calls to one store, within its limits, with every refusal turned into an error of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from connectors.budget import Priority, Scope
from connectors.elasticpath.auth import TokenAuth
from connectors.elasticpath.errors import read_error, write_error
from connectors.elasticpath.settings import ElasticPathAccount
from connectors.errors import OutcomeUnknown, Unreadable
from connectors.http import Http, Toolbox, parse_json

PER_SECOND = {"production": 100.0, "development": 25.0}
OUR_SHARE = 0.8
"""The store's limit is everybody's: its shoppers' front end draws on it too."""
PAGE = 100


class Client:
    """One application key's connection. Safe for use from several threads."""

    def __init__(self, settings: ElasticPathAccount, toolbox: Toolbox, *, account: str) -> None:
        self._account = account
        self._clock = toolbox.clock
        per_second = PER_SECOND[settings.environment] * OUR_SHARE
        # The vendor counts by store, and a key belongs to one store.
        key = f"elasticpath:{urlsplit(settings.base_url).netloc}:{settings.client_id}"
        self._scopes = (Scope(key, per_second=per_second, burst=int(per_second / 4)),)
        self.http = Http(
            toolbox,
            account=account,
            base_url=settings.base_url,
            auth=TokenAuth(
                account=account,
                base_url=settings.base_url,
                client_id=settings.client_id,
                client_secret=settings.client_secret,
                clock=toolbox.clock,
            ),
            headers={"content-type": "application/json"},
        )

    def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        what: str,
        priority: Priority = Priority.READ,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of an answer. `what` completes "Elastic Path refused ..." in errors."""
        response = self.http.read("GET", path, params=params, headers=headers, scopes=self._scopes, priority=priority)
        return self.read(response, what=what)

    def post_for(
        self, path: str, body: Any, *, priority: Priority, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer to a question that is put in a body; it changes nothing."""
        return self.http.read("POST", path, json=body, headers=headers, scopes=self._scopes, priority=priority)

    def read(self, response: httpx.Response, *, what: str) -> Any:
        """The JSON of an answer to a read, or the error it means."""
        if not response.is_success:
            raise read_error(response, account=self._account, what=what, clock=self._clock)
        return parse_json(response, account=self._account)

    def write(self, method: str, path: str, body: Any, *, what: str, headers: Mapping[str, str] | None = None) -> Any:
        """Send a change, once; the JSON of its answer.

        Raises what `Marketplace.adjust` may raise; anything but JSON under a success is no answer: `OutcomeUnknown`.
        """
        response = self.http.write(method, path, json=body, headers=headers, scopes=self._scopes)
        if not response.is_success:
            raise write_error(response, account=self._account, what=what, clock=self._clock)
        try:
            return parse_json(response, account=self._account)
        except Unreadable as error:
            raise OutcomeUnknown(f"{what}: {error.message}", account=self._account) from error
