"""A seller's account on a Marketplacer site, as the shop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker.demo.replay import PlaceOrder
from worker.demo.vendors.base import BATCH_LISTINGS, DROPPED, DUPLICATED, REORDERED, Channel, Option, Secret

PER_SECOND = 500
"""A real site grants 50 requests a second; with that, reading would set the pace of the demo."""


class MarketplacerShop(Channel):
    """See `Channel`. An order is an invoice, of which whole lines can be cancelled, and no part of one."""

    connector = "marketplacer"
    returns_units = False

    @property
    def options(self) -> Mapping[str, Any]:
        return {
            "seed": self.seed,
            "api_key": self.secret("seller"),
            "per_second": PER_SECOND,
            "retry_time_scale": 0.02,
            "delivery_faults": {"duplicate_rate": DUPLICATED, "reorder_rate": REORDERED, "drop_rate": DROPPED},
        }

    def account(self, url: str) -> Mapping[str, Option]:
        return {
            "base_url": url,
            "api_key": Secret(self.options["api_key"]),
            "requests_per_second": PER_SECOND,
            "webhook_secrets": [Secret(self.secret("webhooks"))],
        }

    def stock(self, skus: Sequence[str]) -> None:
        for start in range(0, len(skus), BATCH_LISTINGS):
            adverts = [
                {"title": sku, "variants": [{"external_id": sku, "sku": sku, "records": [{"infinite": True}]}]}
                for sku in skus[start : start + BATCH_LISTINGS]
            ]
            self.control.post("/adverts", {"adverts": adverts})

    def send_to(self, address: str) -> None:
        self.control.post("/webhooks", {"url": address, "headers": {"auth-key": self.secret("webhooks")}})

    def place(self, orders: Sequence[PlaceOrder]) -> Sequence[tuple[str, Sequence[str]]]:
        asked = [{"lines": [{"variant": line.sku, "quantity": line.units} for line in order.lines]} for order in orders]
        placed = self.control.post("/purchases", {"purchases": asked})["invoices"]
        return [(str(invoice["id"]), [str(line["id"]) for line in invoice["lines"]]) for invoice in placed]

    def give_back(self, order_id: str, parts: Mapping[str, int]) -> None:
        for line in parts:
            self.control.post(f"/invoices/{order_id}/cancel", {"line_id": int(line)})

    def committed(self) -> Mapping[str, int]:
        """By the site's own books."""
        invoices = self.control.get("/state")["invoices"]
        return {str(line["id"]): line["committed"] for invoice in invoices for line in invoice["lines"]}
