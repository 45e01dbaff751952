"""Orders, their lines and their refunds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import nodes
from .fields import MAX_PAGE, Call, Info, call_with, numeric_id, page, page_size, refuse, search
from .index import SORTS, Entry, Key
from .nodes import Node
from .orders import Line, Order, RefundLine
from .search import Term, moment, number, one_of, word

RECENT_DAYS = 60
"""How far back orders show to an application without `read_all_orders` (docs, "Access scopes")."""

_Hit = tuple[Entry, Order]

_STATUSES: dict[str, Callable[[Order], bool]] = {
    "open": lambda order: order.closed_at is None and order.cancelled_at is None,
    "closed": lambda order: order.closed_at is not None and order.cancelled_at is None,
    "cancelled": lambda order: order.cancelled_at is not None,
    "not_closed": lambda order: order.closed_at is None,
}


def _status(comparator: str, value: str) -> Callable[[_Hit], bool]:
    if comparator or value not in _STATUSES:
        message = f"no such status: {value}"
        raise ValueError(message)
    has_status = _STATUSES[value]
    return lambda hit: has_status(hit[1])


_TERMS: dict[str, Term] = {
    "updated_at": moment(lambda hit: hit[0].updated_at),
    "created_at": moment(lambda hit: hit[0].created_at),
    "processed_at": moment(lambda hit: hit[0].created_at),
    "id": number(lambda hit: hit[0].order_id),
    "name": word(lambda hit: hit[1].name),
    "status": _status,
    "financial_status": word(lambda hit: hit[1].financial_status),
    "fulfillment_status": word(lambda hit: hit[1].fulfilment),
    "return_status": word(lambda hit: hit[1].return_status),
    "source_name": word(lambda hit: hit[1].source_name),
    "test": word(lambda hit: "true" if hit[1].test else "false"),
    "sku": one_of(lambda hit: (line.sku for line in hit[1].lines)),
    "tag": one_of(lambda hit: hit[1].tags),
}
_TERM_OF_SORT = {"UPDATED_AT": "updated_at", "CREATED_AT": "created_at", "PROCESSED_AT": "processed_at"}


def orders(
    _root: object,
    info: Info,
    *,
    first: int | None = None,
    after: str | None = None,
    query: str | None = None,
    reverse: bool = False,
    sort: str,
) -> Node:
    """One page of the orders a search finds, behind a place in the sort order rather than behind a row."""
    call = call_with(info, "read_orders")
    size = page_size(first)
    found = search(info, query, _TERMS)
    # Sorting by what is not modelled here (prices, customers) is by id.
    sort = sort if sort in SORTS else "ID"
    lowest, highest = found.bounds.get(_TERM_OF_SORT.get(sort, ""), (None, None))
    earliest = _earliest(call)
    try:
        place = None if after is None else nodes.cursor_key(after)
    except ValueError as error:
        raise refuse(str(error), "BAD_REQUEST") from error
    keys: list[Key] = []
    shown: list[Node] = []
    more = False
    for key, entry in call.shop.index.walk(sort, reverse=reverse, after=place, lowest=lowest, highest=highest):
        known = call.shop.orders.get(entry.order_id)
        # A lagging index still lists what was deleted.
        if known is None or entry.created_at < earliest or not found.matches((entry, known)):
            continue
        if len(keys) == size:
            more = True
            break
        keys.append(key)
        shown.append(nodes.order_node(known))
    return nodes.connection(keys, shown, more=more, behind=after is not None)


def order(_root: object, info: Info, *, gid: str) -> Node | None:
    """One order as it stands, whatever the index knows of it."""
    call = call_with(info, "read_orders")
    found = call.shop.orders.get(numeric_id(gid, "Order"))
    return nodes.order_node(found) if found and found.created_at >= _earliest(call) else None


def refund(_root: object, info: Info, *, gid: str) -> Node | None:
    """One refund as it stands."""
    call = call_with(info, "read_orders")
    found = call.shop.refunds.get(numeric_id(gid, "Refund"))
    return nodes.refund_node(*found) if found and found[0].created_at >= _earliest(call) else None


def _earliest(call: Call) -> int:
    return 0 if "read_all_orders" in call.scopes else call.shop.now() - RECENT_DAYS * 86_400


def line_items(order_node: Node, info: Info, **arguments: Any) -> Node:
    """One page of an order's lines, in the order they came in."""
    switches = info.context.shop.switches

    def node_of(line: Line) -> Node:
        return nodes.line_node(line, switches)

    return page(order_node["_order"].lines, lambda line: line.line_id, node_of, arguments)


def refunds(order_node: Node, _info: Info, *, first: int | None = None) -> list[Node]:
    """An order's refunds: a plain list without a cursor."""
    size = MAX_PAGE if first is None else page_size(first)
    return [nodes.refund_node(order_node["_order"], found) for found in order_node["_order"].refunds[:size]]


def order_of_refund(refund_node: Node, _info: Info) -> Node:
    """The order a refund belongs to."""
    return nodes.order_node(refund_node["_order"])


def refund_line_items(refund_node: Node, info: Info, **arguments: Any) -> Node:
    """One page of a refund's lines."""
    switches = info.context.shop.switches

    def node_of(refunded: RefundLine) -> Node:
        return nodes.refund_line_node(refunded, switches)

    return page(refund_node["_refund"].lines, lambda refunded: refunded.refund_line_id, node_of, arguments)
