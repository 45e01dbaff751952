"""A served Marketplacer sandbox by plain HTTP: its API with a key, and its control surface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from connectors.marketplacer.sandbox import Options, create_app
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve

KEY = "sandbox-key"


class Api:
    """One site."""

    def __init__(self, client: httpx.Client) -> None:
        self.http = client

    def call(self, method: str, path: str, body: Any = None, *, key: str = KEY, **params: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return self.http.request(method, f"/api/v2/client/{path}", json=body, headers=headers, params=params or None)

    def get(self, path: str, *, key: str = KEY, **params: Any) -> Any:
        answer = self.call("GET", path, key=key, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, path: str, kind: str, *, key: str = KEY, **attributes: Any) -> httpx.Response:
        return self.call("PUT", path, {"data": {"type": kind, "attributes": attributes}}, key=key)

    def control(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = self.http.post(f"/_control{path}", json={} if body is None else body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def look(self, path: str) -> Any:
        return self.http.get(f"/_control{path}").json()

    def variant(self, name: str = "MUG", count: int = 5, **record: Any) -> int:
        """The id of a new variant of the first seller's, alone in its advert."""
        variant = {"external_id": name, "sku": f"sku-{name}", "records": [{"count_on_hand": count, **record}]}
        made = self.control("/adverts", {"adverts": [{"variants": [variant]}]})
        return int(made["adverts"][0]["variants"][0]["id"])

    def sell(self, *names: str, steps: tuple[str, ...] = ("pay",), **line: Any) -> Any:
        lines = [{"variant": name, **line} for name in names]
        return self.control("/purchases", {"purchases": [{"lines": lines, "steps": steps}]})["invoices"]


@contextmanager
def served(clock: VirtualClock, **options: Any) -> Iterator[Api]:
    with serve(create_app(Options.model_validate(options), clock)) as url, httpx.Client(base_url=url) as client:
        yield Api(client)
