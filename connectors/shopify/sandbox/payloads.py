"""Webhook bodies: REST shapes, whatever the API version (docs, "Webhooks", REST Admin API resources)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from .commands import RestockType
from .orders import Line, Order, Refund, RefundLine

LOCATION_ID = 61_000_000_001

_FULFILMENT = {"UNFULFILLED": None, "PARTIALLY_FULFILLED": "partial", "FULFILLED": "fulfilled"}


@lru_cache(maxsize=8192)
def local_time(second: int, offset_minutes: int) -> str:
    """A moment as the shop's own time zone writes it, e.g. `2026-01-01T00:00:00+00:00`."""
    return datetime.fromtimestamp(second, timezone(timedelta(minutes=offset_minutes))).isoformat()


@lru_cache(maxsize=8192)
def utc_time(second: int) -> str:
    """A moment as GraphQL and headers write it, e.g. `2026-01-01T00:00:00Z`."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Payloads:
    """Builds bodies for a shop whose clock runs `offset_minutes` ahead of UTC."""

    def __init__(self, offset_minutes: int) -> None:
        self._offset_minutes = offset_minutes

    def order(self, order: Order) -> dict[str, Any]:
        """The body of `orders/*`, except `orders/edited` and `orders/delete`."""
        return {
            "id": order.order_id,
            "admin_graphql_api_id": f"gid://shopify/Order/{order.order_id}",
            "app_id": order.app.id if order.app else None,
            "cancel_reason": order.cancel_reason.lower() if order.cancel_reason else None,
            "cancelled_at": self._time(order.cancelled_at),
            "closed_at": self._time(order.closed_at),
            "confirmed": True,
            "created_at": self._time(order.created_at),
            "financial_status": order.financial_status.lower(),
            "fulfillment_status": _FULFILMENT[order.fulfilment],
            "name": order.name,
            "number": order.number - 1000,
            "order_number": order.number,
            "processed_at": self._time(order.created_at),
            "source_identifier": order.source_identifier,
            "source_name": order.source_name,
            "tags": ", ".join(order.tags),
            "test": order.test,
            "updated_at": self._time(order.updated_at),
            "line_items": [_line(line) for line in order.lines],
            "refunds": [self.refund(order, refund) for refund in order.refunds],
        }

    def refund(self, order: Order, refund: Refund) -> dict[str, Any]:
        """The body of `refunds/create`: no order in it."""
        return {
            "id": refund.refund_id,
            "admin_graphql_api_id": f"gid://shopify/Refund/{refund.refund_id}",
            "order_id": order.order_id,
            "created_at": self._time(refund.created_at),
            "processed_at": self._time(refund.created_at),
            "note": refund.note,
            "restock": any(line.restock_type is not RestockType.NO_RESTOCK for line in refund.lines),
            "return": None,
            "refund_line_items": [_refund_line(line) for line in refund.lines],
            "transactions": [],
            "order_adjustments": [],
        }

    def edited(self, order: Order, edit_id: int, deltas: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """The body of `orders/edited`, from what each line gained or lost: not an order."""
        return {
            "order_edit": {
                "id": edit_id,
                "order_id": order.order_id,
                "committed_at": self._time(order.updated_at),
                "line_items": {
                    "additions": [{"id": line_id, "delta": delta} for line_id, delta in deltas if delta > 0],
                    "removals": [{"id": line_id, "delta": -delta} for line_id, delta in deltas if delta < 0],
                },
            }
        }

    def _time(self, second: int | None) -> str | None:
        return None if second is None else local_time(second, self._offset_minutes)


def _line(line: Line) -> dict[str, Any]:
    variant = line.variant
    return {
        "id": line.line_id,
        "admin_graphql_api_id": f"gid://shopify/LineItem/{line.line_id}",
        "current_quantity": line.current,
        "fulfillable_quantity": line.unfulfilled,
        "fulfillment_status": _line_fulfilment(line),
        "gift_card": line.gift_card,
        "name": line.title,
        "product_exists": variant is not None,
        "product_id": variant.product_id if variant else None,
        "quantity": line.ordered,
        "requires_shipping": line.requires_shipping,
        "sku": line.sku,
        "title": line.title,
        "variant_id": variant.variant_id if variant else None,
        "variant_inventory_management": "shopify" if variant and variant.tracked else None,
    }


def _line_fulfilment(line: Line) -> str | None:
    if not line.fulfilled:
        return None
    return "partial" if line.unfulfilled else "fulfilled"


def _refund_line(refunded: RefundLine) -> dict[str, Any]:
    restocked = refunded.restock_type is not RestockType.NO_RESTOCK
    return {
        "id": refunded.refund_line_id,
        "line_item_id": refunded.line.line_id,
        "location_id": LOCATION_ID if restocked else None,
        "quantity": refunded.quantity,
        "restock_type": refunded.restock_type.value.lower(),
        "line_item": _line(refunded.line),
    }


def select(payload: dict[str, Any], include_fields: Sequence[str]) -> dict[str, Any]:
    """Only the named fields, dots leading into nested objects and lists; what a payload lacks is left out."""
    tree: dict[str, Any] = {}
    for path in include_fields:
        branch = tree
        for name in path.split("."):
            branch = branch.setdefault(name, {})
    pruned: dict[str, Any] = _prune(payload, tree)
    return pruned


def _prune(value: Any, tree: dict[str, Any]) -> Any:
    if not tree:
        return value
    if isinstance(value, list):
        return [_prune(item, tree) for item in value]
    if isinstance(value, dict):
        return {name: _prune(value[name], branch) for name, branch in tree.items() if name in value}
    return value
