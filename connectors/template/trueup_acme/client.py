"""Calls to the vendor: how they are authorised, how many are allowed, and what each answer means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.answers import succeeded
from connectors.budget import Priority, Scope
from connectors.http import Http, Toolbox

from trueup_acme.settings import AcmeSettings


class Client:
    """One account's API. Safe for use from several threads; close its `http` when done.

    To adapt: the headers that authorise, the limits of the scope, and which of the vendor's own error codes mean more
    than their status does.
    """

    def __init__(self, settings: AcmeSettings, toolbox: Toolbox, *, account: str) -> None:
        self._account = account
        self.http = Http(
            toolbox,
            account=account,
            base_url=settings.base_url,
            headers={"authorization": f"Bearer {settings.api_key.get_secret_value()}"},
        )
        self._scopes = (Scope(f"acme:{account}", per_second=5, burst=5),)

    def get(self, path: str, params: Mapping[str, Any] | None = None, priority: Priority = Priority.READ) -> bytes:
        """Read something; `Http` tries again where that may help."""
        response = self.http.read("GET", path, scopes=self._scopes, priority=priority, params=params)
        return succeeded(response, account=self._account)

    def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Write something, once: a write whose answer was lost is `OutcomeUnknown`, and nobody sends it again."""
        response = self.http.write("POST", path, scopes=self._scopes, json=body)
        return succeeded(response, account=self._account)
