"""The kit over the standard channel: a shop that can be asked."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from contextlib import AbstractContextManager

from connectors.contract import Channel
from connectors.http import Toolbox
from connectors.standard.sandbox import Options, create_app
from connectors.testing import ChannelKit, Delivery, Sold
from tests.conformance.kit.served import Served, installed, served


class StandardSandbox(Served):
    page_size = 3
    missing_order = "nowhere"
    signs_body = True
    enumerations = ("type",)

    def open(self, toolbox: Toolbox) -> Channel:
        found = installed("standard")
        assert found.channel_settings
        assert found.open_channel
        settings = found.channel_settings.model_validate(
            {
                "webhook_secrets": [self.options.secret],
                "orders_url": f"{self.url}/orders",
                "orders_token": self.options.token,
                "page_size": self.page_size,
            }
        )
        return found.open_channel("toys", settings, toolbox)

    def place(self, *lines: Sold) -> str:
        order = {"lines": [{"sku": line.sku, "quantity": line.quantity} for line in lines]}
        return str(self.control("/orders", {"orders": [order]})["orders"][0]["id"])

    def committed(self, order_id: str) -> Mapping[str, int]:
        return {line["sku"]: line["committed"] for line in self.look(f"/orders/{order_id}")["lines"]}

    def touch(self, order_id: str) -> None:
        self.control(f"/orders/{order_id}/touch")

    def cancel(self, order_id: str) -> None:
        self.control(f"/orders/{order_id}/cancel")

    def edit(self, order_id: str, sku: str, quantity: int) -> None:
        self.control(
            f"/orders/{order_id}/edit", {"set": [{"line_id": self._line(order_id, sku), "quantity": quantity}]}
        )

    def give_back(self, order_id: str, sku: str, quantity: int) -> None:
        lines = [{"line_id": self._line(order_id, sku), "quantity": quantity}]
        self.control(f"/orders/{order_id}/restock", {"lines": lines})

    def delete(self, order_id: str) -> None:
        self.control(f"/orders/{order_id}", method="DELETE")

    def lag(self, seconds: float) -> None:
        self.control("/switches", {"index_lag_seconds": seconds})

    def tell(self) -> None:
        self.control("/endpoints", {"url": self.receiver.url})

    def signed(self, like: Delivery, body: bytes) -> Delivery:
        key = base64.b64decode(self.options.secret.get_secret_value().removeprefix("whsec_"))
        text = f"{like.headers['webhook-id']}.{like.headers['webhook-timestamp']}.".encode() + body
        signature = f"v1,{base64.b64encode(hmac.digest(key, text, 'sha256')).decode()}"
        return Delivery({**like.headers, "webhook-signature": signature}, body)

    def _line(self, order_id: str, sku: str) -> str:
        lines = self.look(f"/orders/{order_id}")["lines"]
        return str(next(line["id"] for line in lines if line["sku"] == sku))


class TestStandard(ChannelKit):
    not_shown = ("CanExpire", "CanRevoke")

    def sandbox(self) -> AbstractContextManager[StandardSandbox]:
        return served(StandardSandbox, Options(), create_app)
