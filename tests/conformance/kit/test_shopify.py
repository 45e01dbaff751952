"""The kit over Shopify."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from contextlib import AbstractContextManager

from connectors.contract import Channel
from connectors.http import Toolbox
from connectors.shopify import ShopifyChannel
from connectors.shopify.sandbox import Options, create_app
from connectors.testing import ChannelKit, Delivery, Sold
from tests.conformance.kit.served import Served, installed, served


class ShopifySandbox(Served):
    page_size = 5
    missing_order = "4711"
    signs_body = True
    enumerations = ("restockType", "displayFinancialStatus", "cancelReason")

    def open(self, toolbox: Toolbox) -> Channel:
        found = installed("shopify")
        assert found.channel_settings
        assert found.open_channel
        settings = found.channel_settings.model_validate(
            {
                "shop": self.options.shop_domain,
                "base_url": self.url,
                "client_id": self.options.client_id,
                "client_secret": self.options.client_secret,
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
        line = {"line_id": self._line(order_id, sku), "quantity": quantity, "restock_type": "CANCEL"}
        self.control(f"/orders/{order_id}/refund", {"lines": [line]})

    def delete(self, order_id: str) -> None:
        self.control(f"/orders/{order_id}", method="DELETE")

    def lag(self, seconds: float) -> None:
        self.control("/switches", {"index_lag_seconds": [seconds, seconds]})

    def revoke(self) -> None:
        self.control("/uninstall")

    def expire(self) -> None:
        self.control("/tokens/expire")

    def tell(self) -> None:
        channel = self.open_plain()
        channel.subscribe(self.receiver.url)
        channel.close()

    def signed(self, like: Delivery, body: bytes) -> Delivery:
        digest = hmac.digest(self.options.client_secret.get_secret_value().encode(), body, "sha256")
        return Delivery({**like.headers, "x-shopify-hmac-sha256": base64.b64encode(digest).decode()}, body)

    def open_plain(self) -> ShopifyChannel:
        opened = self.open(self.plain_toolbox())
        assert isinstance(opened, ShopifyChannel)
        return opened

    def _line(self, order_id: str, sku: str) -> int:
        lines = self.look(f"/orders/{order_id}")["lines"]
        return int(next(line["id"] for line in lines if line["sku"] == sku))


class TestShopify(ChannelKit):
    not_shown = ()

    def sandbox(self) -> AbstractContextManager[ShopifySandbox]:
        return served(ShopifySandbox, Options(), create_app)
