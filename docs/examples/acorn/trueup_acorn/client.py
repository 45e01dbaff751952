"""Calls to Acorn's API: a bearer key, JSON, ten calls a second, and what each answer means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from connectors.answers import succeeded
from connectors.budget import Priority, Scope
from connectors.http import Http, Toolbox
from httpx import Response

from trueup_acorn.settings import AcornSettings


class Client:
    """One shop's API. Safe for use from several threads; close its `http` when done."""

    def __init__(self, settings: AcornSettings, toolbox: Toolbox, *, account: str) -> None:
        self._account = account
        self.http = Http(
            toolbox,
            account=account,
            base_url=f"{settings.base_url}/v1/shops/{settings.shop}",
            headers={"authorization": f"Bearer {settings.api_key.get_secret_value()}"},
        )
        self._scopes = (Scope(f"acorn:{settings.shop}", per_second=10, burst=10),)

    def get(self, path: str, params: Mapping[str, Any] | None = None, priority: Priority = Priority.READ) -> Response:
        """Read something; tried again by `Http` when that may help. Every status that says something is returned."""
        return self.http.read("GET", path, scopes=self._scopes, priority=priority, params=params)

    def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Write something, once: a write whose answer was lost is `OutcomeUnknown`, and nobody here sends it again."""
        return self.body(self.http.write("POST", path, scopes=self._scopes, json=body))

    def body(self, response: Response) -> bytes:
        """What was answered with success. Raises the error that any other status means."""
        return succeeded(response, account=self._account, code=code_of(response))


def code_of(response: Response) -> str:
    """Acorn's own word for what went wrong; empty where there is none."""
    try:
        return msgspec.json.decode(response.content, type=dict[str, str]).get("error", "")
    except (ValueError, RecursionError):
        return ""
