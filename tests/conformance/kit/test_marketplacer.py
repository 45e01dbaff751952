"""The kit over Marketplacer: a seller's variants, a multi-store's inventories, and its invoices."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import count
from typing import Any, ClassVar

from connectors.contract import Channel, Marketplace
from connectors.http import Toolbox
from connectors.marketplacer.sandbox import Options, create_app
from connectors.testing import ChannelKit, Delivery, MarketplaceKit, Sold
from tests.conformance.kit.served import Served, installed, served

SECRET = "a-secret-of-this-channel"


class MarketplacerSandbox(Served):
    def account(self) -> dict[str, Any]:
        return {"api_key": self.options.api_key, "base_url": self.url}

    def advert(self, name: str, **record: Any) -> None:
        variant = {"external_id": name, "sku": f"sku-{name}", "records": [record]}
        self.control("/adverts", {"adverts": [{"variants": [variant]}]})

    def revoke(self) -> None:
        self.control("/sellers/1/key", {"api_key": "another-key-altogether"})


class InvoicesSandbox(MarketplacerSandbox):
    missing_order = "4711"
    signs_body = False
    enumerations = ("status",)
    hides_changes = "no invoice shows when it was changed, only when it was paid"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._known: set[str] = set()

    def open(self, toolbox: Toolbox) -> Channel:
        found = installed("marketplacer")
        assert found.channel_settings
        assert found.open_channel
        given = {**self.account(), "webhook_secrets": [SECRET], "refunded": "returned"}
        return found.open_channel("shop", found.channel_settings.model_validate(given), toolbox)

    def place(self, *lines: Sold) -> str:
        for line in lines:
            if line.sku not in self._known:
                self.advert(line.sku, count_on_hand=10_000_000)
                self._known.add(line.sku)
        purchase = {"lines": [{"variant": line.sku, "quantity": line.quantity} for line in lines]}
        return str(self.control("/purchases", {"purchases": [purchase]})["invoices"][0]["id"])

    def committed(self, order_id: str) -> Mapping[str, int]:
        return {line["external_id"]: line["committed"] for line in self.look(f"/invoices/{order_id}")["lines"]}

    def touch(self, order_id: str) -> None:
        self.control(f"/invoices/{order_id}/touch")

    def cancel(self, order_id: str) -> None:
        for line in self.look(f"/invoices/{order_id}")["lines"]:
            self.control(f"/invoices/{order_id}/cancel", {"line_id": line["id"]})

    def lag(self, seconds: float) -> None:
        self.control("/switches", {"list_lag_seconds": seconds})

    def tell(self) -> None:
        self.control("/webhooks", {"url": self.receiver.url, "headers": {"auth-key": SECRET}})

    def signed(self, like: Delivery, body: bytes) -> Delivery:
        return Delivery(like.headers, body)


class StockSandbox(MarketplacerSandbox):
    missing_listing = "NOTHING"
    inventory: ClassVar[str] = "variants"
    prefix: ClassVar[str] = ""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._names = count(1)

    def open(self, toolbox: Toolbox) -> Marketplace:
        found = installed("marketplacer")
        assert found.marketplace_settings
        assert found.open_marketplace
        given = {**self.account(), "inventory": self.inventory, "close_adverts": True}
        return found.open_marketplace(found.marketplace_settings.model_validate(given), toolbox)

    def offer(self, total: int) -> str:
        name = f"V{next(self._names)}"
        self.advert(name, count_on_hand=total)
        return self.prefix + name

    def offer_unlimited(self) -> str:
        name = f"V{next(self._names)}"
        self.advert(name, infinite=True)
        return self.prefix + name

    def total(self, listing_id: str) -> int:
        return int(self._variant(listing_id)["records"][0]["count_on_hand"])

    def buy(self, listing_id: str, quantity: int) -> None:
        line = {"variant": listing_id.rpartition("/")[2], "quantity": quantity}
        self.control("/purchases", {"purchases": [{"lines": [line]}]})

    def edit_total(self, listing_id: str, total: int) -> None:
        self.control(f"/variants/{listing_id.rpartition('/')[2]}/edit", {"count_on_hand": total})

    def remove(self, listing_id: str) -> None:
        self.control(f"/variants/{listing_id.rpartition('/')[2]}/delete")

    def on_sale(self, listing_id: str) -> bool:
        return bool(self._variant(listing_id)["published"])

    def _variant(self, listing_id: str) -> Any:
        return self.look(f"/variants/{listing_id.rpartition('/')[2]}")


class MultiStoreSandbox(StockSandbox):
    missing_listing = "1/NOTHING"
    inventory: ClassVar[str] = "multi_store"
    prefix: ClassVar[str] = "1/"


class TestMarketplacer(ChannelKit):
    not_shown = (
        "CanDelete",
        "CanEdit",
        "CanExpire",
        "CanGiveBack",
        "revisions",
        "test_a_body_that_was_tampered_with_is_refused",
        "test_what_is_told_and_what_is_read_agree",
    )

    def sandbox(self) -> AbstractContextManager[InvoicesSandbox]:
        return served(InvoicesSandbox, Options(), create_app)


class TestMarketplacerStock(MarketplaceKit):
    not_shown = ("CanExpire", "CanNameEnumerations", "CanOfferUndefined", "Feed", "Ledger")

    def sandbox(self) -> AbstractContextManager[StockSandbox]:
        return served(StockSandbox, Options(), create_app)


class TestMarketplacerMultiStoreStock(MarketplaceKit):
    not_shown = ("CanExpire", "CanNameEnumerations", "CanOfferUndefined", "Feed", "Ledger")

    def sandbox(self) -> AbstractContextManager[MultiStoreSandbox]:
        return served(MultiStoreSandbox, Options(multi_store=True), create_app)
