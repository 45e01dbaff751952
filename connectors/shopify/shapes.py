"""The vendor's shapes, reduced to the fields stock needs; everything else is dropped while parsing.

The same order comes in two shapes: a GraphQL node, and the REST-like body of a webhook. msgspec checks types and bounds
while it reads, several times faster than a JSON parse with checks afterwards, which matters where webhooks come in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from connectors.contract import MAX_QUANTITY

Units = Annotated[int, Meta(ge=0, le=MAX_QUANTITY)]
"""Whole units. A boolean, a decimal (even 1.0), a text or a number below zero is none."""
Id = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
Moment = Annotated[datetime, Meta(tz=True)]


# --------------------------------------------------------------------------------------------------------------
# GraphQL


class _Node(Struct, rename="camel"):
    pass


class Ref(_Node):
    """An object of which only the id is asked."""

    id: str


class PageInfo(_Node):
    """Whether a connection goes on, and where."""

    has_next_page: bool
    end_cursor: str | None = None


class LineNode(_Node):
    """One line of an order."""

    id: str
    quantity: Units
    current_quantity: Units
    sku: str | None
    variant: Ref | None


class LinePage(_Node):
    """Some lines of an order."""

    nodes: list[LineNode]
    page_info: PageInfo


class RefundLineNode(_Node):
    """Units of one line in one refund."""

    quantity: Units
    restock_type: str
    line_item: Ref


class RefundLinePage(_Node):
    """Some lines of a refund."""

    nodes: list[RefundLineNode]
    page_info: PageInfo


class RefundNode(_Node):
    """A refund with its first lines."""

    id: str
    refund_line_items: RefundLinePage


class OrderHead(_Node):
    """What an order says of itself, without its lines."""

    id: str
    created_at: Moment
    updated_at: Moment
    cancelled_at: Moment | None
    display_fulfillment_status: str
    test: bool
    source_name: str | None
    app: Ref | None
    tags: list[str]


class ListedOrder(OrderHead):
    """An order in a page of orders: its first lines, and whether it has refunds."""

    line_items: LinePage
    refunds: list[Ref]


class SingleOrder(OrderHead):
    """One order asked for by its id: its first lines and its first refunds."""

    line_items: LinePage
    refunds: list[RefundNode]


class OrderConnection(_Node):
    """A page of orders, each to be looked into by itself, so that a malformed one does not spoil its neighbours."""

    nodes: list[Any]
    page_info: PageInfo


class MoreLines(_Node):
    """A further page of an order's lines, and the revision it came from."""

    updated_at: Moment
    line_items: LinePage


class RefundIds(_Node):
    """The ids of an order's refunds, and the revision they came from."""

    updated_at: Moment
    refunds: list[Ref]


class Revised(_Node):
    """An order's revision."""

    updated_at: Moment


class MoreRefundLines(_Node):
    """A page of a refund's lines, and the revision of the order it came from."""

    order: Revised
    refund_line_items: RefundLinePage


class Revision(_Node):
    """An order's id and revision."""

    id: str
    updated_at: Moment


# --------------------------------------------------------------------------------------------------------------
# Webhook bodies


class HookLine(Struct, frozen=True, omit_defaults=True):
    """One line of an order."""

    id: Id
    quantity: Units
    current_quantity: Units
    sku: str | None = None
    variant_id: Id | None = None


class HookRefundLine(Struct, frozen=True):
    """Units of one line in one refund."""

    line_item_id: Id
    quantity: Units
    restock_type: str


class HookRefund(Struct, frozen=True):
    """A refund, reduced to its lines."""

    refund_line_items: list[HookRefundLine]


class HookOrderEdit(Struct, frozen=True):
    """Which order was edited."""

    order_id: Id


class HookRequest(Struct, frozen=True):
    """The number of a compliance request."""

    id: Id


class HookBody(Struct, omit_defaults=True):
    """Every body of every topic, reduced. Which of them it is shows by what is set: see `hooks`.

    Encoded again it is what we keep: ids, SKUs, quantities and times. The same type reads both, the vendor's body and
    what was kept of it.
    """

    id: Id | str | UnsetType | None = UNSET
    admin_graphql_api_id: str | UnsetType | None = UNSET
    created_at: Moment | UnsetType | None = UNSET
    updated_at: Moment | UnsetType | None = UNSET
    cancelled_at: Moment | UnsetType | None = UNSET
    fulfillment_status: str | UnsetType | None = UNSET
    """None: nothing was shipped."""
    test: bool | UnsetType | None = UNSET
    source_name: str | UnsetType | None = UNSET
    app_id: Id | UnsetType | None = UNSET
    tags: str | UnsetType | None = UNSET
    line_items: list[HookLine] | UnsetType = UNSET
    refunds: list[HookRefund] | UnsetType = UNSET
    order_id: Id | UnsetType | None = UNSET
    order_edit: HookOrderEdit | UnsetType = UNSET
    shop_id: Id | UnsetType = UNSET
    shop_domain: str | UnsetType = UNSET
    data_request: HookRequest | UnsetType = UNSET
