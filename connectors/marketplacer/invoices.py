"""What an invoice commits: pure parsers from the vendor's shape to `Order`. No I/O.

An invoice is one seller's part of a purchase, shown once it is paid. A list may carry line items beside the invoices
(`included`) or within them; sites differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from connectors.contract import MAX_QUANTITY, Order, OrderLine
from connectors.errors import Unreadable
from connectors.marketplacer.resources import Resource, ShapeError, id_in, included, single
from connectors.marketplacer.settings import Identity, MarketplacerChannelSettings, Refunded
from connectors.text import is_storable

Units = Annotated[int, Meta(ge=0, le=MAX_QUANTITY)]
Moment = Annotated[datetime, Meta(tz=True)]
Id = int | str

LINE_ITEMS = "line_items"

SOLD = frozenset({"paid", "partially_sent", "sent", "ready", "collected"})
"""Of an invoice: sold, however far its way to the buyer."""
_TAKEN = frozenset({"new", "allocated", "shipped"})
"""Of a line item."""


class _Head(Struct, frozen=True):
    status: str
    paid_at: Moment
    created_at: Moment
    seller_id: Id | None = None


class _Item(Struct, frozen=True):
    quantity: Units
    status: str | None = None
    variant_external_id: str | None = None
    variant_sku: str | None = None
    variant_barcode: str | None = None


class _Ref(Struct, frozen=True):
    id: Id
    attributes: dict[str, Any] | UnsetType = UNSET
    """There where a site shows line items within the invoice."""


@dataclass(frozen=True, slots=True)
class LineItem:
    """One line item."""

    line_id: str
    quantity: int
    status: str
    names: Mapping[Identity, str | None]

    def known_by(self, identity: Identity) -> str | None:
        """What the sold variant is known by; None where the line item does not say."""
        return self.names[identity] or None


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice."""

    invoice_id: str
    status: str
    paid_at: datetime
    created_at: datetime
    seller_id: str | None
    items: tuple[LineItem, ...] | None
    """None where not all of them came along."""

    @classmethod
    def whole(cls, answer: Any, invoice_id: str) -> Invoice:
        """The invoice of a single answer, which shows its line items. Raises `Unreadable`."""
        try:
            found = invoice_of(single(answer), included(answer))
        except ShapeError as error:
            raise Unreadable(f"invoice {invoice_id}: {error}", order_id=invoice_id) from error
        if found.invoice_id != invoice_id:
            raise Unreadable(f"invoice {invoice_id} was answered with another one", order_id=invoice_id)
        if found.items is None:
            raise Unreadable(f"invoice {invoice_id} does not show all its line items", order_id=invoice_id)
        return found


def invoice_of(resource: Any, along: Mapping[tuple[str, str], Resource]) -> Invoice:
    """An `invoices` resource, with what came along. Raises `Unreadable`, which names the invoice if it can."""
    invoice_id = invoice_id_in(resource)
    if invoice_id is None:
        raise Unreadable("an invoice has no id that can be stored", code="invoice")
    try:
        head = msgspec.convert(resource.get("attributes"), _Head)
        return Invoice(
            invoice_id,
            head.status,
            head.paid_at.astimezone(UTC),
            head.created_at.astimezone(UTC),
            None if head.seller_id is None else str(head.seller_id),
            _items(resource, along),
        )
    except (ValueError, OverflowError, RecursionError) as error:
        message = f"invoice {invoice_id} does not have its documented shape: {error}"
        raise Unreadable(message, code="invoice", order_id=invoice_id) from error


def order_of(invoice: Invoice, settings: MarketplacerChannelSettings, *, fetched_at: datetime) -> Order:
    """A whole invoice as an order. Raises `Unreadable`, which names it.

    The vendor shows no time of an invoice's last change, so that the revision is the time of its payment, which never
    changes: of two readings the later counts.
    """
    other = settings.seller_id is not None and invoice.seller_id != str(settings.seller_id)
    try:
        return Order(
            order_id=invoice.invoice_id,
            revision=revision_of(invoice),
            placed_at=invoice.paid_at,
            lines=tuple(
                _line(item, invoice.status, "kept" if other else settings.refunded, settings.identity)
                for item in _all_items(invoice)
            ),
            excluded=f"seller {invoice.seller_id}" if other else None,
            fetched_at=fetched_at,
        )
    except ValueError as error:
        message = f"invoice {invoice.invoice_id} cannot be read: {error}"
        raise Unreadable(message, code="invoice", order_id=invoice.invoice_id) from error


def revision_of(invoice: Invoice) -> int:
    """Milliseconds since 1970."""
    return int(invoice.paid_at.timestamp() * 1000 + 0.5)


def committed_units(quantity: int, *, invoice: str, item: str, refunded: Refunded) -> int:
    """The units one line item takes from stock now.

    Nothing of a cancelled line item: its units never left. Raises ValueError, with a reason, for a refund unless
    `refunded` says what that means here, and for states we do not know.
    """
    if item == "cancelled":
        return 0
    if invoice == "refunded" or item == "refunded":
        if refunded == "ask":
            raise ValueError(
                "it was refunded, and the vendor does not say whether the units are for sale again; set `refunded` of"
                " this channel to `kept` or `returned`"
            )
        return quantity if refunded == "kept" else 0
    if invoice not in SOLD or item not in _TAKEN:
        raise ValueError(f"its states {invoice[:40]!r} and {item[:40]!r} are none this connector knows")
    return quantity


def invoice_id_in(resource: Any) -> str | None:
    """Which invoice something that may be malformed is; None when that cannot be told."""
    return id_in(resource)


def reduced(resource: Any, along: Mapping[tuple[str, str], Resource]) -> bytes:
    """What a person may want to see of an unreadable invoice: nothing of its customer."""
    if not isinstance(resource, Mapping):
        return b"null"
    shown = {
        "id": resource.get("id"),
        **_only(resource.get("attributes"), ("status", "paid_at", "created_at", "seller_id")),
    }
    relation = resource.get("relationships")
    listed = relation.get(LINE_ITEMS) if isinstance(relation, Mapping) else None
    refs = listed.get("data") if isinstance(listed, Mapping) else None
    names = ("quantity", "status", "variant_external_id", "variant_sku", "variant_barcode")
    shown[LINE_ITEMS] = [
        {
            "id": ref.get("id"),
            **_only((along.get((LINE_ITEMS, id_in(ref) or "")) or ref).get("attributes"), names),
        }
        for ref in (refs if isinstance(refs, list) else ())
        if isinstance(ref, Mapping)
    ]
    return json.dumps(shown).encode()


def stamp(moment: datetime) -> str:
    """A moment as filters take it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _items(resource: Resource, along: Mapping[tuple[str, str], Resource]) -> tuple[LineItem, ...] | None:
    relationships = resource.get("relationships")
    relation = relationships.get(LINE_ITEMS) if isinstance(relationships, Mapping) else None
    if not isinstance(relation, Mapping) or "data" not in relation:
        return None
    found = []
    for ref in msgspec.convert(relation["data"], list[_Ref]):
        line_id = _storable(str(ref.id))
        beside = along.get((LINE_ITEMS, line_id))
        fields = ref.attributes if beside is None else beside.get("attributes")
        if fields is UNSET:
            return None
        found.append(_item(line_id, msgspec.convert(fields, _Item)))
    return tuple(found)


def _all_items(invoice: Invoice) -> tuple[LineItem, ...]:
    if invoice.items is None:
        raise ValueError("it does not show all its line items")
    if len({item.line_id for item in invoice.items}) != len(invoice.items):
        raise ValueError("it lists a line item twice")
    return invoice.items


def _item(line_id: str, shown: _Item) -> LineItem:
    names: dict[Identity, str | None] = {
        "external_id": shown.variant_external_id,
        "sku": shown.variant_sku,
        "barcode": shown.variant_barcode,
    }
    for name in names.values():
        if name:
            _storable(name)
    return LineItem(line_id, shown.quantity, shown.status or "allocated", names)


def _line(item: LineItem, status: str, refunded: Refunded, identity: Identity) -> OrderLine:
    sku = item.known_by(identity)
    named = [name for name in item.names.values() if name]
    return OrderLine(
        line_id=item.line_id,
        sku=sku,
        # No variant id is shown; what has no name at all is at least itself.
        item_key=sku or (named[0] if named else f"line {item.line_id}"),
        committed=committed_units(item.quantity, invoice=status, item=item.status, refunded=refunded),
    )


def _storable(text: str) -> str:
    if not text or not is_storable(text):
        raise ValueError("an id or a SKU is empty, longer than 255 characters, or cannot be stored")
    return text


def _only(value: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value} if isinstance(value, Mapping) else {}
