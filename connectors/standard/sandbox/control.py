"""The control surface under `/_control`: what people do to the shop. Orders are named by their ids."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from connectors.sandbox.clock import MovableClock
from connectors.sandbox.control import Body, ControlSurface, MadeUpWebhook, Nothing, Path
from connectors.sandbox.faults import FaultPlan
from connectors.sandbox.sending import send_once

from .commands import ChangeSpec, EditSpec, EndpointSpec, OrderSpec, SecretsSpec
from .messages import Messages
from .options import Switches
from .sender import ANSWER_SECONDS
from .shop import ImpossibleError, Shop


class Orders(Body):
    """Orders to place, one after the other."""

    orders: tuple[OrderSpec, ...]


class Control(ControlSurface):
    """Everything the control surface can do."""

    def __init__(
        self, shop: Shop, messages: Messages, faults: FaultPlan, clock: MovableClock, calls: Counter[str]
    ) -> None:
        super().__init__(clock=clock, faults=faults, deliveries=messages.sender, spoilt=messages)
        self._shop = shop
        self._messages = messages
        self._calls = calls

    def own_routes(self) -> list[Route]:
        """What people do there."""
        shop, order = self._shop, "/orders/{order_id}"
        return [
            self.post("/orders", Orders, lambda _, asked: self._place(asked)),
            self.get(order, lambda request: shop.state(shop.order(request.path_params["order_id"]))),
            self.delete(order, lambda path, _: self._delete(path["order_id"])),
            self.post(f"{order}/cancel", ChangeSpec, self._cancel),
            self.post(
                f"{order}/restock", ChangeSpec, lambda path, asked: shop.state(shop.restock(path["order_id"], asked))
            ),
            self.post(f"{order}/edit", EditSpec, lambda path, asked: shop.state(shop.edit(path["order_id"], asked))),
            self.post(f"{order}/touch", Nothing, lambda path, _: shop.state(shop.touch(path["order_id"]))),
            self.post("/endpoints", EndpointSpec, lambda _, asked: self._register(asked.url)),
            self.delete("/endpoints", lambda *_: self._forget()),
            self.post("/secrets", SecretsSpec, lambda _, asked: self._replace_secrets(asked)),
            self.post("/webhooks", MadeUpWebhook, lambda _, asked: self._send_made_up(asked)),
        ]

    # What every surface has.

    def switches(self) -> Switches:
        """The present ones."""
        return self._shop.switches

    def turn(self, switches: Switches) -> None:
        """Other switches, from now on."""
        self._shop.turn(switches)

    def refused(self, error: Exception) -> tuple[dict[str, Any], int] | None:
        """An impossible command is a conflict."""
        return ({"error": str(error)}, 409) if isinstance(error, ImpossibleError) else None

    def counts(self) -> dict[str, Any]:
        """What was asked of the API and sent, so far."""
        return {
            "orders": len(self._shop.orders),
            "calls": dict(self._calls),
            "deliveries": dict(self._messages.sender.counts),
            "pending": self._messages.sender.pending,
        }

    def state(self, request: Request) -> Any:
        """The whole, as the shop itself knows it."""
        return {
            **self.counts(),
            "now": self._clock.now(),
            "endpoints": self._messages.urls,
            "orders": [self._shop.state(order) for order in self._shop.orders.values()],
        }

    # Orders.

    async def _place(self, asked: Orders) -> Any:
        placed = []
        for spec in asked.orders:
            order = self._shop.place(spec)
            placed.append({"id": order.order_id, "lines": [line.line_id for line in order.lines]})
            # A bulk must not keep messages from being sent in time.
            await asyncio.sleep(0)
        return {"orders": placed}

    def _delete(self, order_id: str) -> Any:
        self._shop.delete(order_id)
        return {}

    def _cancel(self, path: Path, asked: ChangeSpec) -> Any:
        """All of an order, or the units that are named."""
        order_id = path["order_id"]
        changed = self._shop.cancel_units(order_id, asked) if asked.lines else self._shop.cancel(order_id)
        return self._shop.state(changed)

    # Messages.

    def _register(self, url: str) -> Any:
        if url not in self._messages.urls:
            self._messages.urls.append(url)
        return {"urls": self._messages.urls}

    def _forget(self) -> Any:
        self._messages.urls.clear()
        return {"urls": []}

    def _replace_secrets(self, asked: SecretsSpec) -> Any:
        self._messages.secrets = asked.secrets
        return {}

    async def _send_made_up(self, asked: MadeUpWebhook) -> Any:
        urls = [asked.url] if asked.url else self._messages.urls
        parcels = [
            self._messages.made_up(asked.content, url, signed=asked.signed, headers=asked.headers) for url in urls
        ]
        return {"answers": await send_once(parcels, answer_seconds=ANSWER_SECONDS)}
