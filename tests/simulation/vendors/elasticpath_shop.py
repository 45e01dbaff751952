"""An Elastic Path store as the shop: a refund names no units, so that only whole orders come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from pydantic import SecretStr

from connectors.elasticpath import sandbox
from connectors.elasticpath.sandbox.entities import Order, OrderItem, Product
from connectors.elasticpath.sandbox.errors import ApiError
from connectors.elasticpath.sandbox.integrations import SECRET, Delivery, Integrations
from connectors.elasticpath.sandbox.orders import Orders
from connectors.elasticpath.sandbox.store import Store
from connectors.elasticpath.settings import ElasticPathChannelSettings
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.sending import Parcel
from tests.simulation.books import Books
from tests.simulation.events import CancelOrder, ChangeOrder, FulfilOrder, LagIndex, PlaceOrder, RefundOrder, TouchOrder
from tests.simulation.shop import SKUS, KnowingShop, Letter, milliseconds, sku_name


class ElasticPathShop(KnowingShop):
    """See `Shop`."""

    name = "elasticpath"
    refusals = (ApiError,)

    def __init__(self, number: int, clock: VirtualClock, books: Books, *, seed: int, random: Random) -> None:
        super().__init__(number, clock, books, seed=seed, random=random)
        self._password, self._secret = f"simulated-shop-secret-{number}", f"simulated-hook-secret-{number}"
        self.app = sandbox.create_app(
            sandbox.Options(
                seed=seed,
                client_id=self.channel,
                client_secret=SecretStr(self._password),
                switches=sandbox.Options().switches.model_copy(
                    update={
                        "order_includes": random.random() < 0.5,
                        "updated_at_sort": random.choice(("refused", "accepted")),
                        "missing_refs": random.choice(("null", "left_out")),
                        "secret_listed": random.random() < 0.5,
                        "event_id": random.choice(("same", "new")),
                    }
                ),
            ),
            clock,
        )
        self._store: Store = self.app.state.store
        self._model: Orders = self.app.state.orders
        self._integrations: Integrations = self.app.state.integrations
        self._products: dict[str, Product] = {}
        for sku in SKUS:
            product = Product(self._store.new_id(), sku, sku, "live", self._store.log.moment())
            self._products[sku] = self._store.products[product.product_id] = product

    @property
    def settings(self) -> ElasticPathChannelSettings:
        return ElasticPathChannelSettings(
            client_id=self.channel,
            client_secret=SecretStr(self._password),
            base_url=f"https://{self.host}",
            refunded="kept",
            webhook_secrets=(SecretStr(self._secret),),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return self._password, self._secret, "Lovelace"

    def _place(self, event: PlaceOrder, random: Random) -> str:
        items = tuple(self._item(sku_name(sku), units) for sku, units in event.lines)
        placed = self._clock.now() - timedelta(days=event.days_ago) if event.days_ago else None
        order = self._model.check_out(items, placed_at=placed)
        self._books.enter(self.channel, order.order_id, milliseconds(order.created_at), old=event.days_ago > 60)
        paying = random.choice(("pay", "pay", "pay", "authorize", "part_pay", ""))
        if paying:
            self._model.step(order.order_id, paying)
        return order.order_id

    def _item(self, sku: str, units: int) -> OrderItem:
        return OrderItem(
            item_id=self._store.new_id(),
            product_id=self._products[sku].product_id,
            sku=sku,
            name=sku,
            quantity=units,
            unit_amount=1000,
            location=None,
        )

    def _change(self, event: ChangeOrder, order: str, random: Random) -> str:
        match event:
            case CancelOrder():
                self._model.step(order, "cancel")
            case RefundOrder():
                self._model.step(order, "refund", amount=None if random.random() < 0.5 else random.randint(1, 500))
            case FulfilOrder():
                self._model.step(order, "fulfil" if self._order(order).payment == "paid" else "pay")
            case TouchOrder():
                self._model.step(order, "touch")
            case _:
                return "cannot be done here"
        return type(event).__name__

    def _order(self, order: str) -> Order:
        found = self._store.order(order)
        assert found is not None, "orders are never deleted"
        return found

    def _lines(self, order: str) -> dict[str, tuple[str, int]]:
        found = self._order(order)
        committed = self._model.committed(found)
        return {item.item_id: (item.sku, committed[item.item_id]) for item in found.items}

    def lag_index(self, event: LagIndex) -> None:
        lag = min(event.seconds, 50.0)
        self._store.switches = self._store.switches.model_copy(update={"order_lag_seconds": lag})

    # --- webhooks ---------------------------------------------------------------------------------------------

    def listen(self, carry: Callable[[Letter], None]) -> None:
        def send(item: Delivery) -> None:
            def pack(attempt: int) -> Parcel:
                return self._integrations.parcel(replace(item, attempt=attempt + 1))

            carry(Letter(item.event, pack))

        self._integrations.send = send  # type: ignore[method-assign]

    def forge(self, parcel: Parcel, luck: Random) -> Parcel:
        headers: dict[str, Any] = {**parcel.headers, SECRET: "not-the-secret-of-this-shop"}
        if luck.random() < 0.3:
            del headers[SECRET]
        return Parcel(parcel.url, headers, parcel.body.replace(self._secret.encode(), b"not-the-secret"))
