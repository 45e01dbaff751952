"""The kit over Sharetribe: its stock, and its own transactions as a channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from connectors.contract import Channel, Marketplace
from connectors.http import Toolbox
from connectors.sharetribe.sandbox import Options, create_app
from connectors.testing import ChannelKit, MarketplaceKit, NotShown, Sold
from tests.conformance.kit.served import Served, installed, served

MISSING = "00000000-0000-4000-8000-000000000000"


class SharetribeSandbox(Served):
    missing_order = MISSING
    missing_listing = MISSING

    def account(self) -> dict[str, Any]:
        return {
            "client_id": self.options.client_id,
            "client_secret": self.options.client_secret,
            "base_url": self.url,
            "environment": self.options.profile.value,
        }

    def expire(self) -> None:
        self.control("/tokens/expire", {"refresh_tokens": True})

    def listing(self, stock: int | str | None, **details: Any) -> str:
        made = self.control("/listings", {"listings": [{"title": "Mug", "stock": stock, **details}]})
        return str(made["listings"][0]["id"])


class SalesSandbox(SharetribeSandbox):
    enumerations = ("state",)
    # A transaction without a reservation is an inquiry.
    left_out = ("relationships.stockReservation", "relationships.stockReservation.data")

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._left: dict[str, Iterator[str]] = {}

    def open(self, toolbox: Toolbox) -> Channel:
        found = installed("sharetribe")
        assert found.channel_settings
        assert found.open_channel
        settings = found.channel_settings.model_validate({**self.account(), "sku_key": "publicData.sku"})
        return found.open_channel("market", settings, toolbox)

    def place(self, *lines: Sold) -> str:
        if len(lines) > 1:
            raise NotShown("a transaction has one line")
        (line,) = lines
        listing_id = self.listing(1_000_000, public_data={"sku": line.sku})
        sale = self.control("/purchases", {"listing_id": listing_id, "quantity": line.quantity})
        self.control(f"/purchases/{sale['id']}/pay")
        return str(sale["id"])

    def committed(self, order_id: str) -> Mapping[str, int]:
        state = self.look("/state?adjustments=false")
        sold = next(each for each in state["reservations"] if each["transaction_id"] == order_id)
        listing = next(each for each in state["listings"] if each["id"] == sold["listing_id"])
        return {listing["public_data"]["sku"]: sold["quantity"] if sold["holding"] else 0}

    def touch(self, order_id: str) -> None:
        # What moves no units; after that nothing is left to happen.
        step = next(self._left.setdefault(order_id, iter(("deliver", "dispute"))), None)
        if step:
            self.control(f"/purchases/{order_id}/{step}")

    def cancel(self, order_id: str) -> None:
        self.control(f"/purchases/{order_id}/cancel")


class StockSandbox(SharetribeSandbox):
    enumerations = ("state",)

    def open(self, toolbox: Toolbox) -> Marketplace:
        found = installed("sharetribe")
        assert found.marketplace_settings
        assert found.open_marketplace
        return found.open_marketplace(found.marketplace_settings.model_validate(self.account()), toolbox)

    def offer(self, total: int) -> str:
        return self.listing(total)

    def total(self, listing_id: str) -> int:
        return int(self.look(f"/listings/{listing_id}")["total"])

    def offer_unlimited(self) -> str:
        return self.listing("unlimited")

    def offer_undefined(self) -> str:
        return self.listing(None)

    def buy(self, listing_id: str, quantity: int) -> None:
        sale = self.control("/purchases", {"listing_id": listing_id, "quantity": quantity})
        self.control(f"/purchases/{sale['id']}/pay")

    def edit_total(self, listing_id: str, total: int) -> None:
        self.control(f"/listings/{listing_id}/stock", {"set": total})

    def remove(self, listing_id: str) -> None:
        self.control(f"/listings/{listing_id}/delete")

    def on_sale(self, listing_id: str) -> bool:
        return bool(self.look(f"/listings/{listing_id}")["state"] == "published")

    def distract(self) -> None:
        self.control("/events", {"event_type": "listing/archived"})


class TestSharetribe(ChannelKit):
    not_shown = (
        "CanDelete",
        "CanEdit",
        "CanGiveBack",
        "CanLag",
        "CanRevoke",
        "Hooks",
        "test_an_order_of_several_lines_is_whole",
    )

    def sandbox(self) -> AbstractContextManager[SalesSandbox]:
        return served(SalesSandbox, Options(), create_app)


class TestSharetribeStock(MarketplaceKit):
    not_shown = ("CanRevoke", "Sales")

    def sandbox(self) -> AbstractContextManager[StockSandbox]:
        return served(StockSandbox, Options(), create_app)
