"""The kit over Elastic Path: both flavours of its inventory, and its orders."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from connectors.contract import Channel, Marketplace
from connectors.elasticpath import ElasticPathChannel
from connectors.elasticpath.sandbox import Options, create_app
from connectors.http import Toolbox
from connectors.testing import ChannelKit, Delivery, MarketplaceKit, Sold
from tests.conformance.kit.served import Served, installed, served

SECRET = "a-secret-of-this-channel"
MISSING = "00000000-0000-4000-8000-000000000000"


class ElasticPathSandbox(Served):
    missing_order = MISSING
    missing_listing = MISSING
    signs_body = False

    def account(self) -> dict[str, Any]:
        return {
            "client_id": self.options.client_id,
            "client_secret": self.options.client_secret,
            "base_url": self.url,
            "environment": self.options.profile,
        }

    def expire(self) -> None:
        self.control("/tokens/expire")


class OrdersSandbox(ElasticPathSandbox):
    enumerations = ("status", "payment", "shipping")

    def open(self, toolbox: Toolbox) -> Channel:
        found = installed("elasticpath")
        assert found.channel_settings
        assert found.open_channel
        settings = found.channel_settings.model_validate({**self.account(), "webhook_secrets": [SECRET]})
        return found.open_channel("shop", settings, toolbox)

    def place(self, *lines: Sold) -> str:
        items = [{"sku": line.sku, "quantity": line.quantity} for line in lines]
        return str(self.control("/orders", {"orders": [{"items": items}]})["orders"][0]["id"])

    def committed(self, order_id: str) -> Mapping[str, int]:
        return {item["sku"]: item["committed"] for item in self.look(f"/orders/{order_id}")["items"]}

    def touch(self, order_id: str) -> None:
        self.control(f"/orders/{order_id}/touch")

    def cancel(self, order_id: str) -> None:
        self.control(f"/orders/{order_id}/cancel")

    def lag(self, seconds: float) -> None:
        self.control("/switches", {"order_lag_seconds": seconds})

    def tell(self) -> None:
        channel = self.open(self.plain_toolbox())
        assert isinstance(channel, ElasticPathChannel)
        channel.subscribe(self.receiver.url)
        channel.close()

    def signed(self, like: Delivery, body: bytes) -> Delivery:
        return Delivery(like.headers, body)


class StockSandbox(ElasticPathSandbox):
    flavour: ClassVar[dict[str, Any]] = {}

    def open(self, toolbox: Toolbox) -> Marketplace:
        found = installed("elasticpath")
        assert found.marketplace_settings
        assert found.open_marketplace
        settings = found.marketplace_settings.model_validate(
            {**self.account(), "close_by_status": True, **self.flavour}
        )
        return found.open_marketplace(settings, toolbox)

    def offer(self, total: int) -> str:
        return self._product(stock=total)

    def total(self, listing_id: str) -> int:
        return int(self.look(f"/products/{listing_id}")["available"])

    def offer_unlimited(self) -> str:
        return self._product(stock=None)

    def buy(self, listing_id: str, quantity: int) -> None:
        self.control("/orders", {"orders": [{"items": [{"product_id": listing_id, "quantity": quantity}]}]})

    def edit_total(self, listing_id: str, total: int) -> None:
        change = total - self.total(listing_id)
        action = "increment" if change > 0 else "decrement"
        self.control(f"/products/{listing_id}/act", {"action": action, "quantity": abs(change)})

    def remove(self, listing_id: str) -> None:
        self.control(f"/products/{listing_id}/delete")

    def on_sale(self, listing_id: str) -> bool:
        return bool(self.look(f"/products/{listing_id}")["status"] == "live")

    def _product(self, **details: Any) -> str:
        return str(self.control("/products", {"products": [details]})["products"][0]["id"])


class MultiLocationSandbox(StockSandbox):
    flavour: ClassVar[dict[str, Any]] = {"inventory": "multi_location"}


class LocationSandbox(StockSandbox):
    """One location of several counts."""

    # What moved stock of no location moved none of this one.
    left_out = ("data.attributes.location",)

    flavour: ClassVar[dict[str, Any]] = {"inventory": "multi_location", "location": "york"}

    def offer(self, total: int) -> str:
        return self._product(locations={"york": total, "hull": 50})

    def offer_undefined(self) -> str:
        return self._product(locations={"hull": 50})

    def total(self, listing_id: str) -> int:
        return int(self.look(f"/products/{listing_id}")["locations"]["york"])

    def buy(self, listing_id: str, quantity: int) -> None:
        item = {"product_id": listing_id, "quantity": quantity, "location": "york"}
        self.control("/orders", {"orders": [{"items": [item]}]})

    def edit_total(self, listing_id: str, total: int) -> None:
        change = total - self.total(listing_id)
        action = "increment" if change > 0 else "decrement"
        act = {"action": action, "quantity": abs(change), "location": "york"}
        self.control(f"/products/{listing_id}/act", act)


class TestElasticPath(ChannelKit):
    not_shown = (
        "CanDelete",
        "CanEdit",
        "CanGiveBack",
        "CanRevoke",
        "test_a_body_that_was_tampered_with_is_refused",
        "test_what_is_told_and_what_is_read_agree",
    )

    def sandbox(self) -> AbstractContextManager[OrdersSandbox]:
        return served(OrdersSandbox, Options(), create_app)


class TestElasticPathStock(MarketplaceKit):
    not_shown = ("CanNameEnumerations", "CanOfferUndefined", "CanRevoke", "Feed", "Sales")

    def sandbox(self) -> AbstractContextManager[StockSandbox]:
        return served(StockSandbox, Options(), create_app)


class TestElasticPathMultiLocationStock(MarketplaceKit):
    not_shown = ("CanNameEnumerations", "CanOfferUndefined", "CanRevoke", "Feed", "Sales")

    def sandbox(self) -> AbstractContextManager[MultiLocationSandbox]:
        return served(MultiLocationSandbox, Options(), create_app)


class TestElasticPathOneLocationStock(MarketplaceKit):
    not_shown = ("CanNameEnumerations", "CanRevoke", "Feed", "Sales")

    def sandbox(self) -> AbstractContextManager[LocationSandbox]:
        return served(LocationSandbox, Options(), create_app)
