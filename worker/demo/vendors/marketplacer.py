"""A Marketplacer site: as the marketplace, on either kind of stock, or as the shop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

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

SET_STATE = "adverts/update"
SELLER = 1
PER_SECOND = 1000
"""A real site grants 50 requests a second; with three calls for each write, that would set the pace of the demo."""


class MarketplacerMarketplace(Marketplace):
    """See `Marketplace`. One seller with variants of its own; a cancelled purchase gives its units back."""

    connector = "marketplacer"
    closes = True
    feed = False
    overwrites = True
    inventory = "variants"

    @property
    def options(self) -> Mapping[str, Any]:
        return {
            "seed": self.seed,
            "api_key": self.secret("marketplace"),
            "per_second": PER_SECOND,
            "lost_after_rate": LOST_AFTER,
            "lost_before_rate": LOST_BEFORE,
            "multi_store": self.inventory == "multi_store",
            "switches": {"refund_restocks": True},
        }

    def account(self, url: str) -> Mapping[str, Option]:
        return {
            "base_url": url,
            "api_key": Secret(self.options["api_key"]),
            "requests_per_second": PER_SECOND,
            "inventory": self.inventory,
            "close_adverts": True,
        }

    def seller(self) -> str | None:
        return None

    def put_on_sale(self, listings: Sequence[Stocked], made_at: datetime) -> None:
        for start in range(0, len(listings), BATCH_LISTINGS):
            batch = [
                {
                    "title": f"Article {listing.title}",
                    "variants": [
                        {
                            "external_id": _variant(listing.listing_id),
                            "sku": listing.title,
                            "records": [{"count_on_hand": listing.opening}],
                        }
                    ],
                }
                for listing in listings[start : start + BATCH_LISTINGS]
            ]
            self.control.post("/adverts", {"adverts": batch})

    def begin(self, listing_id: str, units: int) -> str:
        line = {"variant": _variant(listing_id), "seller_id": SELLER, "quantity": units}
        placed = self.control.post("/purchases", {"purchases": [{"lines": [line], "steps": []}]})
        return str(placed["invoices"][0]["id"])

    def pay(self, purchase: str) -> None:
        self.control.post(f"/invoices/{purchase}/pay")

    def expire(self, purchase: str) -> None:
        self.control.post(f"/invoices/{purchase}/expire")

    def cancel(self, purchase: str) -> None:
        self.control.post(f"/invoices/{purchase}/refund")

    def listings(self) -> Mapping[str, ListingNumbers]:
        return {
            self.listing_id(variant["external_id"]): _numbers(variant, variant["records"][0])
            for variant in self.control.get("/state")["variants"]
        }

    def writes(self, counts: Mapping[str, Any]) -> Writes:
        return self._writes(counts, "variants/update")

    def _writes(self, counts: Mapping[str, Any], write: str) -> Writes:
        outcomes = counts["outcomes"]
        return Writes(
            sent=counts["calls"].get(write, 0),
            applied=outcomes.get(write, {}).get("applied", 0),
            refused=sum(count for outcome, count in outcomes.get(write, {}).items() if outcome != "applied"),
            lost_after=sum(counts["lost_after"].get(write, {}).values()),
            lost_before=counts["lost_before"].get(write, 0),
            closings=outcomes.get(SET_STATE, {}).get("unpublished", 0),
            openings=outcomes.get(SET_STATE, {}).get("published", 0),
        )


class MultiStoreMarketplace(MarketplacerMarketplace):
    """The same with stock in the inventories of a multi-store, of which this seller is the parent."""

    inventory = "multi_store"

    def listing_id(self, article: str) -> str:
        return f"{SELLER}/{article}"

    def writes(self, counts: Mapping[str, Any]) -> Writes:
        return self._writes(counts, "inventories/update")


def _variant(listing_id: str) -> str:
    """The name of the variant, in front of which stands its seller where there are several."""
    return listing_id.rpartition("/")[2]


def _numbers(variant: Mapping[str, Any], record: Mapping[str, Any]) -> ListingNumbers:
    reserved: Counter[str] = Counter()
    for reservation in record["reservations"]:
        reserved[reservation["state"]] += reservation["quantity"]
    return ListingNumbers(
        total=record["count_on_hand"],
        state="published" if variant["published"] else "closed",
        reserved=reserved,
        own_adjustments=record["own_adjustments"],
    )


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
