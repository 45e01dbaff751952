"""What an order commits: pure parsers from the vendor's two shapes to `Order`. No I/O.

Both shapes, the GraphQL node and the webhook body, end in the same few lines and in `committed_units`; so do their ids:
GraphQL's `gid://shopify/LineItem/123` and the webhook's `123` are the same text `123` here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from connectors.contract import Order, OrderLine
from connectors.errors import Unreadable
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.shapes import HookBody, LineNode, OrderHead, RefundLineNode
from connectors.text import is_storable

_GID = re.compile(r"gid://shopify/([A-Za-z]+)/([1-9][0-9]{0,18})")
_NUMBER = re.compile(r"[1-9][0-9]{0,18}")

_PUT_BACK = frozenset({"CANCEL", "RETURN", "LEGACY_RESTOCK"})
_NOT_PUT_BACK = "NO_RESTOCK"

T = TypeVar("T")


class Refunded(NamedTuple):
    """Units of one line in one refund."""

    restock_type: str
    units: int


def committed_units(
    *,
    ordered: int,
    current: int,
    refunded: Iterable[Refunded] = (),
    cancelled_unshipped: bool = False,
    removed_units_return: bool = True,
) -> int:
    """The units one order line takes from stock now: ordered less cancelled, removed and restocked. 0 to `ordered`.

    `ordered` (`quantity`) never shrinks. `current` (`currentQuantity`) is what is left of it after refunds and edits. A
    refund is about money: only its restock type says whether the units came back, so units refunded without restock
    are gone from the shelf and stay committed. Paid or not makes no difference: the shop takes stock when the order is
    made. In short: committed is `current` and what was refunded without restock.

    The shop's numbers leave gaps, and this is where they are settled:

    * Units taken off by an edit lower `current` and leave nothing that tells whether the editor put them back into
      stock. They count as put back, unless `removed_units_return` says that this shop's editors usually do not.
    * Whether `current` moves with a cancellation is documented nowhere (`quantity` does not). Of an order cancelled
      before anything was shipped nothing is left, whatever `current` says. Its refund, where there is one, tells what
      did not come back; where there is none, everything did.
    * Whether `current` has moved when a refund appears is not documented either. The refund lines say as much, so the
      lower figure counts; where both have moved they agree.

    Raises ValueError, with a reason, for numbers that contradict each other and for a restock type we do not know.
    """
    if current > ordered:
        raise ValueError(f"current quantity {current} is above the ordered {ordered}")
    refunded_units = kept_units = 0
    for restock_type, units in refunded:
        if restock_type == _NOT_PUT_BACK:
            kept_units += units
        elif restock_type not in _PUT_BACK and units > 0:
            raise ValueError(f"{units} units are refunded with a restock type this connector does not know")
        refunded_units += units
    if cancelled_unshipped:
        left_units = 0
    elif removed_units_return:
        left_units = min(current, max(0, ordered - refunded_units))
    else:
        left_units = max(0, ordered - refunded_units)
    # The same unit can appear in two refunds, one for its money and one for its way back into stock.
    return min(left_units + kept_units, ordered)


@dataclass(frozen=True, slots=True)
class Rules:
    """Which orders count, and how: the shop's settings in the form the parsers compare with."""

    sources: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    tests: bool = True
    removed_units_return: bool = True

    @classmethod
    def of(cls, settings: ShopifySettings) -> Rules:
        """The rules of one shop."""
        return cls(
            sources=frozenset(source.casefold() for source in settings.exclude_sources),
            apps=frozenset(settings.exclude_apps),
            tags=frozenset(tag.casefold() for tag in settings.exclude_tags),
            tests=settings.exclude_tests,
            removed_units_return=settings.removed_units_return,
        )

    def excluded(self, *, test: bool, source: str | None, app: str | None, tags: Iterable[str]) -> str | None:
        """Why an order does not count, or None."""
        if test and self.tests:
            return "test order"
        if source is not None and source.casefold() in self.sources:
            return f"source {source.casefold()}"
        if app is not None and app in self.apps:
            return f"app {app}"
        for tag in self.matching_tags(tags):
            return f"tag {tag}"
        return None

    def matching_tags(self, tags: Iterable[str]) -> list[str]:
        """Those of an order's tags that keep it out."""
        return [tag for tag in (tag.strip().casefold() for tag in tags) if tag in self.tags] if self.tags else []


class _Line(NamedTuple):
    line_id: str
    variant_id: str | None
    sku: str | None
    ordered: int
    current: int


class _RefundLine(NamedTuple):
    line_id: str
    restock_type: str
    units: int


def from_node(
    head: OrderHead,
    lines: Sequence[LineNode],
    refund_lines: Sequence[RefundLineNode],
    rules: Rules,
    *,
    fetched_at: datetime,
) -> Order:
    """A whole order as GraphQL shows it: its head, all its lines, all its refunds' lines. Raises `Unreadable`."""
    order_id = order_id_in(head.id)
    if order_id is None:
        raise Unreadable("an order has an id that is not one of an order", code="order")
    try:
        return _order(
            order_id,
            head.updated_at,
            head.created_at,
            [
                _Line(
                    number_of(line.id, "LineItem"),
                    None if line.variant is None else number_of(line.variant.id, "ProductVariant"),
                    line.sku,
                    line.quantity,
                    line.current_quantity,
                )
                for line in lines
            ],
            [
                _RefundLine(number_of(line.line_item.id, "LineItem"), line.restock_type, line.quantity)
                for line in refund_lines
            ],
            rules,
            cancelled_unshipped=head.cancelled_at is not None and head.display_fulfillment_status == "UNFULFILLED",
            excluded=rules.excluded(
                test=head.test,
                source=head.source_name,
                app=None if head.app is None else number_of(head.app.id),
                tags=head.tags,
            ),
            fetched_at=fetched_at,
        )
    except ValueError as error:
        raise _unreadable(order_id, error) from error


def from_hook(body: HookBody, rules: Rules) -> Order:
    """A whole order as a webhook shows it. Raises `Unreadable`."""
    order_id = str(body.id)
    if order_id_in(body.admin_graphql_api_id) != order_id:
        raise Unreadable(f"the two ids of order {order_id[:40]} disagree", code="order")
    try:
        return _order(
            order_id,
            _given(body.updated_at, "updated_at"),
            _given(body.created_at, "created_at"),
            [
                _Line(
                    str(line.id),
                    None if line.variant_id is None else str(line.variant_id),
                    line.sku,
                    line.quantity,
                    line.current_quantity,
                )
                for line in _given(body.line_items, "line_items")
            ],
            [
                _RefundLine(str(line.line_item_id), line.restock_type.upper(), line.quantity)
                for refund in _given(body.refunds, "refunds")
                for line in refund.refund_line_items
            ],
            rules,
            cancelled_unshipped=bool(body.cancelled_at) and body.fulfillment_status is None,
            excluded=rules.excluded(
                test=body.test is True,
                source=body.source_name or None,
                app=str(body.app_id) if body.app_id else None,
                tags=body.tags.split(",") if body.tags else (),
            ),
            fetched_at=None,
        )
    except ValueError as error:
        raise _unreadable(order_id, error) from error


def revision_of(updated_at: datetime) -> int:
    """Seconds since 1970: the vendor stamps whole seconds, so that two changes may share a revision."""
    return int(updated_at.timestamp())


def number_of(gid: str, kind: str | None = None) -> str:
    """The numeric id at the end of a GraphQL id, as text. Raises ValueError if it is not of that kind."""
    match = _GID.fullmatch(gid)
    if match is None or (kind is not None and match[1] != kind):
        raise ValueError(f"an id is not of the form gid://shopify/{kind or '…'}/123")
    return match[2]


def order_gid(order_id: str) -> str:
    """The GraphQL id of an order. Raises ValueError for anything but a number."""
    if not _NUMBER.fullmatch(order_id):
        raise ValueError("is not a number")
    return f"gid://shopify/Order/{order_id}"


def shaped(value: Any, shape: type[T], what: str, *, order_id: str | None = None) -> T:
    """`value` as that shape. Raises `Unreadable` naming what in `what` has which wrong type, without showing it."""
    try:
        return msgspec.convert(value, shape)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{what} does not have its documented shape: {error}", order_id=order_id) from error


def order_id_in(value: Any) -> str | None:
    """Which order a GraphQL id, or a node that may be malformed, is about; None when that cannot be told."""
    gid = value.get("id") if isinstance(value, dict) else value
    try:
        return number_of(gid, "Order") if isinstance(gid, str) else None
    except ValueError:
        return None


def _order(
    order_id: str,
    updated_at: datetime,
    placed_at: datetime,
    lines: Sequence[_Line],
    refund_lines: Sequence[_RefundLine],
    rules: Rules,
    *,
    cancelled_unshipped: bool,
    excluded: str | None,
    fetched_at: datetime | None,
) -> Order:
    refunded: dict[str, list[Refunded]] = {line.line_id: [] for line in lines}
    if len(refunded) != len(lines):
        raise ValueError("it lists a line twice")
    for refund in refund_lines:
        if refund.line_id not in refunded:
            # Removed and cancelled lines stay listed, so this is no whole order.
            raise ValueError(f"it has a refund of line {refund.line_id}, which it does not list")
        refunded[refund.line_id].append(Refunded(refund.restock_type, refund.units))
    return Order(
        order_id=order_id,
        revision=revision_of(updated_at),
        placed_at=_utc(placed_at),
        lines=tuple(
            _order_line(line, refunded[line.line_id], rules, cancelled_unshipped=cancelled_unshipped) for line in lines
        ),
        excluded=excluded,
        fetched_at=fetched_at,
    )


def _order_line(line: _Line, refunded: Sequence[Refunded], rules: Rules, *, cancelled_unshipped: bool) -> OrderLine:
    try:
        committed = committed_units(
            ordered=line.ordered,
            current=line.current,
            refunded=refunded,
            cancelled_unshipped=cancelled_unshipped,
            removed_units_return=rules.removed_units_return,
        )
    except ValueError as error:
        raise ValueError(f"line {line.line_id}: {error}") from error
    sku = line.sku or None
    if sku is not None and not is_storable(sku):
        raise ValueError(
            f"line {line.line_id}: its SKU is longer than 255 characters, or holds some that no database can store"
        )
    # A custom line has neither variant nor SKU: nothing can be linked to it.
    return OrderLine(line_id=line.line_id, sku=sku, item_key=line.variant_id or sku or "", committed=committed)


def _given(value: T | UnsetType | None, name: str) -> T:
    if value is None or value is UNSET:
        raise ValueError(f"{name} is missing")
    return value


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("it was placed outside of all time") from error


def _unreadable(order_id: str, error: ValueError) -> Unreadable:
    return Unreadable(f"order {order_id} cannot be read: {error}", code="order", order_id=order_id)
