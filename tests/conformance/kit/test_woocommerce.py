"""The kit over WooCommerce."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from contextlib import AbstractContextManager

from connectors.contract import Channel
from connectors.http import Toolbox
from connectors.testing import ChannelKit, Delivery, Sold
from connectors.woocommerce import WooCommerceChannel
from connectors.woocommerce.sandbox import Options, create_app
from tests.conformance.kit.served import Served, installed, served

SECRET = "a long random text of our own"


class WooCommerceSandbox(Served):
    page_size = 5
    missing_order = "4711"
    signs_body = True
    enumerations = ("status",)

    def open(self, toolbox: Toolbox) -> Channel:
        found = installed("woocommerce")
        assert found.channel_settings
        assert found.open_channel
        settings = found.channel_settings.model_validate(
            {
                "site": self.options.site,
                "base_url": self.url,
                "consumer_key": self.options.consumer_key,
                "consumer_secret": self.options.consumer_secret,
                "webhook_secrets": [SECRET],
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
        self.control(f"/orders/{order_id}/refund", {"lines": lines})

    def delete(self, order_id: str) -> None:
        self.control(f"/orders/{order_id}", {"force": True}, method="DELETE")

    def tell(self) -> None:
        channel = self.open(self.plain_toolbox())
        assert isinstance(channel, WooCommerceChannel)
        channel.subscribe(self.receiver.url)
        channel.close()
        # What was sent to try the address is no delivery.
        self.receiver.received.clear()

    def signed(self, like: Delivery, body: bytes) -> Delivery:
        signature = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()
        return Delivery({**like.headers, "x-wc-webhook-signature": signature}, body)

    def _line(self, order_id: str, sku: str) -> int:
        lines = self.look(f"/orders/{order_id}")["lines"]
        return int(next(line["id"] for line in lines if line["sku"] == sku))


class TestWooCommerce(ChannelKit):
    not_shown = ("CanExpire", "CanLag", "CanRevoke")

    def sandbox(self) -> AbstractContextManager[WooCommerceSandbox]:
        return served(WooCommerceSandbox, Options(), create_app)
