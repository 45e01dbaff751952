"""What an order commits: pure parsers from the vendor's representation to `Order`. No I/O.

The same representation comes in an answer and in a webhook body, so both end in the same few lines here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from connectors.answers import FIRST_YEAR, LAST_YEAR
from connectors.contract import MAX_QUANTITY, Order, OrderLine
from connectors.errors import Unreadable
from connectors.text import is_storable, legible
from connectors.woocommerce.settings import WooCommerceSettings
from connectors.woocommerce.shapes import (
    REDUCED_STOCK,
    REFUNDED_ITEM,
    HookBody,
    LineRow,
    MetaEntry,
    OrderRow,
    RefundRow,
)

_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_MOMENT = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}")
_WHOLE = re.compile(r"-?[0-9]{1,20}(?:\.0{1,20})?")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rules:
    """Which orders count, and how: the shop's settings in the form the parsers compare with."""

    use_reduced_stock: bool
    committing: frozenset[str]
    releasing: frozenset[str]
    refunded_units_return: bool
    created_via: frozenset[str]
    meta_keys: frozenset[str]

    @classmethod
    def of(cls, settings: WooCommerceSettings) -> Rules:
        """The rules of one shop."""
        return cls(
            use_reduced_stock=settings.use_reduced_stock,
            committing=frozenset(settings.committing_statuses),
            releasing=frozenset(settings.releasing_statuses),
            refunded_units_return=settings.refunded_units_return,
            created_via=frozenset(way.casefold() for way in settings.exclude_created_via),
            meta_keys=frozenset(settings.exclude_meta_keys),
        )

    def excluded(self, *, created_via: str | None, meta: Iterable[MetaEntry]) -> str | None:
        """Why an order does not count, or None."""
        if created_via is not None and created_via.casefold() in self.created_via:
            return f"created via {created_via.casefold()}"
        for key in self.matching_keys(meta):
            return f"meta key {key}"
        return None

    def matching_keys(self, meta: Iterable[MetaEntry]) -> list[str]:
        """Those of an order's meta keys that keep it out."""
        return [entry.key for entry in meta if isinstance(entry.key, str) and entry.key in self.meta_keys]

    def needs_refunds(self, row: OrderRow) -> bool:
        """Whether what the order commits cannot be told without its refunds' lines, which it does not show.

        Raises ValueError.
        """
        if not row.refunds or not self.refunded_units_return or row.status not in self.committing:
            return False
        if self.excluded(created_via=row.created_via, meta=row.meta_data) is not None:
            return False
        return any(self.account_of(line) is None for line in row.line_items)

    def account_of(self, line: LineRow) -> int | None:
        """The units the shop itself counts as taken for a line; None where it keeps, or shows, no account.

        Raises ValueError, with a reason.
        """
        if not self.use_reduced_stock:
            return None
        found = {units_of(entry.value, REDUCED_STOCK) for entry in line.meta_data if entry.key == REDUCED_STOCK}
        if len(found) > 1:
            raise ValueError(f"line {line.id} has two accounts of its stock that disagree")
        for units in found:
            if units < 0:
                raise ValueError(f"line {line.id} has an account of its stock below zero")
            return units
        return None


def committed_units(*, ordered: int, account: int | None, refunded: int, status: str, rules: Rules) -> int:
    """The units one order line takes from stock now. Raises ValueError for a status that no rule knows.

    The shop's own account of the line, where there is one, covers everything as the shop booked it: cancelled, refunded
    with or without restock, failed after it was on hold. It can be above what is ordered, where something changed the
    line behind the shop's back: so many units the shop took.

    Without it (the product's stock is not managed there, or we read between a change of status and the booking) the
    status decides, and what refunds name comes off if the shop's rule is that it is for sale again. A refund does not
    tell whether its units were put back.
    """
    if account is not None:
        return account
    if status in rules.releasing:
        return 0
    if status not in rules.committing:
        message = (
            f"it is in status {legible(status[:40])!r}, of which is not known whether it takes units; name it in "
            "committing_statuses or in releasing_statuses"
        )
        raise ValueError(message)
    return max(0, ordered - refunded) if rules.refunded_units_return else ordered


def from_row(row: OrderRow, refunds: Sequence[RefundRow], rules: Rules, *, fetched_at: datetime) -> Order:
    """A whole order as an answer shows it, with all its refunds if `Rules.needs_refunds`. Raises `Unreadable`."""
    return _order(row, refunds, rules, fetched_at)


def from_hook(body: HookBody, rules: Rules) -> Order | None:
    """A whole order as a webhook shows it; None when that takes the refunds' lines, or is not all there.

    A site may leave fields out, by a filter of its own. Raises `Unreadable`.
    """
    try:
        row = OrderRow(
            id=_given(body.id),
            status=_given(body.status),
            date_created_gmt=_given(body.date_created_gmt),
            date_modified_gmt=_given(body.date_modified_gmt),
            line_items=_given(body.line_items),
            refunds=_given(body.refunds),
            created_via=_given(body.created_via) if rules.created_via else None,
            meta_data=_given(body.meta_data) if rules.meta_keys else [],
        )
    except _LackingError:
        return None
    try:
        if rules.needs_refunds(row):
            return None
    except ValueError as error:
        raise _unreadable(row.id, error) from error
    return _order(row, (), rules, None)


def units_of(value: Any, what: str) -> int:
    """Whole units, as a number or as the text of one. Raises ValueError for anything else."""
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{what} is not a whole number of units")
    units = int(text.partition(".")[0])
    if abs(units) > MAX_QUANTITY:
        raise ValueError(f"{what} is more than a quantity can hold")
    return units


def moment_of(text: str | None, what: str) -> datetime:
    """A moment as the API writes it: in UTC and whole seconds, without saying so. Raises ValueError."""
    if text is None or not _MOMENT.fullmatch(text):
        raise ValueError(f"{what} is not a moment as the shop writes one")
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"{what} is outside of all time")
    return moment


def is_order_id(text: str) -> bool:
    """Whether it may name an order of such a shop."""
    return _NUMBER.fullmatch(text) is not None


def order_id_in(row: Any) -> str | None:
    """Which order a row that may be malformed is about; None when that cannot be told."""
    number = row.get("id") if isinstance(row, dict) else None
    if isinstance(number, bool) or not isinstance(number, int):
        return None
    return str(number) if 1 <= number <= MAX_QUANTITY else None


def shaped(value: Any, shape: type[T], what: str, *, order_id: str | None = None) -> T:
    """`value` as that shape. Raises `Unreadable` naming what in `what` has which wrong type, without showing it."""
    try:
        return msgspec.convert(value, shape)
    except (ValueError, RecursionError) as error:
        message = f"{what} does not have its documented shape: {error}"
        raise Unreadable(message, code="order" if order_id else "", order_id=order_id) from error


class _LackingError(Exception):
    """A field of a whole order is not there."""


def _given(value: T | UnsetType) -> T:
    if value is UNSET:
        raise _LackingError
    return value


def _order(row: OrderRow, refunds: Sequence[RefundRow], rules: Rules, fetched_at: datetime | None) -> Order:
    try:
        excluded = rules.excluded(created_via=row.created_via, meta=row.meta_data)
        # An order that does not count takes nothing, whatever its lines say and whatever status it is in.
        lines = _lines(row, _refunded(refunds), rules) if excluded is None else ()
        return Order(
            order_id=str(row.id),
            revision=int(moment_of(row.date_modified_gmt, "date_modified_gmt").timestamp()),
            placed_at=moment_of(row.date_created_gmt, "date_created_gmt"),
            lines=lines,
            excluded=excluded,
            fetched_at=fetched_at,
        )
    except ValueError as error:
        raise _unreadable(row.id, error) from error


def _lines(row: OrderRow, refunded: Mapping[str, int], rules: Rules) -> tuple[OrderLine, ...]:
    lines = tuple(_line(line, row.status, refunded, rules) for line in row.line_items)
    if len({line.line_id for line in lines}) != len(lines):
        raise ValueError("it lists a line twice")
    return lines


def _line(line: LineRow, status: str, refunded: Mapping[str, int], rules: Rules) -> OrderLine:
    line_id = str(line.id)
    ordered = units_of(line.quantity, f"the quantity of line {line_id}")
    if ordered < 0:
        raise ValueError(f"the quantity of line {line_id} is below zero")
    committed = committed_units(
        ordered=ordered,
        account=rules.account_of(line),
        refunded=refunded.get(line_id, 0),
        status=status,
        rules=rules,
    )
    sku = line.sku or None
    if sku is not None and not is_storable(sku):
        raise ValueError(
            f"line {line_id}: its SKU is longer than 255 characters, or holds some that no database can store"
        )
    # What is sold is the variation where there is one. A deleted product leaves neither id nor SKU.
    item = line.variation_id or line.product_id
    return OrderLine(line_id=line_id, sku=sku, item_key=str(item) if item else sku or "", committed=committed)


def _refunded(refunds: Iterable[RefundRow]) -> dict[str, int]:
    """Line id -> units that refunds name: a refund of an amount alone names none. Lines taken off since do no harm."""
    units: dict[str, int] = {}
    for refund in refunds:
        for line in refund.line_items:
            count = abs(units_of(line.quantity, f"a quantity of refund {refund.id}"))
            if not count:
                continue
            (line_id, *more) = {_text(entry.value) for entry in line.meta_data if entry.key == REFUNDED_ITEM} or {""}
            if more or not _NUMBER.fullmatch(line_id):
                raise ValueError(f"refund {refund.id} does not say which line it is about")
            units[line_id] = units.get(line_id, 0) + count
    return units


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""


def _unreadable(order_id: int, error: ValueError) -> Unreadable:
    return Unreadable(f"order {order_id} cannot be read: {error}", code="order", order_id=str(order_id))
