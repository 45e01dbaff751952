"""GraphQL nodes as plain dicts, ready to be read field by field. Keys with an underscore are for resolvers."""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from .commands import RestockType
from .index import Key
from .options import Options, Switches
from .orders import Line, Order, Refund, RefundLine, Variant
from .payloads import LOCATION_ID, utc_time

Node = dict[str, Any]

LOCATION: Node = {
    "__typename": "Location",
    "id": f"gid://shopify/Location/{LOCATION_ID}",
    "legacyResourceId": str(LOCATION_ID),
    "name": "Main Warehouse",
    "isActive": True,
    "fulfillsOnlineOrders": True,
}


def shop_node(options: Options) -> Node:
    """The shop."""
    return {"id": "gid://shopify/Shop/71000000001", "name": options.shop_name, "myshopifyDomain": options.shop_domain}


def installation_node(scopes: Sequence[str]) -> Node:
    """An application's standing on the shop."""
    return {
        "id": "gid://shopify/AppInstallation/82000000001",
        "accessScopes": [{"handle": scope, "description": scope.replace("_", " ").capitalize()} for scope in scopes],
    }


def order_node(order: Order) -> Node:
    """An order without its lines and refunds, which have resolvers."""
    return {
        "__typename": "Order",
        "_order": order,
        "id": f"gid://shopify/Order/{order.order_id}",
        "legacyResourceId": str(order.order_id),
        "name": order.name,
        "createdAt": utc_time(order.created_at),
        "updatedAt": utc_time(order.updated_at),
        "processedAt": utc_time(order.created_at),
        "cancelledAt": _time(order.cancelled_at),
        "cancelReason": order.cancel_reason,
        "closed": order.closed_at is not None,
        "closedAt": _time(order.closed_at),
        "confirmed": True,
        "edited": order.edited,
        "test": order.test,
        "sourceName": order.source_name,
        "sourceIdentifier": order.source_identifier,
        "app": {"id": f"gid://shopify/App/{order.app.id}", "name": order.app.name} if order.app else None,
        "tags": list(order.tags),
        "displayFinancialStatus": order.financial_status,
        "displayFulfillmentStatus": order.fulfilment,
        "returnStatus": order.return_status,
    }


def line_node(line: Line, switches: Switches) -> Node:
    """An order line with what it sells."""
    current = line.current
    if line.current_before_cancel is not None and switches.current_quantity_after_cancel == "unchanged":
        current = line.current_before_cancel
    variant = None if line.variant is None else variant_node(line.variant)
    return {
        "id": f"gid://shopify/LineItem/{line.line_id}",
        "name": line.title,
        "title": line.title,
        "sku": line.sku,
        "quantity": line.ordered,
        "currentQuantity": current,
        "refundableQuantity": line.current,
        "unfulfilledQuantity": line.unfulfilled,
        "nonFulfillableQuantity": line.refunded + line.removed,
        "restockable": line.variant is not None and line.variant.tracked,
        "isGiftCard": line.gift_card,
        "requiresShipping": line.requires_shipping,
        "variant": variant,
        "product": variant and variant["product"],
    }


def refund_node(order: Order, refund: Refund) -> Node:
    """A refund without its lines."""
    created_at = utc_time(refund.created_at)
    return {
        "__typename": "Refund",
        "_order": order,
        "_refund": refund,
        "id": f"gid://shopify/Refund/{refund.refund_id}",
        "legacyResourceId": str(refund.refund_id),
        "createdAt": created_at,
        "processedAt": created_at,
        "updatedAt": created_at,
        "note": refund.note,
    }


def refund_line_node(refunded: RefundLine, switches: Switches) -> Node:
    """A line of a refund; units that were not restocked have no location."""
    restocked = refunded.restock_type is not RestockType.NO_RESTOCK
    return {
        "id": f"gid://shopify/RefundLineItem/{refunded.refund_line_id}",
        "quantity": refunded.quantity,
        "restockType": refunded.restock_type.value,
        "restocked": restocked,
        "location": LOCATION if restocked else None,
        "lineItem": line_node(refunded.line, switches),
    }


def variant_node(variant: Variant) -> Node:
    """A variant with its inventory item and product."""
    sku = variant.sku
    return {
        "__typename": "ProductVariant",
        "id": f"gid://shopify/ProductVariant/{variant.variant_id}",
        "legacyResourceId": str(variant.variant_id),
        "sku": sku,
        "barcode": None,
        "title": "Default Title",
        "displayName": sku or "Item",
        "inventoryPolicy": "DENY",
        "inventoryItem": {
            "id": f"gid://shopify/InventoryItem/{variant.inventory_item_id}",
            "legacyResourceId": str(variant.inventory_item_id),
            "sku": sku,
            "tracked": variant.tracked,
        },
        "product": {
            "id": f"gid://shopify/Product/{variant.product_id}",
            "legacyResourceId": str(variant.product_id),
            "title": sku or "Item",
            "status": "ACTIVE",
        },
    }


def _time(second: int | None) -> str | None:
    return None if second is None else utc_time(second)


# --------------------------------------------------------------------------------------------------------------
# Connections


def cursor(key: Key) -> str:
    """Opaque to clients: base64 of the last sort value and id, so that a page starts behind a place, not a row."""
    value, last_id = key
    return base64.b64encode(json.dumps({"last_id": last_id, "last_value": value}).encode()).decode()


def cursor_key(text: str) -> Key:
    """Raises ValueError for anything that is not one of our cursors."""
    try:
        place = json.loads(base64.b64decode(text, validate=True))
        return int(place["last_value"]), int(place["last_id"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        message = "Malformed cursor"
        raise ValueError(message) from error


def connection(keys: Sequence[Key], nodes: Sequence[Node], *, more: bool, behind: bool) -> Node:
    """One page. `behind`: whether it started behind a cursor."""
    return {
        "_keys": keys,
        "nodes": nodes,
        "pageInfo": {
            "hasNextPage": more,
            "hasPreviousPage": behind,
            "startCursor": cursor(keys[0]) if keys else None,
            "endCursor": cursor(keys[-1]) if keys else None,
        },
    }


def paged(
    items: Sequence[Any],
    id_of: Callable[[Any], int],
    node_of: Callable[[Any], Node],
    *,
    first: int,
    after: str | None,
    reverse: bool,
) -> Node:
    """One page of `items`, which are in ascending order of their ids. Raises ValueError for a malformed cursor."""
    place = None if after is None else cursor_key(after)[1]
    if reverse:
        end = len(items) if place is None else bisect_left(items, place, key=id_of)
        chosen, more = items[max(0, end - first) : end][::-1], end > first
    else:
        start = 0 if place is None else bisect_right(items, place, key=id_of)
        chosen, more = items[start : start + first], start + first < len(items)
    keys = [(id_of(item), id_of(item)) for item in chosen]
    return connection(keys, [node_of(item) for item in chosen], more=more, behind=after is not None)
