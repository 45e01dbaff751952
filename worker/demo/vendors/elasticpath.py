"""An Elastic Path store: as the marketplace, on either inventory flavour, or as the shop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

from worker.demo.catalogue import Stocked
from worker.demo.proof import ListingNumbers
from worker.demo.replay import PlaceOrder
from worker.demo.vendors.base import (
    BATCH_LISTINGS,
    DROPPED,
    DUPLICATED,
    LOST_AFTER,
    LOST_BEFORE,
    REORDERED,
    Channel,
    Marketplace,
    Option,
    Secret,
    Writes,
)

WRITE = "transactions/create"
SET_STATE = "products/update"
LOCATION = "warehouse"
STATES = {"live": "published", "draft": "closed"}


class ElasticPathMarketplace(Marketplace):
    """See `Marketplace`. Nobody else corrects stock here, so that trueup may take the store's history for its own."""

    connector = "elasticpath"
    closes = True
    feed = False
    location: str | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        return {
            "seed": self.seed,
            "client_id": "demo-store",
            "client_secret": self.secret("marketplace"),
            "lost_after_rate": LOST_AFTER,
            "lost_before_rate": LOST_BEFORE,
        }

    def account(self, url: str) -> Mapping[str, Option]:
        located: dict[str, Option] = {}
        if self.location is not None:
            located = {"inventory": "multi_location", "location": self.location}
        return located | {
            "base_url": url,
            "client_id": self.options["client_id"],
            "client_secret": Secret(self.options["client_secret"]),
            "close_by_status": True,
            "sole_writer": True,
        }

    def seller(self) -> str | None:
        return None

    def put_on_sale(self, listings: Sequence[Stocked], made_at: datetime) -> None:
        for start in range(0, len(listings), BATCH_LISTINGS):
            batch = [
                {
                    "id": listing.listing_id,
                    "sku": listing.title,
                    "name": f"Article {listing.title}",
                    "created_at": made_at.isoformat(),
                }
                | ({"stock": listing.opening} if self.location is None else {})
                | ({"locations": {self.location: listing.opening}} if self.location is not None else {})
                for listing in listings[start : start + BATCH_LISTINGS]
            ]
            self.control.post("/products", {"products": batch})

    def begin(self, listing_id: str, units: int) -> str:
        """A store holds nothing before it is paid, so the buyer pays at once."""
        item = {"product_id": listing_id, "quantity": units, "location": self.location}
        placed = self.control.post("/orders", {"orders": [{"items": [item], "steps": ["pay"]}]})
        return str(placed["orders"][0]["id"])

    def pay(self, purchase: str) -> None:
        """It is paid."""

    def expire(self, purchase: str) -> None:
        self.cancel(purchase)

    def cancel(self, purchase: str) -> None:
        self.control.post(f"/orders/{purchase}/cancel")

    def listings(self) -> Mapping[str, ListingNumbers]:
        return {
            product["id"]: ListingNumbers(
                total=product["available"],
                state=STATES[product["status"]],
                reserved={"accepted": product["allocated"]},
                own_adjustments=product["own_adjustments"],
            )
            for product in self.control.get("/state")["products"]
        }

    def writes(self, counts: Mapping[str, Any]) -> Writes:
        outcomes = counts["outcomes"]
        return Writes(
            sent=counts["calls"].get(WRITE, 0),
            applied=outcomes.get(WRITE, {}).get("applied", 0),
            refused=sum(count for outcome, count in outcomes.get(WRITE, {}).items() if outcome != "applied"),
            lost_after=sum(counts["lost_after"].get(WRITE, {}).values()),
            lost_before=counts["lost_before"].get(WRITE, 0),
            closings=outcomes.get(SET_STATE, {}).get("draft", 0),
            openings=outcomes.get(SET_STATE, {}).get("live", 0),
        )


class MultiLocationMarketplace(ElasticPathMarketplace):
    """The same with stock at locations, of which one counts."""

    location = LOCATION


class ElasticPathShop(Channel):
    """See `Channel`. A refund names no units: the whole order is cancelled, or nothing comes back."""

    connector = "elasticpath"
    returns_units = False

    @property
    def options(self) -> Mapping[str, Any]:
        return {
            "seed": self.seed + 1,
            "client_id": "demo-shop",
            "client_secret": self.secret("shop"),
            "delivery_faults": {"duplicate_rate": DUPLICATED, "reorder_rate": REORDERED, "drop_rate": DROPPED},
        }

    def account(self, url: str) -> Mapping[str, Option]:
        return {
            "base_url": url,
            "client_id": self.options["client_id"],
            "client_secret": Secret(self.options["client_secret"]),
            "webhook_secrets": [Secret(self.secret("webhooks"))],
        }

    def stock(self, skus: Sequence[str]) -> None:
        random = Random(f"products {self.seed}")
        self._product_of = {sku: str(UUID(int=random.getrandbits(128), version=4)) for sku in skus}
        for start in range(0, len(skus), BATCH_LISTINGS):
            batch = [{"id": self._product_of[sku], "sku": sku} for sku in skus[start : start + BATCH_LISTINGS]]
            self.control.post("/products", {"products": batch})

    def place(self, orders: Sequence[PlaceOrder]) -> Sequence[tuple[str, Sequence[str]]]:
        asked = [
            {
                "items": [
                    {"product_id": self._product_of[line.sku], "sku": line.sku, "quantity": line.units}
                    for line in order.lines
                ],
                "steps": ["pay"],
            }
            for order in orders
        ]
        placed = self.control.post("/orders", {"orders": asked})["orders"]
        return [(order["id"], [item["id"] for item in order["items"]]) for order in placed]

    def give_back(self, order_id: str, parts: Mapping[str, int]) -> None:
        self.control.post(f"/orders/{order_id}/cancel")

    def committed(self) -> Mapping[str, int]:
        """By the store's own books."""
        orders = self.control.get("/state")["orders"]
        return {item["id"]: item["committed"] for order in orders for item in order["items"]}
