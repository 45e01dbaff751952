"""Which function answers which field. Fields that are not named here come prepared from `nodes`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema

from . import nodes, order_fields, shop_fields
from .fields import MAX_PAGE, Info, edges, numeric_id, refuse
from .nodes import Node

# Names of arguments that Python needs for itself or spells differently.
_ARGUMENT_NAMES = {"id": "gid", "format": "encoding", "sortKey": "sort", "webhookSubscription": "wanted"}

_FINDERS: dict[str, Callable[..., Node | None]] = {
    "Order": order_fields.order,
    "Refund": order_fields.refund,
    "WebhookSubscription": shop_fields.webhook_subscription,
}


def node(_root: object, info: Info, *, gid: str) -> Node | None:
    """Anything that has a global id here and can be looked up by itself."""
    for kind, find in _FINDERS.items():
        if numeric_id(gid, kind):
            return find(None, info, gid=gid)
    variant = info.context.shop.variants.get(numeric_id(gid, "ProductVariant"))
    return None if variant is None else nodes.variant_node(variant)


def several_nodes(_root: object, info: Info, *, ids: list[str]) -> list[Node | None]:
    """Several of them, null for each that is not there."""
    if len(ids) > MAX_PAGE:
        message = f"The input array size of {len(ids)} is greater than the maximum allowed of {MAX_PAGE}."
        raise refuse(message, "MAX_INPUT_SIZE_EXCEEDED")
    return [node(None, info, gid=gid) for gid in ids]


_RESOLVERS: dict[str, dict[str, Callable[..., Any]]] = {
    "QueryRoot": {
        "currentAppInstallation": shop_fields.current_app_installation,
        "locations": shop_fields.locations,
        "node": node,
        "nodes": several_nodes,
        "order": order_fields.order,
        "orders": order_fields.orders,
        "productVariants": shop_fields.product_variants,
        "refund": order_fields.refund,
        "shop": shop_fields.shop,
        "webhookSubscription": shop_fields.webhook_subscription,
        "webhookSubscriptions": shop_fields.webhook_subscriptions,
    },
    "Mutation": {
        "webhookSubscriptionCreate": shop_fields.webhook_subscription_create,
        "webhookSubscriptionDelete": shop_fields.webhook_subscription_delete,
    },
    "Order": {"lineItems": order_fields.line_items, "refunds": order_fields.refunds},
    "Refund": {"order": order_fields.order_of_refund, "refundLineItems": order_fields.refund_line_items},
}


def attach(schema: GraphQLSchema) -> None:
    """Give the schema's fields their resolvers."""
    for type_name, definition in schema.type_map.items():
        if not isinstance(definition, GraphQLObjectType):
            continue
        for field_name, field in definition.fields.items():
            field.resolve = _RESOLVERS.get(type_name, {}).get(field_name)
            if type_name.endswith("Connection") and field_name == "edges":
                field.resolve = edges
            for argument_name, argument in field.args.items():
                argument.out_name = _ARGUMENT_NAMES.get(argument_name, argument_name)
