"""Our own format of an order: its shape, and what it commits. Pure.

`schema.json` says the same as a JSON Schema; what a schema cannot say is said here alone, and in its description: that
no more is cancelled and restocked than was ordered, that a line is listed once, that a date's day exists, that 3.0 is
no number of units, and which of `version` and `updated_at` this channel goes by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from connectors.contract import MAX_QUANTITY, Order, OrderLine
from connectors.errors import Unreadable
from connectors.standard.settings import StandardSettings
from connectors.text import MAX_ID_CHARACTERS, is_storable, legible

MAX_LINES = 10_000

Units = Annotated[int, Meta(ge=0, le=MAX_QUANTITY)]

_MOMENT = re.compile(
    r"2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LineRow(Struct, omit_defaults=True):
    """One line of an order, as it is now."""

    line_id: str
    quantity: Units
    sku: str | None = None
    item_id: str | UnsetType = UNSET
    cancelled: Units = 0
    restocked: Units = 0


class OrderRow(Struct, omit_defaults=True):
    """One whole order, as it is now."""

    order_id: str
    placed_at: str
    lines: Annotated[list[LineRow], Meta(max_length=MAX_LINES)]
    version: Units | UnsetType = UNSET
    updated_at: str | UnsetType = UNSET
    status: Literal["open", "cancelled"] = "open"
    source: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Rules:
    """What one channel says about its orders."""

    ordered_by: Literal["version", "updated_at"]
    excluded_sources: frozenset[str]

    @classmethod
    def of(cls, settings: StandardSettings) -> Rules:
        """The rules of one channel."""
        return cls(settings.ordered_by, frozenset(source.casefold() for source in settings.exclude_sources))


def to_order(row: OrderRow, rules: Rules, *, fetched_at: datetime | None) -> Order:
    """The order that a row describes. Raises `Unreadable`, which names it where it can be named."""
    order_id = named(row.order_id)
    try:
        _text(row.order_id, "order_id")
        excluded = _excluded(row, rules)
        lines = _lines(row)
        return Order(
            order_id=row.order_id,
            revision=_revision(row, rules),
            placed_at=moment_of(row.placed_at, "placed_at"),
            # An order that does not count takes nothing.
            lines=lines if excluded is None else (),
            excluded=excluded,
            fetched_at=fetched_at,
            revision_is_exact=rules.ordered_by == "version",
        )
    except ValueError as error:
        message = f"order {legible(order_id or '(of no id)')} cannot be read: {error}"
        raise Unreadable(message, code="order", order_id=order_id) from error


_decode = msgspec.json.Decoder(OrderRow).decode


class _Named(Struct):
    order_id: str


_decode_name = msgspec.json.Decoder(_Named).decode


def order_row(data: bytes | msgspec.Raw) -> OrderRow:
    """JSON as a row. Raises `Unreadable` saying which field has which wrong form, without showing it."""
    try:
        return _decode(data)
    except (ValueError, RecursionError) as error:
        order_id = order_id_in(data)
        what = "an order" if order_id is None else f"order {legible(order_id)}"
        message = f"{what} does not have its documented shape: {error}"
        raise Unreadable(message, code="order", order_id=order_id) from error


def order_id_in(data: bytes | msgspec.Raw) -> str | None:
    """Which order some JSON is about, where that much can be read."""
    try:
        return named(_decode_name(data).order_id)
    except (ValueError, RecursionError):
        return None


def moment_of(text: str, what: str) -> datetime:
    """A moment with its offset (RFC 3339), in UTC. Raises ValueError."""
    if not _MOMENT.fullmatch(text):
        raise ValueError(f"{what} is no moment with its offset, like 2026-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise ValueError(f"{what} names a day that does not exist") from None


def named(order_id: str) -> str | None:
    """An order's id, if it is one by which a row can be named."""
    return order_id if order_id and not _CONTROL.search(order_id) and is_storable(order_id) else None


def _text(text: str, what: str) -> str:
    if not text:
        raise ValueError(f"{what} is empty")
    if _CONTROL.search(text) or not is_storable(text):
        message = f"{what} is longer than {MAX_ID_CHARACTERS} characters, holds control characters, or is not UTF-8"
        raise ValueError(message)
    return text


def _excluded(row: OrderRow, rules: Rules) -> str | None:
    if row.source is UNSET:
        return None
    source = _text(row.source, "source").casefold()
    return f"source {source}" if source in rules.excluded_sources else None


def _revision(row: OrderRow, rules: Rules) -> int:
    updated_at = None if row.updated_at is UNSET else moment_of(row.updated_at, "updated_at")
    if rules.ordered_by == "updated_at":
        if updated_at is None:
            raise ValueError('it has no updated_at, by which this channel (ordered_by = "updated_at") tells the newer')
        return (updated_at - _EPOCH) // timedelta(microseconds=1)
    if row.version is UNSET:
        raise ValueError('it has no version, by which this channel (ordered_by = "version") tells the newer')
    return row.version


def _lines(row: OrderRow) -> tuple[OrderLine, ...]:
    lines = tuple(_line(line, cancelled=row.status == "cancelled") for line in row.lines)
    if len({line.line_id for line in lines}) != len(lines):
        raise ValueError("a line_id is there twice")
    return lines


def _line(line: LineRow, *, cancelled: bool) -> OrderLine:
    line_id = _text(line.line_id, "a line_id")
    sku = None if line.sku is None else _text(line.sku, f"the sku of line {legible(line_id)}")
    item_id = None if line.item_id is UNSET else _text(line.item_id, f"the item_id of line {legible(line_id)}")
    committed = line.quantity - line.cancelled - line.restocked
    if committed < 0:
        raise ValueError(f"of line {legible(line_id)} more is cancelled and restocked than was ordered")
    return OrderLine(line_id, sku, item_id or sku or "", 0 if cancelled else committed)
