"""A Sharetribe marketplace, in the profile of a live environment."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

from worker.demo.catalogue import Stocked
from worker.demo.proof import TAKING, ListingNumbers
from worker.demo.replay import PlaceOrder
from worker.demo.vendors.base import (
    BATCH_LISTINGS,
    LOST_AFTER,
    LOST_BEFORE,
    Channel,
    Marketplace,
    Option,
    Secret,
    Webhooks,
    Writes,
)

WRITE = "stock/compare_and_set"
PLENTY = 10**9
"""Of everything that is sold where somebody else keeps the stock."""


class SharetribeMarketplace(Marketplace):
    """See `Marketplace`."""

    connector = "sharetribe"
    closes = True
    feed = True

    @property
    def options(self) -> Mapping[str, Any]:
        return {
            "profile": "live",
            "seed": self.seed,
            "client_id": "d3300000-0000-4000-8000-000000000001",
            "client_secret": self.secret("marketplace"),
            "lost_after_rate": LOST_AFTER,
            "lost_before_rate": LOST_BEFORE,
        }

    def account(self, url: str) -> Mapping[str, Option]:
        return {
            "base_url": url,
            "client_id": self.options["client_id"],
            "client_secret": Secret(self.options["client_secret"]),
        }

    def seller(self) -> str | None:
        return str(self.control.get("/state", adjustments="false")["provider_id"])

    def put_on_sale(self, listings: Sequence[Stocked], made_at: datetime) -> None:
        for start in range(0, len(listings), BATCH_LISTINGS):
            batch = [
                {
                    "id": listing.listing_id,
                    "title": f"Article {listing.title}",
                    "stock": listing.opening,
                    "created_at": made_at.isoformat(),
                    "metadata": {"sku": listing.title},
                }
                for listing in listings[start : start + BATCH_LISTINGS]
            ]
            self.control.post("/listings", {"listings": batch, "events": False})

    def begin(self, listing_id: str, units: int) -> str:
        return str(self.control.post("/purchases", {"listing_id": listing_id, "quantity": units})["id"])

    def pay(self, purchase: str) -> None:
        self.control.post(f"/purchases/{purchase}/pay")

    def expire(self, purchase: str) -> None:
        self.control.post(f"/purchases/{purchase}/expire")

    def cancel(self, purchase: str) -> None:
        self.control.post(f"/purchases/{purchase}/cancel")

    def listings(self) -> Mapping[str, ListingNumbers]:
        state = self.control.get("/state")
        reserved: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for reservation in state["reservations"]:
            reserved[reservation["listing_id"]][reservation["state"]] += reservation["quantity"]
        own: Counter[str] = Counter()
        for adjustment in state["adjustments"]:
            if adjustment["own"]:
                own[adjustment["listing_id"]] += adjustment["quantity"]
        return {
            listing["id"]: ListingNumbers(
                total=listing["total"],
                state="deleted" if listing["deleted"] else listing["state"],
                reserved=reserved[listing["id"]],
                own_adjustments=own[listing["id"]],
            )
            for listing in state["listings"]
        }

    def writes(self, counts: Mapping[str, Any]) -> Writes:
        outcomes, lost = counts["outcomes"], counts["faults"].get(WRITE, {})
        return Writes(
            sent=counts["calls"].get(WRITE, 0),
            applied=outcomes.get(WRITE, {}).get("applied", 0),
            refused=outcomes.get(WRITE, {}).get("old-total-mismatch", 0),
            lost_after=lost.get("drop_after", 0),
            lost_before=lost.get("drop_before", 0),
            closings=outcomes.get("listings/close", {}).get("ok", 0),
            openings=outcomes.get("listings/open", {}).get("ok", 0),
        )


class SharetribeShop(Channel):
    """See `Channel`. A sale is a transaction, with one line and no webhooks; it can only be cancelled as a whole."""

    connector = "sharetribe"
    returns_units = False
    lines_per_order = 1

    @property
    def options(self) -> Mapping[str, Any]:
        return {
            "profile": "live",
            "seed": self.seed + 1,
            "client_id": "d3300000-0000-4000-8000-000000000002",
            "client_secret": self.secret("shop"),
        }

    def account(self, url: str) -> Mapping[str, Option]:
        return {
            "base_url": url,
            "client_id": self.options["client_id"],
            "client_secret": Secret(self.options["client_secret"]),
            "sku_key": "metadata.sku",
        }

    def stock(self, skus: Sequence[str]) -> None:
        random = Random(f"listings {self.seed}")
        self._listing_of = {sku: str(UUID(int=random.getrandbits(128), version=4)) for sku in skus}
        for start in range(0, len(skus), BATCH_LISTINGS):
            batch = [
                {"id": self._listing_of[sku], "title": sku, "stock": PLENTY, "metadata": {"sku": sku}}
                for sku in skus[start : start + BATCH_LISTINGS]
            ]
            self.control.post("/listings", {"listings": batch})

    def place(self, orders: Sequence[PlaceOrder]) -> Sequence[tuple[str, Sequence[str]]]:
        return [self._place(order) for order in orders]

    def _place(self, order: PlaceOrder) -> tuple[str, Sequence[str]]:
        (line,) = order.lines
        asked = {"listing_id": self._listing_of[line.sku], "quantity": line.units}
        begun = self.control.post("/purchases", asked)
        self.control.post(f"/purchases/{begun['id']}/pay")
        return str(begun["id"]), [str(begun["reservation_id"])]

    def give_back(self, order_id: str, parts: Mapping[str, int]) -> None:
        self.control.post(f"/purchases/{order_id}/cancel")

    def committed(self) -> Mapping[str, int]:
        """By the marketplace's own books of what is reserved."""
        reservations = self.control.get("/state")["reservations"]
        return {each["id"]: each["quantity"] if each["state"] in TAKING else 0 for each in reservations}

    def pending(self) -> Mapping[str, int]:
        return {"queued": 0, "in_flight": 0}

    def webhooks(self, counts: Mapping[str, Any]) -> Webhooks:
        return Webhooks(0, 0, 0)
