"""The kit over the standard channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from connectors.http import Toolbox
from connectors.sandbox.serve import serve
from connectors.standard import StandardSettings, open_channel
from connectors.standard.sandbox import Options, create_app
from connectors.testing import ChannelKit, Sold, VirtualClock


class StandardSandbox:
    page_size = 3
    missing_order = "nowhere"

    def __init__(self, url: str, clock: VirtualClock, options: Options, http: httpx.Client) -> None:
        self.clock = clock
        self._url = url
        self._options = options
        self._http = http

    def open(self, toolbox: Toolbox) -> Any:
        settings = StandardSettings.model_validate(
            {
                "webhook_secrets": [self._options.secret],
                "orders_url": f"{self._url}/orders",
                "orders_token": self._options.token,
                "page_size": self.page_size,
            }
        )
        return open_channel("toys", settings, toolbox)

    def control(self, path: str, body: Any = None, method: str = "POST") -> Any:
        answer = self._http.request(method, f"/_control/{path}", json={} if body is None else body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def place(self, *lines: Sold) -> str:
        order = {"lines": [{"sku": line.sku, "quantity": line.quantity} for line in lines]}
        return str(self.control("orders", {"orders": [order]})["orders"][0]["id"])

    def committed(self, order_id: str) -> Mapping[str, int]:
        return {line["sku"]: line["committed"] for line in self.control(f"orders/{order_id}", method="GET")["lines"]}

    def touch(self, order_id: str) -> None:
        self.control(f"orders/{order_id}/touch")


class TestStandard(ChannelKit):
    not_shown = ("test_what_is_listed_late_is_named_by_recent",)

    @contextmanager
    def sandbox(self) -> Iterator[StandardSandbox]:
        clock, options = VirtualClock(), Options()
        with serve(create_app(options, clock)) as url, httpx.Client(base_url=url, timeout=20) as http:
            yield StandardSandbox(url, clock, options, http)
