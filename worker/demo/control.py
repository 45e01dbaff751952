"""The control surface of a sandbox: plain HTTP and JSON, none of it through a connector."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

TIMEOUT_SECONDS = 60.0


class RefusedError(Exception):
    """The sandbox understood and refused: what people would have been told, such as that nothing is left."""


class Control:
    """One sandbox's control surface. Safe for use from several threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=f"{url}/_control", timeout=TIMEOUT_SECONDS, trust_env=False)

    def get(self, path: str, **query: str) -> Any:
        """Read. Raises `RefusedError`."""
        return _content(self._client.get(path, params=query))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Do. Raises `RefusedError`, with nothing done."""
        return _content(self._client.post(path, json=body or {}))

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _content(response: httpx.Response) -> Any:
    if response.status_code in (400, 409):
        raise RefusedError(response.text)
    response.raise_for_status()
    return response.json()
