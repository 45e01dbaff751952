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

from .commands import CancelSpec, EditSpec, FulfilSpec, OrderSpec, RefundSpec, ReturnSpec, VariantSpec
from .cost import Bucket
from .options import Switches
from .orders import ImpossibleError, Line, Order
from .payloads import utc_time
from .sender import ANSWER_SECONDS
from .shop import Shop
from .tokens import THE_APPLICATION, Tokens
from .webhooks import Webhooks


class Orders(Body):
    """Orders to place, one after the other."""

    orders: tuple[OrderSpec, ...]


class Variants(Body):
    """Variants to make."""

    variants: tuple[VariantSpec, ...]


class MadeUp(MadeUpWebhook):
    """A delivery of any content and API version, sent once."""

    api_version: str | None = None


class Control(ControlSurface):
    """Everything the control surface can do."""

    def __init__(
        self,
        *,
        shop: Shop,
        webhooks: Webhooks,
        tokens: Tokens,
        bucket: Bucket,
        faults: FaultPlan,
        clock: MovableClock,
        calls: Counter[str],
    ) -> None:
        super().__init__(clock=clock, faults=faults, deliveries=webhooks.sender, spoilt=webhooks)
        self._shop = shop
        self._webhooks = webhooks
        self._tokens = tokens
        self._bucket = bucket
        self._calls = calls

    def own_routes(self) -> list[Route]:
        """What people do there."""
        shop, order = self._shop, "/orders/{id:int}"
        return [
            self.post("/orders", Orders, lambda _, asked: self._place(asked)),
            self.get(order, lambda request: order_state(shop.order(request.path_params["id"]))),
            self.delete(order, lambda path, _: self._delete(path["id"])),
            self.post(f"{order}/pay", Nothing, lambda path, _: order_state(shop.pay(path["id"]))),
            self.post(f"{order}/touch", Nothing, lambda path, _: order_state(shop.touch(path["id"]))),
            self.post(f"{order}/edit", EditSpec, lambda path, asked: order_state(shop.edit(path["id"], asked))),
            self.post(f"{order}/cancel", CancelSpec, lambda path, asked: order_state(shop.cancel(path["id"], asked))),
            self.post(f"{order}/refund", RefundSpec, self._refund),
            self.post(f"{order}/fulfil", FulfilSpec, lambda path, asked: order_state(shop.fulfil(path["id"], asked))),
            self.post(
                f"{order}/return",
                ReturnSpec,
                lambda path, asked: order_state(shop.set_return_status(path["id"], asked)),
            ),
            self.post("/variants", Variants, lambda _, asked: self._add_variants(asked)),
            self.post("/webhooks", MadeUp, lambda _, asked: self._send_made_up(asked)),
            self.post("/bucket/empty", Nothing, lambda *_: self._empty_bucket()),
            self.post("/tokens/expire", Nothing, lambda *_: self._expire_tokens()),
            self.post("/uninstall", Nothing, lambda *_: self._uninstall()),
            self.post("/reinstall", Nothing, lambda *_: self._reinstall()),
        ]

    # What every surface has.

    def switches(self) -> Switches:
        """The present ones."""
        return self._shop.switches

    def turn(self, switches: Switches) -> None:
        """Other switches, from now on."""
        self._shop.turn(switches)
        self._webhooks.turn(switches)

    def refused(self, error: Exception) -> tuple[dict[str, Any], int] | None:
        """An impossible command is a conflict."""
        return ({"error": str(error)}, 409) if isinstance(error, ImpossibleError) else None

    def counts(self) -> dict[str, Any]:
        """What was asked of the API and sent, so far."""
        return {
            "orders": len(self._shop.orders),
            "calls": dict(self._calls),
            "deliveries": dict(self._webhooks.sender.counts),
            "pending": self._webhooks.sender.pending,
            "bucket": self._bucket.status(),
        }

    def state(self, request: Request) -> Any:
        """The whole, as the shop itself knows it."""
        subscriptions = [
            {"id": one.subscription_id, "topic": one.topic, "uri": one.uri, "failures_in_a_row": one.failures_in_a_row}
            for one in self._webhooks.subscriptions.of(THE_APPLICATION)
        ]
        return {
            **self.counts(),
            "now": self._clock.now(),
            "subscriptions": subscriptions,
            "orders": [order_state(order) for order in self._shop.orders.values()],
        }

    # Orders and variants.

    async def _place(self, asked: Orders) -> Any:
        placed = []
        for spec in asked.orders:
            order = self._shop.place(spec)
            placed.append({"id": order.order_id, "name": order.name, "lines": [line.line_id for line in order.lines]})
            # A bulk must not keep webhooks from being sent in time.
            await asyncio.sleep(0)
        return {"orders": placed}

    def _delete(self, order_id: int) -> Any:
        self._shop.delete(order_id)
        return {}

    def _refund(self, path: Path, asked: RefundSpec) -> Any:
        refund = self._shop.refund(path["id"], asked)
        return {"refund_id": refund.refund_id} | order_state(self._shop.order(path["id"]))

    def _add_variants(self, asked: Variants) -> Any:
        made = [self._shop.add_variant(spec) for spec in asked.variants]
        return {"variants": [{"id": variant.variant_id, "sku": variant.sku} for variant in made]}

    # Webhooks.

    async def _send_made_up(self, asked: MadeUp) -> Any:
        version = asked.api_version or self._shop.options.api_versions[-1]
        known = dict.fromkeys(one.uri for one in self._webhooks.subscriptions.of(THE_APPLICATION))
        parcels = [
            self._webhooks.made_up(
                asked.topic, asked.content, url, signed=asked.signed, headers=asked.headers, api_version=version
            ).parcel
            for url in ([asked.url] if asked.url else known)
        ]
        return {"answers": await send_once(parcels, answer_seconds=ANSWER_SECONDS)}

    # The application's standing.

    def _empty_bucket(self) -> Any:
        self._bucket.empty()
        return self._bucket.status()

    def _expire_tokens(self) -> Any:
        self._tokens.expire()
        return {}

    def _uninstall(self) -> Any:
        self._tokens.installed = False
        options = self._shop.options
        payload = {"id": 71_000_000_001, "name": options.shop_name, "myshopify_domain": options.shop_domain}
        self._webhooks.uninstall(THE_APPLICATION, payload)
        return {}

    def _reinstall(self) -> Any:
        self._tokens.installed = True
        return {}


def order_state(order: Order) -> dict[str, Any]:
    """An order with what became of every unit, as the vendor itself knows it."""
    return {
        "id": order.order_id,
        "name": order.name,
        "created_at": utc_time(order.created_at),
        "updated_at": utc_time(order.updated_at),
        "cancelled": order.cancelled_at is not None,
        "test": order.test,
        "financial_status": order.financial_status,
        "lines": [_line_state(line) for line in order.lines],
        "refunds": [
            {
                "id": refund.refund_id,
                "lines": [
                    {"line_id": one.line.line_id, "quantity": one.quantity, "restock_type": one.restock_type.value}
                    for one in refund.lines
                ],
            }
            for refund in order.refunds
        ],
    }


def _line_state(line: Line) -> dict[str, Any]:
    return {
        "id": line.line_id,
        "sku": line.sku,
        "variant_id": line.variant.variant_id if line.variant else None,
        "ordered": line.ordered,
        "removed_restocked": line.removed_restocked,
        "removed_kept": line.removed_kept,
        "refunded_restocked": line.refunded_restocked,
        "refunded_kept": line.refunded_kept,
        "fulfilled": line.fulfilled,
        "current": line.current,
        "committed": line.committed,
    }
