"""The control surface under `/_control`: what people do to the shop. Orders are named by their numeric ids."""

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

from .commands import DeleteSpec, EditSpec, OrderSpec, ProductSpec, RefundSpec, SetStatus
from .model import REDUCING, ImpossibleError, Line, Order
from .options import Switches
from .payloads import product
from .sender import ANSWER_SECONDS, Webhook
from .shop import Shop
from .webhooks import RefusedError, Webhooks


class Orders(Body):
    """Orders to place, one after the other."""

    orders: tuple[OrderSpec, ...]


class Products(Body):
    """Products to make."""

    products: tuple[ProductSpec, ...]


class Control(ControlSurface):
    """Everything the control surface can do."""

    def __init__(
        self, shop: Shop, webhooks: Webhooks, faults: FaultPlan, clock: MovableClock, calls: Counter[str]
    ) -> None:
        super().__init__(clock=clock, faults=faults, deliveries=webhooks.sender, spoilt=webhooks, pass_time=shop.settle)
        self._shop = shop
        self._webhooks = webhooks
        self._calls = calls

    def own_routes(self) -> list[Route]:
        """What people do there."""
        shop, order = self._shop, "/orders/{id:int}"
        return [
            self.post("/orders", Orders, lambda _, asked: self._place(asked)),
            self.get(order, lambda request: order_state(shop.order(request.path_params["id"]))),
            self.post(order, DeleteSpec, self._delete, "DELETE"),
            self.post(
                f"{order}/status", SetStatus, lambda path, asked: order_state(shop.set_status(path["id"], asked.status))
            ),
            self.post(f"{order}/touch", Nothing, lambda path, _: order_state(shop.touch(path["id"]))),
            self.post(f"{order}/edit", EditSpec, lambda path, asked: order_state(shop.edit(path["id"], asked))),
            self.post(
                f"{order}/cancel", Nothing, lambda path, _: order_state(shop.set_status(path["id"], "cancelled"))
            ),
            self.post(f"{order}/refund", RefundSpec, self._refund),
            self.delete(
                f"{order}/refunds/{{refund_id:int}}",
                lambda path, _: order_state(shop.delete_refund(path["id"], path["refund_id"])),
            ),
            self.post(f"{order}/trash", Nothing, lambda path, _: self._trash(path["id"])),
            self.post(f"{order}/restore", Nothing, lambda path, _: order_state(shop.restore(path["id"]))),
            self.post("/products", Products, lambda _, asked: self._add_products(asked)),
            self.get("/products", lambda _: {"products": [product(one) for one in shop.products.values()]}),
            self.delete("/products/{id:int}", lambda path, _: self._delete_product(path["id"])),
            self.post("/webhooks", MadeUpWebhook, lambda _, asked: self._send_made_up(asked)),
            self.post(
                "/webhooks/{id:int}/status", SetStatus, lambda path, asked: self._set_webhook_status(path["id"], asked)
            ),
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
        return ({"error": str(error)}, 409) if isinstance(error, ImpossibleError | RefusedError) else None

    def counts(self) -> dict[str, Any]:
        """What was asked of the API and sent, so far."""
        return {
            "orders": len(self._shop.orders),
            "calls": dict(self._calls),
            "deliveries": dict(self._webhooks.sender.counts),
            "pending": self._webhooks.sender.pending,
        }

    def state(self, request: Request) -> Any:
        """The whole, as the shop itself knows it."""
        return {
            **self.counts(),
            "now": self._clock.now(),
            "webhooks": [webhook_state(one) for one in self._webhooks.by_id.values()],
            "products": [product(one) for one in self._shop.products.values()],
            "orders": [order_state(order) for order in self._shop.orders.values()],
        }

    # Orders and products.

    async def _place(self, asked: Orders) -> Any:
        placed = []
        for spec in asked.orders:
            order = self._shop.place(spec)
            placed.append({"id": order.order_id, "lines": [line.line_id for line in order.lines]})
            # A bulk must not keep webhooks from being sent in time.
            await asyncio.sleep(0)
        return {"orders": placed}

    def _delete(self, path: Path, asked: DeleteSpec) -> Any:
        self._shop.delete(path["id"], force=asked.force)
        return {}

    def _refund(self, path: Path, asked: RefundSpec) -> Any:
        refund = self._shop.refund(path["id"], asked)
        return {"refund_id": refund.refund_id} | order_state(self._shop.order(path["id"]))

    def _trash(self, order_id: int) -> Any:
        self._shop.delete(order_id, force=False)
        return order_state(self._shop.order(order_id))

    def _add_products(self, asked: Products) -> Any:
        return {"products": [product(self._shop.add_product(spec)) for spec in asked.products]}

    def _delete_product(self, item_id: int) -> Any:
        self._shop.delete_product(item_id)
        return {}

    # Webhooks.

    async def _send_made_up(self, asked: MadeUpWebhook) -> Any:
        secrets = {one.delivery_url: one.secret for one in self._webhooks.by_id.values()}
        parcels = [
            self._webhooks.made_up(
                asked.topic,
                asked.content,
                url,
                secret=secrets.get(url) if asked.signed else None,
                headers=asked.headers,
            )
            for url in ([asked.url] if asked.url else secrets)
        ]
        return {"answers": await send_once(parcels, answer_seconds=ANSWER_SECONDS)}

    def _set_webhook_status(self, webhook_id: int, asked: SetStatus) -> Any:
        webhook = self._webhooks.by_id.get(webhook_id)
        if webhook is None:
            message = f"there is no webhook {webhook_id}"
            raise ImpossibleError(message)
        self._webhooks.change(webhook, {"status": asked.status})
        return webhook_state(webhook)


def webhook_state(webhook: Webhook) -> dict[str, Any]:
    """A registration, with what the API does not show; not its secret."""
    return {
        "id": webhook.webhook_id,
        "topic": webhook.topic,
        "delivery_url": webhook.delivery_url,
        "status": webhook.status,
        "failures_in_a_row": webhook.failures_in_a_row,
    }


def order_state(order: Order) -> dict[str, Any]:
    """An order with what became of every unit, as the shop itself knows it."""
    return {
        "id": order.order_id,
        "status": order.status,
        "created_at": order.created_at,
        "modified_at": order.modified_at,
        "lines": [_line_state(order, line) for line in order.lines],
        "refunds": [refund.refund_id for refund in order.refunds],
    }


def _line_state(order: Order, line: Line) -> dict[str, Any]:
    # Of a managed product the shop books what is gone. Of one that is not, nobody books anything: it is gone while the
    # order stands and was not given back, restocked or not.
    unbooked = max(0, line.quantity - line.refunded) if order.status in REDUCING else 0
    return {
        "id": line.line_id,
        "sku": line.product.sku,
        "item_id": line.product.variation_id or line.product.product_id,
        "managed": line.product.managed,
        "ordered": line.quantity,
        "reduced": line.reduced,
        "refunded": line.refunded,
        "committed": unbooked if line.reduced is None else line.reduced,
    }
