"""What an order looks like at Acorn, and what it commits. Pure: no clock, no calls."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from connectors.contract import MAX_QUANTITY, Order, OrderLine
from connectors.errors import Unreadable
from connectors.text import MAX_ID_CHARACTERS, is_storable

Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9-]{1,40}\Z")]
Sku = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]
Units = Annotated[int, msgspec.Meta(ge=0, le=MAX_QUANTITY)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

_T = TypeVar("_T")


class Named(msgspec.Struct):
    """The least of an order: which one it is."""

    id: Id


class ItemRow(msgspec.Struct):
    """One line of an order."""

    id: Id
    quantity: Units
    returned: Units = 0
    """Units that came back and are for sale again."""
    sku: Sku | None = None
    article: Id | None = None
    """Acorn's own id of the thing sold, which stays when its SKU is changed."""


class OrderRow(Named):
    """One whole order, as it is now. Whom it is for is not named here, and so is never kept."""

    version: Units
    status: Literal["open", "paid", "shipped", "cancelled"]
    placed_at: Moment
    items: Annotated[list[ItemRow], msgspec.Meta(max_length=10_000)]
    source: str = ""


def shaped(data: bytes | msgspec.Raw, shape: type[_T], what: str) -> _T:
    """JSON of the documented shape, anything else that it holds left out. Raises `Unreadable`."""
    try:
        return msgspec.json.decode(data, type=shape)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{what} does not have its documented shape: {error}", order_id=order_id_in(data)) from error


def order_id_in(data: bytes | msgspec.Raw) -> str | None:
    """Which order some JSON is about; None where that cannot be read."""
    try:
        return msgspec.json.decode(data, type=Named).id
    except (ValueError, RecursionError):
        return None


def to_order(data: bytes | msgspec.Raw, excluded_sources: Collection[str], fetched_at: datetime | None) -> Order:
    """The order that some JSON describes. Raises `Unreadable`, naming the order where that much can be read.

    A status that is not known here is not guessed: the order waits for a person, or for its next version.
    """
    row = shaped(data, OrderRow, f"order {order_id_in(data) or '(of no id)'}")
    try:
        excluded = f"source {row.source}" if row.source in excluded_sources else None
        lines = () if excluded else _lines(row)
        placed_at = row.placed_at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"order {row.id} cannot be read: {error}", order_id=row.id) from error
    # Acorn counts every change of an order, so a version never has two contents.
    return Order(row.id, row.version, placed_at, lines, excluded, fetched_at, revision_is_exact=True)


def _lines(row: OrderRow) -> tuple[OrderLine, ...]:
    lines = tuple(_line(item, cancelled=row.status == "cancelled") for item in row.items)
    if len({line.line_id for line in lines}) != len(lines):
        raise ValueError("an item is there twice")
    return lines


def _line(item: ItemRow, *, cancelled: bool) -> OrderLine:
    if item.returned > item.quantity:
        raise ValueError(f"of item {item.id} more came back than was sold")
    if item.sku is not None and not is_storable(item.sku):
        raise ValueError(f"the SKU of item {item.id} cannot be stored")
    committed = 0 if cancelled else item.quantity - item.returned
    return OrderLine(item.id, item.sku, item.article or item.sku or "", committed)
