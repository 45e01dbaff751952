"""The vendor's shapes, reduced to the fields stock needs; everything else is dropped while parsing.

An order in an answer and in a webhook body are the same REST representation. Numbers are taken as they come (a quantity
may be a decimal where a plugin allows it, ids and units inside meta values are texts) and judged in `orders`.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from connectors.contract import MAX_QUANTITY

Id = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
Reference = Annotated[int, Meta(ge=0, le=MAX_QUANTITY)]
"""An id, or 0 for none."""

REDUCED_STOCK = "_reduced_stock"
"""The shop's own account of the units it took off stock for a line. It is not documented."""
REFUNDED_ITEM = "_refunded_item_id"
"""On a refund's line: which line of the order it is about."""


class MetaEntry(Struct):
    """One entry of free data. Plugins store lists under keys of their own, so neither side is sure to be a text."""

    key: Any = None
    value: Any = None


class LineRow(Struct):
    """One line of an order."""

    id: Id
    product_id: Reference
    variation_id: Reference
    quantity: int | float
    sku: str | None = None
    meta_data: list[MetaEntry] = []


class RefundRef(Struct):
    """A refund as its order lists it: its lines have to be asked for."""

    id: Id


class OrderRow(Struct):
    """One order in an answer."""

    id: Id
    status: str
    date_created_gmt: str | None
    date_modified_gmt: str | None
    line_items: list[LineRow]
    refunds: list[RefundRef]
    created_via: str | None = None
    meta_data: list[MetaEntry] = []


class RevisionRow(Struct):
    """An order's id and when it was changed."""

    id: Id
    date_modified_gmt: str | None


class RefundLineRow(Struct):
    """Units of one line in one refund; the quantity is below zero."""

    quantity: int | float
    meta_data: list[MetaEntry] = []


class RefundRow(Struct):
    """One refund with its lines."""

    id: Id
    line_items: list[RefundLineRow]


class WebhookRow(Struct):
    """One registration. Its secret is not shown."""

    id: Id
    status: str
    topic: str
    delivery_url: str


class ErrorBody(Struct):
    """What the REST API answers instead of a result."""

    code: str
    data: Any = None


class HookBody(Struct, omit_defaults=True):
    """Any body a webhook may bring; what is kept of it is this, encoded again."""

    id: Id | UnsetType = UNSET
    status: str | UnsetType = UNSET
    date_created_gmt: str | UnsetType | None = UNSET
    date_modified_gmt: str | UnsetType | None = UNSET
    line_items: list[LineRow] | UnsetType = UNSET
    refunds: list[RefundRef] | UnsetType = UNSET
    created_via: str | UnsetType | None = UNSET
    meta_data: list[MetaEntry] | UnsetType = UNSET
    webhook_id: Id | UnsetType = UNSET
    """Of a ping."""
    code: str | UnsetType = UNSET
    """Of an error object: the body was built by somebody who may not read orders."""
