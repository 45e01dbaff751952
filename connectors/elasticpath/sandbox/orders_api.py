"""`/v2/orders`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from .call import Call, Endpoint, Reply
from .entities import Order
from .errors import bad_request, not_found
from .orders import render as render_order
from .orders import render_item
from .query import conditions, holds, paged

_MOMENTS = ("eq", "gt", "ge", "lt", "le")
_FILTERS = {
    **dict.fromkeys(("status", "payment", "shipping"), ("eq",)),
    **dict.fromkeys(("external_ref", "order_number", "email"), ("eq", "like")),
    **dict.fromkeys(("created_at", "updated_at"), _MOMENTS),
}
_SORTS = frozenset({"created_at", "payment", "shipping", "status"})


def list_orders(call: Call) -> Reply:
    """`GET /v2/orders`: latest change first, unless sorted."""
    store = call.store
    asked = conditions(call.query.get("filter"), _FILTERS)
    before = store.clock.now() - timedelta(seconds=store.switches.order_lag_seconds)
    shown = (
        next((state for state in reversed(states) if state.updated_at <= before), None)
        for states in store.orders.values()
    )
    found = [
        order for order in shown if order and all(holds(condition, getattr(order, condition[1])) for condition in asked)
    ]
    sort = call.query.get("sort", "")
    sorts = _SORTS | {"updated_at"} if store.switches.updated_at_sort == "accepted" else _SORTS
    if sort and sort.removeprefix("-") not in sorts:
        raise bad_request("Could not parse the supplied sort")
    if sort:
        found.sort(key=lambda order: (getattr(order, sort.removeprefix("-")), order.order_id), reverse=sort[0] == "-")
    else:
        found.sort(key=lambda order: order.updated_at, reverse=True)
    body = paged(found, call.query, lambda order: order, length=store.options.page_length, hard=True)
    page: list[Order] = body["data"]
    body["data"] = [_render(call, order) for order in page]
    if "items" in call.query.get("include", "").split(","):
        body["included"] = {"items": [render_item(item, order) for order in page for item in order.items]}
    return Reply(200, body)


def show_order(call: Call) -> Reply:
    """`GET /v2/orders/{order_id}`: never behind."""
    order = _known(call)
    body = {"data": _render(call, order)}
    if call.query.get("include") == "items" and call.store.switches.order_includes:
        return Reply(200, {**body, "included": {"items": [render_item(item, order) for item in order.items]}})
    return Reply(200, body)


def show_items(call: Call) -> Reply:
    """`GET /v2/orders/{order_id}/items`"""
    order = _known(call)
    return Reply(200, {"data": [render_item(item, order) for item in order.items]})


def update_order(call: Call) -> Reply:
    """`PUT /v2/orders/{order_id}`"""
    return Reply(200, {"data": _render(call, call.orders.update(call.path["order_id"], call.data))}, "applied")


def _render(call: Call, order: Order) -> dict[str, Any]:
    return render_order(order, left_out=call.store.switches.missing_refs == "left_out")


def _known(call: Call) -> Order:
    order = call.store.order(call.path["order_id"])
    if order is None:
        raise not_found("Order not found")
    return order


ENDPOINTS: dict[tuple[str, str], tuple[str, Endpoint]] = {
    ("GET", "/v2/orders"): ("orders/list", list_orders),
    ("GET", "/v2/orders/{order_id}"): ("orders/show", show_order),
    ("GET", "/v2/orders/{order_id}/items"): ("orders/items", show_items),
    ("PUT", "/v2/orders/{order_id}"): ("orders/update", update_order),
}
