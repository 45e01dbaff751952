"""The REST representations. Names, addresses and a buyer's wishes are in them, as they are at a real shop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from .model import Line, Order, Product, Refund
from .options import Options, Switches

BUYER = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "address_1": "12 Analytical Street",
    "city": "London",
    "email": "ada@example.com",
    "phone": "555-0100",
}


class Payloads:
    """Builds representations for one site."""

    def __init__(self, options: Options) -> None:
        self._zone = timezone(timedelta(minutes=options.utc_offset_minutes))

    def order(self, order: Order, switches: Switches) -> dict[str, Any]:
        """An order, whole."""
        return {
            "id": order.order_id,
            "parent_id": 0,
            "number": str(order.order_id),
            "status": order.status,
            "currency": "USD",
            "version": "9.0.0",
            **self._dates("created", order.created_at),
            **self._dates("modified", order.modified_at),
            "created_via": order.created_via,
            "customer_id": 5,
            "customer_ip_address": "192.0.2.7",
            "customer_note": "Please ring twice",
            "billing": dict(BUYER),
            "shipping": dict(BUYER),
            "payment_method": "bacs",
            "total": "18.00",
            "meta_data": _meta(order.meta, 9000),
            "line_items": [self._line(line, switches) for line in order.lines],
            "shipping_lines": [],
            "fee_lines": [],
            "refunds": [{"id": refund.refund_id, "reason": "", "total": "-6.00"} for refund in order.refunds],
        }

    def refund(self, order: Order, refund: Refund, switches: Switches) -> dict[str, Any]:
        """A refund: quantities below zero, and each line names the one of the order."""
        lines = []
        for part in refund.lines:
            shown = self._line(part.line, switches)
            lines.append(
                {
                    **shown,
                    "id": part.refund_line_id,
                    "quantity": -part.quantity,
                    "total": "-6.00",
                    "meta_data": _meta({"_refunded_item_id": str(part.line.line_id)}, part.refund_line_id * 10),
                }
            )
        return {
            "id": refund.refund_id,
            "parent_id": order.order_id,
            **self._dates("created", refund.created_at),
            "amount": "6.00",
            "reason": "",
            "refunded_by": 1,
            "refunded_payment": False,
            "meta_data": [],
            "line_items": lines,
        }

    def local(self, second: int) -> str:
        """A moment as the site's own time zone writes it, without saying which that is."""
        return datetime.fromtimestamp(second, self._zone).strftime("%Y-%m-%dT%H:%M:%S")

    def second(self, text: str, *, gmt: bool) -> int:
        """What a date of a request means. Raises ValueError."""
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC if gmt else self._zone)
        return int(moment.timestamp())

    def _dates(self, what: str, second: int) -> dict[str, str]:
        utc = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return {f"date_{what}": self.local(second), f"date_{what}_gmt": utc}

    def _line(self, line: Line, switches: Switches) -> dict[str, Any]:
        product = line.product
        shown = not product.deleted or switches.deleted_product == "kept"
        meta = dict(line.meta)
        if line.reduced is not None and switches.reduced_stock_shown:
            meta["_reduced_stock"] = str(line.reduced)
        if line.restocked and switches.reduced_stock_shown:
            meta["_restock_refunded_items"] = str(line.restocked)
        return {
            "id": line.line_id,
            "name": product.sku or "Item",
            "product_id": product.product_id if shown else 0,
            "variation_id": product.variation_id if shown else 0,
            "quantity": line.quantity,
            "tax_class": "",
            "subtotal": "18.00",
            "total": "18.00",
            "taxes": [],
            "meta_data": _meta(meta, line.line_id * 10),
            # Read from the product as it is now, not as it was sold.
            "sku": None if product.deleted else product.sku,
            "price": 6,
        }


def product(found: Product) -> dict[str, Any]:
    """A product or variation, as far as stock is concerned."""
    return {
        "id": found.variation_id or found.product_id,
        "sku": found.sku,
        "manage_stock": found.managed,
        "stock_quantity": found.stock if found.managed else None,
        "stock_status": "instock" if not found.managed or found.stock > 0 else "outofstock",
    }


def only(row: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """The named fields of a representation (`_fields`)."""
    return {name: value for name, value in row.items() if name in fields} if fields else row


def _meta(entries: Mapping[str, Any], first_id: int) -> list[dict[str, Any]]:
    return [
        {"id": first_id + place, "key": key, "value": value, "display_key": key, "display_value": value}
        for place, (key, value) in enumerate(entries.items())
    ]
