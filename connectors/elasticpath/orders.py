"""What an order commits: pure parsers from the vendor's shape to `Order`. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from connectors.contract import MAX_QUANTITY, Order, OrderLine
from connectors.elasticpath.settings import ElasticPathChannelSettings
from connectors.errors import Unreadable
from connectors.text import is_storable

Units = Annotated[int, Meta(ge=0, le=MAX_QUANTITY)]
Moment = Annotated[datetime, Meta(tz=True)]
Refunded = Literal["ask", "kept", "returned"]

_TAKEN = frozenset({"authorized", "paid", "partially_authorized", "partially_paid"})
"""From the first successful payment on, the store holds an order's units."""

T = TypeVar("T")


class Timestamps(Struct, frozen=True):
    """When an order was made and last changed."""

    created_at: Moment
    updated_at: Moment


class OrderMeta(Struct, frozen=True):
    """Of what an order says beside itself, the times."""

    timestamps: Timestamps


class Ref(Struct, frozen=True):
    """A relationship's target."""

    id: str


class Refs(Struct, frozen=True):
    """A relationship."""

    data: list[Ref]


class Relationships(Struct, frozen=True):
    """Of an order's relationships, its items."""

    items: Refs


class OrderHead(Struct, frozen=True):
    """An order without its items."""

    id: str
    status: str
    payment: str
    shipping: str
    meta: OrderMeta
    relationships: Relationships | None = None
    external_ref: str | None = None


class Price(Struct, frozen=True):
    """An amount in minor units; below zero for a promotion."""

    amount: int


class Item(Struct, frozen=True):
    """One item of an order: a product, a custom item, or a promotion."""

    id: str
    quantity: Units
    product_id: str | None
    """Empty for a custom item. An item that does not say is neither."""
    sku: str | None = None
    unit_price: Price | None = None
    value: Price | None = None

    @property
    def is_counted(self) -> bool:
        """Whether it is a product: custom items have no product, promotions a negative price."""
        prices = (price.amount for price in (self.unit_price, self.value) if price is not None)
        return bool(self.product_id) and all(amount >= 0 for amount in prices)


def committed_units(quantity: int, *, status: str, payment: str, shipping: str, refunded: Refunded) -> int:
    """The units one item takes from stock now: what the store itself holds or has shipped for the order.

    Nothing before a payment, which is when the store allocates; nothing of a cancelled order, which it gives back. A
    partial refund shows nowhere and moves nothing.

    Raises ValueError, with a reason, for a refund in full unless `refunded` says what that means here (it is about
    money alone: no item, no quantity), for states that contradict each other, and for those we do not know.
    """
    if status == "cancelled":
        if shipping == "fulfilled":
            raise ValueError("it was cancelled after it was shipped, and does not say what came back")
        return 0
    if payment == "unpaid":
        if shipping == "fulfilled":
            raise ValueError("it was shipped without a payment")
        return 0
    if payment == "refunded":
        if refunded == "ask":
            raise ValueError(
                "it was refunded in full, and a refund does not say whether the units came back. Cancel the order if"
                " they did and nothing was shipped, or set `refunded` of this channel to `kept` or `returned`"
            )
        return quantity if refunded == "kept" else 0
    if payment not in _TAKEN or status not in {"incomplete", "processing", "complete"}:
        raise ValueError(f"its states {status[:40]!r} and {payment[:40]!r} are none this connector knows")
    return quantity


def from_answer(
    head: OrderHead, items: Sequence[Item], settings: ElasticPathChannelSettings, *, fetched_at: datetime
) -> Order:
    """A whole order: its head, all its items. Raises `Unreadable`, which names the order."""
    order_id = head.id
    excluded = _excluded(head.external_ref, settings.exclude_external_refs)
    try:
        return Order(
            order_id=_storable(order_id),
            revision=revision_of(head.meta.timestamps.updated_at),
            placed_at=head.meta.timestamps.created_at.astimezone(UTC),
            lines=_lines(items, head, "kept" if excluded else settings.refunded),
            excluded=excluded,
            fetched_at=fetched_at,
        )
    except (ValueError, OverflowError) as error:
        message = f"order {order_id[:40]} cannot be read: {error}"
        raise Unreadable(message, code="order", order_id=order_id_in({"id": order_id})) from error


def revision_of(updated_at: datetime) -> int:
    """Milliseconds since 1970, as finely as the vendor stamps."""
    return int(updated_at.timestamp() * 1000 + 0.5)


def shaped(value: Any, shape: type[T], what: str, *, order_id: str | None = None) -> T:
    """`value` as that shape. Raises `Unreadable` naming what in `what` has which wrong type, without showing it."""
    try:
        return msgspec.convert(value, shape)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{what} does not have its documented shape: {error}", order_id=order_id) from error


def order_id_in(node: Any) -> str | None:
    """Which order something that may be malformed is about; None when that cannot be told."""
    found = node.get("id") if isinstance(node, Mapping) else None
    return found if isinstance(found, str) and found and is_storable(found) else None


def reduced(node: Any, items: Sequence[Any] = ()) -> bytes:
    """What a person may want to see of an unreadable order: nothing of its customer, addresses or payments."""
    head = _only(node, ("type", "id", "status", "payment", "shipping", "external_ref", "relationships"))
    meta = node.get("meta") if isinstance(node, Mapping) else None
    head["meta"] = _only(meta, ("timestamps",))
    head["items"] = [_only(item, ("type", "id", "quantity", "product_id", "sku", "unit_price")) for item in items]
    return json.dumps(head).encode()


def _only(value: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value} if isinstance(value, Mapping) else {}


def _lines(items: Sequence[Item], head: OrderHead, refunded: Refunded) -> tuple[OrderLine, ...]:
    if len({item.id for item in items}) != len(items):
        raise ValueError("it lists an item twice")
    return tuple(
        OrderLine(
            line_id=_storable(item.id),
            sku=_storable(item.sku) if item.sku else None,
            item_key=_storable(item.product_id or ""),
            committed=committed_units(
                item.quantity, status=head.status, payment=head.payment, shipping=head.shipping, refunded=refunded
            ),
        )
        for item in items
        if item.is_counted
    )


def _storable(text: str) -> str:
    if not text or not is_storable(text):
        raise ValueError("an id or a SKU is empty, longer than 255 characters, or cannot be stored")
    return text


def _excluded(external_ref: str | None, prefixes: Sequence[str]) -> str | None:
    for prefix in prefixes if external_ref else ():
        if external_ref is not None and external_ref.startswith(prefix):
            return f"external_ref {prefix}"
    return None
