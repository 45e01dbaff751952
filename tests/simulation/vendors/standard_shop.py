"""Any shop that signs and sends our own format, and can be read for what its messages lose."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from pydantic import SecretStr

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.sending import Parcel
from connectors.standard import StandardSettings, sandbox
from connectors.standard.sandbox.commands import ChangeSpec, EditSpec, LineSpec, OrderSpec, UnitsSpec
from connectors.standard.sandbox.messages import Messages, sign
from connectors.standard.sandbox.sender import Task
from connectors.standard.sandbox.shop import ImpossibleError
from connectors.standard.sandbox.shop import Shop as ShopModel
from tests.simulation.books import Books
from tests.simulation.events import CancelOrder, ChangeOrder, DeleteOrder, EditOrder, LagIndex, PlaceOrder, RefundOrder
from tests.simulation.shop import OLDEST_DELETED_SECONDS, KnowingShop, Letter, sku_name

FOREIGN = base64.b64encode(b"nobody has told us this secret..").decode()


class StandardShop(KnowingShop):
    """See `Shop`."""

    name = "standard"
    tells_deletions = False
    refusals = (ImpossibleError,)

    def __init__(self, number: int, clock: VirtualClock, books: Books, *, seed: int, random: Random) -> None:
        super().__init__(number, clock, books, seed=seed, random=random)
        self._secret = f"whsec_{base64.b64encode(f'simulated hook secret {number}....'.encode()).decode()}"
        self._token = f"simulated-token-{number}"
        self._versions = random.random() < 0.7
        self.app = sandbox.create_app(
            sandbox.Options(
                secret=SecretStr(self._secret),
                token=SecretStr(self._token),
                seed=seed,
                switches=sandbox.Options().switches.model_copy(
                    update={"versions": self._versions, "dated": random.random() < 0.7}
                ),
            ),
            clock,
        )
        self._model: ShopModel = self.app.state.shop
        self._messages: Messages = self.app.state.messages

    @property
    def settings(self) -> StandardSettings:
        return StandardSettings(
            webhook_secrets=(SecretStr(self._secret),),
            orders_url=f"https://{self.host}/orders",
            orders_token=SecretStr(self._token),
            ordered_by="version" if self._versions else "updated_at",
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return self._secret, self._token, "Lovelace"

    def _place(self, event: PlaceOrder, random: Random) -> str:
        created = self._clock.now() - timedelta(days=event.days_ago) if event.days_ago else None
        lines = tuple(LineSpec(sku=sku_name(sku), quantity=units) for sku, units in event.lines)
        order = self._model.place(OrderSpec(lines=lines, created_at=created))
        self._books.enter(self.channel, order.order_id, order.placed_at.timestamp(), old=event.days_ago > 60)
        return order.order_id

    def _change(self, event: ChangeOrder, order: str, random: Random) -> str:
        model = self._model
        match event:
            case EditOrder():
                return self._edit(order, random)
            case CancelOrder():
                model.cancel(order)
            case RefundOrder():
                parts = [
                    UnitsSpec(line_id=line.line_id, quantity=random.randint(1, line.gone))
                    for line in model.order(order).lines
                    if line.gone and random.random() < 0.7
                ]
                back = random.choice((model.restock, model.cancel_units))
                back(order, ChangeSpec(lines=tuple(parts)))
            case DeleteOrder():
                age = (self._clock.now() - model.order(order).placed_at).total_seconds()
                if not self.deletions_are_found or age > OLDEST_DELETED_SECONDS:
                    return "stays: nobody would learn of it"
                model.delete(order)
            case _:
                model.touch(order)
        return type(event).__name__

    def _edit(self, order: str, random: Random) -> str:
        changes = [
            UnitsSpec(
                line_id=line.line_id,
                quantity=random.choice((0, random.randint(line.cancelled + line.restocked, line.quantity + 2))),
            )
            for line in self._model.order(order).lines
            if random.random() < 0.6
        ]
        added = [LineSpec(sku=sku_name(random.randrange(8)), quantity=1)] if random.random() < 0.3 else []
        self._model.edit(order, EditSpec(set=tuple(changes), add=tuple(added)))
        return "edited"

    def _lines(self, order: str) -> dict[str, tuple[str, int]] | None:
        found = self._model.orders.get(order)
        if found is None:
            return None
        return {line.line_id: (line.sku or "", 0 if found.cancelled else line.gone) for line in found.lines}

    def lag_index(self, event: LagIndex) -> None:
        self._model.turn(self._model.switches.model_copy(update={"index_lag_seconds": event.seconds}))

    # --- webhooks ---------------------------------------------------------------------------------------------

    def send_to(self, address: str) -> None:
        self._messages.urls.append(address)

    def listen(self, carry: Callable[[Letter], None]) -> None:
        def accept(task: Task, **_timing: Any) -> None:
            def pack(_attempt: int) -> Parcel:
                return task.pack()

            carry(Letter("order.upserted", pack))

        self._messages.sender.accept = accept  # type: ignore[method-assign]

    def cut(self, parcel: Parcel) -> Parcel:
        return self._signed(super().cut(parcel), self._secret)

    def forge(self, parcel: Parcel, luck: Random) -> Parcel:
        body = parcel.body.replace(b'"quantity":', b'"quantity":9', 1) + b" "
        return self._signed(replace(parcel, body=body), FOREIGN)

    @staticmethod
    def _signed(parcel: Parcel, secret: str) -> Parcel:
        signature = sign(secret, parcel.headers["webhook-id"], parcel.headers["webhook-timestamp"], parcel.body)
        return replace(parcel, headers={**parcel.headers, "webhook-signature": signature})

    def retry_after_seconds(self, attempt: int) -> float | None:
        waits = (5, 300, 1800, 7200, 18000, 36000)
        return float(waits[attempt - 1]) if attempt <= len(waits) else None
