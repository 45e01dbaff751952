"""A WooCommerce shop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker.demo.replay import PlaceOrder
from worker.demo.vendors.base import BATCH_LISTINGS, DROPPED, DUPLICATED, REORDERED, Channel, Option, Secret

SITE = "https://demo-shop.example"


class WooCommerceShop(Channel):
    """See `Channel`. It counts the stock of what it sells, so that it books what is gone."""

    connector = "woocommerce"

    @property
    def options(self) -> Mapping[str, Any]:
        return {
            "site": SITE,
            "seed": self.seed,
            "consumer_key": self.secret("key"),
            "consumer_secret": self.secret("shop"),
            "delivery_faults": {"duplicate_rate": DUPLICATED, "reorder_rate": REORDERED, "drop_rate": DROPPED},
        }

    def account(self, url: str) -> Mapping[str, Option]:
        return {
            "site": SITE,
            "base_url": url,
            "consumer_key": Secret(self.options["consumer_key"]),
            "consumer_secret": Secret(self.options["consumer_secret"]),
            "webhook_secrets": [Secret(self.secret("webhooks"))],
        }

    def stock(self, skus: Sequence[str]) -> None:
        for start in range(0, len(skus), BATCH_LISTINGS):
            batch = [{"sku": sku} for sku in skus[start : start + BATCH_LISTINGS]]
            self.control.post("/products", {"products": batch})

    def place(self, orders: Sequence[PlaceOrder]) -> Sequence[tuple[str, Sequence[str]]]:
        asked = [{"lines": [{"sku": line.sku, "quantity": line.units} for line in order.lines]} for order in orders]
        placed = self.control.post("/orders", {"orders": asked})["orders"]
        return [(str(order["id"]), [str(line) for line in order["lines"]]) for order in placed]

    def give_back(self, order_id: str, parts: Mapping[str, int]) -> None:
        lines = [{"line_id": int(line), "quantity": units} for line, units in parts.items()]
        self.control.post(f"/orders/{order_id}/refund", {"lines": lines, "restock": True})

    def committed(self) -> Mapping[str, int]:
        """By the shop's own books of what is gone."""
        orders = self.control.get("/state")["orders"]
        return {str(line["id"]): line["committed"] for order in orders for line in order["lines"]}
