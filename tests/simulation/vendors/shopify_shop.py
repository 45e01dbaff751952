"""A Shopify shop.

Beside every act the units that must be committed are counted by the few rules of `books`, which know nothing of how
the vendor shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from pydantic import SecretStr

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.sending import Parcel
from connectors.shopify import sandbox
from connectors.shopify.sandbox.commands import (
    CancelSpec,
    EditSpec,
    FulfilSpec,
    LineSpec,
    OrderSpec,
    RefundLineSpec,
    RefundSpec,
    RestockType,
    SetQuantity,
)
from connectors.shopify.sandbox.orders import ImpossibleError, Line, Order
from connectors.shopify.sandbox.sender import RETRIES, WEBHOOK_ID, Delivery, retry_delay_seconds
from connectors.shopify.sandbox.shop import Shop as ShopModel
from connectors.shopify.sandbox.webhooks import SIGNATURE, Webhooks
from connectors.shopify.settings import ShopifySettings
from tests.simulation.books import Books, SoldLine
from tests.simulation.events import (
    CancelOrder,
    ChangeOrder,
    DeleteOrder,
    EditOrder,
    FulfilOrder,
    LagIndex,
    PlaceOrder,
    RefundOrder,
)
from tests.simulation.shop import OLDEST_DELETED_SECONDS, Letter, Shop, sku_name, sku_number

MARKER = "jane.doe@personal.example"
"""Stands for everything personal in an order: it must never be found in the database (P8)."""


class ShopifyShop(Shop):
    """See `Shop`."""

    name = "shopify"

    def __init__(self, number: int, clock: VirtualClock, books: Books, *, seed: int, random: Random) -> None:
        super().__init__(number, clock, books, seed=seed, random=random)
        self._token, self._secret = f"shpat_simulated_{number + 1}", f"simulated-hook-secret-{number + 1}"
        self.app = sandbox.create_app(
            sandbox.Options(
                shop_domain=self.host,
                access_token=SecretStr(self._token),
                client_secret=SecretStr(self._secret),
                seed=seed,
                switches=sandbox.Options().switches.model_copy(
                    update={
                        "connection_cost": random.choice(("logarithmic", "linear")),
                        "edit_removal_refunds": random.random() < 0.3,
                        "current_quantity_after_cancel": random.choice(("zero", "unchanged")),
                        "updated_on_create": random.random() < 0.5,
                        "retry_webhook_id": random.choice(("same", "new")),
                        "payload_utc_offset_minutes": random.choice((0, 60, -300)),
                    }
                ),
            ),
            clock,
        )
        self._model: ShopModel = self.app.state.shop
        self._webhooks: Webhooks = self.app.state.webhooks

    @property
    def host(self) -> str:
        return f"{self.channel}.myshopify.com"

    @property
    def settings(self) -> ShopifySettings:
        return ShopifySettings(
            shop=self.host, access_token=SecretStr(self._token), webhook_secrets=(SecretStr(self._secret),)
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return self._token, self._secret, MARKER

    def place(self, event: PlaceOrder) -> str:
        random = Random(event.seed)
        lines = [(sku, units, units if random.random() < 0.04 else 0) for sku, units in event.lines]
        created = self._clock.now() - timedelta(days=event.days_ago) if event.days_ago else None
        order = self._model.place(
            OrderSpec(
                lines=tuple(
                    LineSpec(sku=sku_name(sku), quantity=units, legacy_restocked=back, title=MARKER)
                    for sku, units, back in lines
                ),
                created_at=created,
                test=event.test,
                tags=(MARKER,),
                financial_status=random.choice(("PAID", "PAID", "PENDING")),
            )
        )
        self.orders[event.order] = order.order_id
        sold = [
            SoldLine(str(line.line_id), sku, ordered=units, back=back)
            for line, (sku, units, back) in zip(order.lines, lines, strict=True)
        ]
        self._books.place(
            self.channel, str(order.order_id), order.created_at, sold, test=event.test, old=event.days_ago > 60
        )
        return f"order {event.order} is {order.order_id}: {self._said(order)}"

    def change(self, event: ChangeOrder) -> str:
        order_id = self.orders.get(event.order)
        order = None if order_id is None else self._model.orders.get(order_id)
        if order is None:
            return "no such order"
        random = Random(event.seed)
        try:
            match event:
                case EditOrder():
                    said = self._edit(order, random)
                case CancelOrder():
                    said = self._cancel(order, random)
                case RefundOrder():
                    said = self._refund(order, random)
                case FulfilOrder():
                    self._model.fulfil(order.order_id, FulfilSpec())
                    said = "fulfilled"
                case DeleteOrder():
                    if self._model.now() - order.created_at > OLDEST_DELETED_SECONDS:
                        return "too old"
                    self._model.delete(order.order_id)
                    self._books.delete(self.channel, str(order.order_id))
                    return "deleted"
                case _:
                    self._model.touch(order.order_id)
                    said = "touched"
        except ImpossibleError as error:
            return f"impossible: {error}"
        return f"{said}: {self._said(order)}"

    def _edit(self, order: Order, random: Random) -> str:
        set_to: list[tuple[Line, int, int]] = []
        for line in order.lines:
            if random.random() < 0.6:
                wanted = max(line.fulfilled, random.randint(0, line.current + 2))
                if wanted != line.current:
                    set_to.append((line, wanted, wanted - line.current))
        added = [(sku_number(order.lines[0].sku), random.randint(1, 2))] if random.random() < 0.3 else []
        if not set_to and not added:
            return "nothing to edit"
        before = len(order.lines)
        self._model.edit(
            order.order_id,
            EditSpec(
                set=tuple(SetQuantity(line_id=line.line_id, quantity=wanted) for line, wanted, _ in set_to),
                add=tuple(LineSpec(sku=sku_name(sku), quantity=units) for sku, units in added),
            ),
        )
        with self._books.changing(self.channel, str(order.order_id)) as sold:
            for line, _, moved in set_to:
                if moved > 0:
                    sold[str(line.line_id)].ordered += moved
                else:
                    sold[str(line.line_id)].back -= moved
            for line, (sku, units) in zip(order.lines[before:], added, strict=True):
                sold[str(line.line_id)] = SoldLine(str(line.line_id), sku, ordered=units)
        return "edited"

    def _cancel(self, order: Order, random: Random) -> str:
        refund = random.random() < 0.6
        restock = not refund or random.random() < 0.7
        left = {str(line.line_id): line.current for line in order.lines}
        self._model.cancel(order.order_id, CancelSpec(restock=restock, refund=refund))
        if restock:
            with self._books.changing(self.channel, str(order.order_id)) as sold:
                for line_id, units in left.items():
                    sold[line_id].back += units
        return f"cancelled, {'put back' if restock else 'kept'}"

    def _refund(self, order: Order, random: Random) -> str:
        parts: list[RefundLineSpec] = []
        back: dict[str, int] = {}
        for line in order.lines:
            if not line.current or random.random() < 0.3:
                continue
            kinds = [RestockType.NO_RESTOCK, RestockType.RETURN]
            if line.unfulfilled:
                kinds.append(RestockType.CANCEL)
            kind = random.choice(kinds)
            most = line.unfulfilled if kind is RestockType.CANCEL else line.current
            units = random.randint(1, most)
            part = {"line_id": line.line_id, "quantity": units, "restock_type": kind}
            parts.append(RefundLineSpec.model_validate(part))
            if kind is not RestockType.NO_RESTOCK:
                back[str(line.line_id)] = units
        self._model.refund(order.order_id, RefundSpec(lines=tuple(parts), note=MARKER))
        with self._books.changing(self.channel, str(order.order_id)) as sold:
            for line_id, units in back.items():
                sold[line_id].back += units
        return f"refunded {', '.join(f'{part.quantity} {part.restock_type.value}' for part in parts) or 'money'}"

    def lag_index(self, event: LagIndex) -> None:
        self._model.turn(self._model.switches.model_copy(update={"index_lag_seconds": (0.0, event.seconds)}))

    def listen(self, carry: Callable[[Letter], None]) -> None:
        def accept(delivery: Delivery, **_timing: Any) -> None:
            topic = delivery.headers["X-Shopify-Topic"]
            parcel = Parcel(delivery.url, delivery.headers, delivery.body)
            carry(Letter(topic, lambda _attempt: parcel, deletes=topic == "orders/delete"))

        self._webhooks.sender.accept = accept  # type: ignore[method-assign]

    def cut(self, parcel: Parcel) -> Parcel:
        half = super().cut(parcel)
        return replace(half, headers={**half.headers, SIGNATURE: self._webhooks.sign(half.body)})

    def forge(self, parcel: Parcel, luck: Random) -> Parcel:
        body = parcel.body.replace(b'"quantity":', b'"quantity":9', 1) + b" "
        headers = {**parcel.headers, WEBHOOK_ID: f"forged-{luck.getrandbits(32)}"}
        if luck.random() < 0.3:
            del headers[SIGNATURE]
        return Parcel(parcel.url, headers, body)

    def retry_after_seconds(self, attempt: int) -> float | None:
        return retry_delay_seconds(attempt) if attempt <= RETRIES else None

    def committed(self) -> Iterator[tuple[str, str, int]]:
        for order in self._model.orders.values():
            for line in order.lines:
                yield str(order.order_id), str(line.line_id), line.committed

    def _said(self, order: Order) -> str:
        return ", ".join(f"{line.sku} {line.committed}/{line.ordered}" for line in order.lines)
