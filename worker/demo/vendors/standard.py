"""Any shop that signs and sends our own format."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from worker.demo.replay import PlaceOrder
from worker.demo.vendors.base import DROPPED, DUPLICATED, REORDERED, Channel, Option, Secret


class StandardShop(Channel):
    """See `Channel`. It can be read, too, for what its messages lose."""

    connector = "standard"

    @property
    def options(self) -> Mapping[str, Any]:
        key = base64.b64encode(self.secret("webhooks").encode()).decode()
        return {
            "seed": self.seed,
            "secret": f"whsec_{key}",
            "token": self.secret("token"),
            "delivery_faults": {"duplicate_rate": DUPLICATED, "reorder_rate": REORDERED, "drop_rate": DROPPED},
        }

    def account(self, url: str) -> Mapping[str, Option]:
        return {
            "orders_url": f"{url}/orders",
            "orders_token": Secret(self.options["token"]),
            "webhook_secrets": [Secret(self.options["secret"])],
        }

    def send_to(self, address: str) -> None:
        self.control.post("/endpoints", {"url": address})

    def place(self, orders: Sequence[PlaceOrder]) -> Sequence[tuple[str, Sequence[str]]]:
        asked = [{"lines": [{"sku": line.sku, "quantity": line.units} for line in order.lines]} for order in orders]
        placed = self.control.post("/orders", {"orders": asked})["orders"]
        return [(str(order["id"]), [str(line) for line in order["lines"]]) for order in placed]

    def give_back(self, order_id: str, parts: Mapping[str, int]) -> None:
        lines = [{"line_id": line, "quantity": units} for line, units in parts.items()]
        self.control.post(f"/orders/{order_id}/restock", {"lines": lines})

    def committed(self) -> Mapping[str, int]:
        """By the shop's own books of what is gone."""
        orders = self.control.get("/state")["orders"]
        return {str(line["id"]): line["committed"] for order in orders for line in order["lines"]}
