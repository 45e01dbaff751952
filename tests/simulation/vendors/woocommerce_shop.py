"""A WooCommerce shop, which counts the stock of what it sells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from pydantic import SecretStr

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.sending import Parcel
from connectors.woocommerce import sandbox
from connectors.woocommerce.sandbox.commands import (
    EditSpec,
    LineSpec,
    OrderSpec,
    ProductSpec,
    RefundLineSpec,
    RefundSpec,
    SetQuantity,
)
from connectors.woocommerce.sandbox.model import REDUCING, ImpossibleError, Line
from connectors.woocommerce.sandbox.sender import Task
from connectors.woocommerce.sandbox.shop import Shop as ShopModel
from connectors.woocommerce.sandbox.webhooks import SIGNATURE, Webhooks, sign
from connectors.woocommerce.settings import WooCommerceSettings
from tests.simulation.books import Books
from tests.simulation.events import (
    CancelOrder,
    ChangeOrder,
    DeleteOrder,
    EditOrder,
    FulfilOrder,
    PlaceOrder,
    RefundOrder,
)
from tests.simulation.shop import OLDEST_DELETED_SECONDS, SKUS, KnowingShop, Letter, sku_name

YOUNGEST_TRASHED_SECONDS = 3600
"""What is in the trash is not listed, and keeps its units: of what is thrown there before it was ever read, nobody can
know. A known limit.
"""


class WooCommerceShop(KnowingShop):
    """See `Shop`."""

    name = "woocommerce"
    refusals = (ImpossibleError,)

    def __init__(self, number: int, clock: VirtualClock, books: Books, *, seed: int, random: Random) -> None:
        super().__init__(number, clock, books, seed=seed, random=random)
        self._key, self._password = f"ck_simulated_{number}", f"cs_simulated_{number}"
        self._secret = f"simulated-hook-secret-{number}"
        self.app = sandbox.create_app(
            sandbox.Options(
                site=f"https://{self.host}",
                consumer_key=SecretStr(self._key),
                consumer_secret=SecretStr(self._password),
                seed=seed,
                switches=sandbox.Options().switches.model_copy(
                    update={
                        "modified_after_inclusive": random.random() < 0.5,
                        "modified_before_inclusive": random.random() < 0.5,
                        "orderby_modified": random.random() < 0.85,
                        "fields": random.random() < 0.7,
                        "ping_on_rest": False,
                    }
                ),
            ),
            clock,
        )
        self._model: ShopModel = self.app.state.shop
        self._webhooks: Webhooks = self.app.state.webhooks
        for sku in SKUS:
            self._model.add_product(ProductSpec(sku=sku))

    @property
    def settings(self) -> WooCommerceSettings:
        return WooCommerceSettings(
            site=f"https://{self.host}",
            consumer_key=SecretStr(self._key),
            consumer_secret=SecretStr(self._password),
            webhook_secrets=(SecretStr(self._secret),),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return self._key, self._password, self._secret, "Lovelace"

    def _place(self, event: PlaceOrder, random: Random) -> int:
        created = self._clock.now() - timedelta(days=event.days_ago) if event.days_ago else None
        lines = tuple(LineSpec(sku=sku_name(sku), quantity=units) for sku, units in event.lines)
        status = random.choice(("processing", "processing", "on-hold", "pending"))
        order = self._model.place(OrderSpec(lines=lines, created_at=created, status=status))
        self._books.enter(self.channel, str(order.order_id), order.created_at, old=event.days_ago > 60)
        return order.order_id

    def _change(self, event: ChangeOrder, order: int, random: Random) -> str:
        model = self._model
        match event:
            case EditOrder():
                return self._edit(order, random)
            case CancelOrder():
                model.set_status(order, "cancelled")
                return "cancelled"
            case RefundOrder():
                return self._refund(order, random)
            case FulfilOrder():
                model.set_status(order, "completed")
                return "completed"
            case DeleteOrder():
                age = model.now() - model.order(order).created_at
                if age > OLDEST_DELETED_SECONDS:
                    return "too old"
                model.delete(order, force=age < YOUNGEST_TRASHED_SECONDS or random.random() < 0.6)
                return "deleted"
            case _:
                model.touch(order)
                return "touched"

    def _edit(self, order: int, random: Random) -> str:
        changes = [
            SetQuantity(line_id=line.line_id, quantity=random.randint(line.refunded, line.quantity + 2))
            for line in self._model.order(order).lines
            if random.random() < 0.6
        ]
        added = [LineSpec(sku=random.choice(SKUS), quantity=random.randint(1, 2))] if random.random() < 0.3 else []
        self._model.edit(order, EditSpec(set=tuple(changes), add=tuple(added)))
        return "edited"

    def _refund(self, order: int, random: Random) -> str:
        parts = [
            RefundLineSpec(line_id=line.line_id, quantity=random.randint(1, line.quantity - line.refunded))
            for line in self._model.order(order).lines
            if line.quantity > line.refunded and random.random() < 0.7
        ]
        back = random.random() < 0.6
        self._model.refund(order, RefundSpec(lines=tuple(parts), restock=back))
        return f"refunded {len(parts)} lines, {'put back' if back else 'kept'}"

    def _lines(self, order: int) -> dict[str, tuple[str, int]] | None:
        """What the shop booked for each line and did not put back; of a line that it has not booked, what it sells."""
        found = self._model.orders.get(order)
        if found is None:
            return None
        sells = found.status in REDUCING
        return {
            str(line.line_id): (
                line.product.sku,
                _unbooked(line, sells=sells) if line.reduced is None else line.reduced,
            )
            for line in found.lines
        }

    # --- webhooks ---------------------------------------------------------------------------------------------

    def listen(self, carry: Callable[[Letter], None]) -> None:
        def accept(task: Task, **_timing: Any) -> None:
            assert task.webhook is not None, "the shop sends nothing but its own"
            topic = task.webhook.topic

            def pack(_attempt: int) -> Parcel | None:
                return task.pack()

            carry(Letter(topic, pack, deletes=topic == "order.deleted"))

        self._webhooks.sender.accept = accept  # type: ignore[method-assign]

    def cut(self, parcel: Parcel) -> Parcel:
        half = super().cut(parcel)
        return replace(half, headers={**half.headers, SIGNATURE: sign(half.body, self._secret.encode())})

    def forge(self, parcel: Parcel, luck: Random) -> Parcel:
        body = parcel.body.replace(b'"quantity":', b'"quantity":9', 1) + b" "
        headers = {**parcel.headers, SIGNATURE: sign(body, b"not the secret of this shop")}
        if luck.random() < 0.3:
            del headers[SIGNATURE]
        return Parcel(parcel.url, headers, body)

    def retry_after_seconds(self, attempt: int) -> float | None:
        """It is sent once."""
        return None


def _unbooked(line: Line, *, sells: bool) -> int:
    return max(0, line.quantity - line.refunded) if sells else 0
