"""The shop itself, its catalogue, and the webhook subscriptions of the calling application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import nodes
from .fields import Call, Info, call_with, numeric_id, page, search
from .nodes import Node
from .payloads import utc_time
from .search import Term, number, word
from .subscriptions import Subscription, SubscriptionRefusedError

_VARIANT_TERMS: dict[str, Term] = {
    "sku": word(lambda variant: variant.sku),
    "id": number(lambda variant: variant.variant_id),
    "product_id": number(lambda variant: variant.product_id),
}

# Elsewhere the resource is the first word of the name.
_LONG_RESOURCES = ("INVENTORY_ITEMS", "INVENTORY_LEVELS", "BULK_OPERATIONS", "REVERSE_FULFILLMENT_ORDERS")


def shop(_root: object, info: Info) -> Node:
    """The shop."""
    return nodes.shop_node(info.context.shop.options)


def current_app_installation(_root: object, info: Info) -> Node:
    """What the calling application may do."""
    return nodes.installation_node(sorted(info.context.scopes))


def product_variants(_root: object, info: Info, *, query: str | None = None, **arguments: Any) -> Node:
    """One page of variants, by id."""
    call = call_with(info, "read_products")
    found = search(info, query, _VARIANT_TERMS)
    variants = [variant for variant in call.shop.variants.values() if found.matches(variant)]
    return page(variants, lambda variant: variant.variant_id, nodes.variant_node, arguments)


def locations(_root: object, info: Info, **arguments: Any) -> Node:
    """The one place this shop has its stock."""
    call_with(info, "read_locations")
    return page([nodes.LOCATION], lambda node: int(node["legacyResourceId"]), lambda node: node, arguments)


def topic_of(name: str) -> str:
    """`ORDERS_CREATE` -> `orders/create`."""
    resource = next((long for long in _LONG_RESOURCES if name.startswith(f"{long}_")), name.partition("_")[0])
    return f"{resource}/{name.removeprefix(resource + '_')}".lower()


def webhook_subscription(_root: object, info: Info, *, gid: str) -> Node | None:
    """One registration of the calling application."""
    call: Call = info.context
    found = call.webhooks.subscriptions.get(call.application, numeric_id(gid, "WebhookSubscription"))
    return None if found is None else _subscription_node(found, call.api_versions)


def webhook_subscriptions(
    _root: object,
    info: Info,
    *,
    topics: list[str] | None = None,
    uri: str | None = None,
    encoding: str | None = None,
    **arguments: Any,
) -> Node:
    """One page of the calling application's registrations."""
    call: Call = info.context
    found = [
        subscription
        for subscription in call.webhooks.subscriptions.of(call.application)
        if (not topics or _name_of(subscription.topic) in topics)
        and uri in (None, subscription.uri)
        and encoding in (None, subscription.encoding)
    ]

    def node_of(subscription: Subscription) -> Node:
        return _subscription_node(subscription, call.api_versions)

    return page(found, lambda subscription: subscription.subscription_id, node_of, arguments)


def webhook_subscription_create(_root: object, info: Info, *, topic: str, wanted: dict[str, Any]) -> Node:
    """Register; what is wrong with the address is a user error, not an error."""
    call: Call = info.context
    address = "uri" if "uri" in wanted else "callbackUrl"
    try:
        made = call.webhooks.subscriptions.add(
            call.application,
            topic_of(topic),
            wanted.get(address) or "",
            api_version=call.api_version,
            encoding=wanted.get("format") or "JSON",
            condition=wanted.get("filter"),
            include_fields=wanted.get("includeFields") or (),
            name=wanted.get("name"),
        )
    except SubscriptionRefusedError as refused:
        errors = [{"field": ["webhookSubscription", address], "message": str(refused)}]
        return {"webhookSubscription": None, "userErrors": errors}
    return {"webhookSubscription": _subscription_node(made, call.api_versions), "userErrors": []}


def webhook_subscription_delete(_root: object, info: Info, *, gid: str) -> Node:
    """End a registration of the calling application."""
    call: Call = info.context
    found = call.webhooks.subscriptions.get(call.application, numeric_id(gid, "WebhookSubscription"))
    if found is None:
        errors = [{"field": ["id"], "message": "Webhook subscription does not exist"}]
        return {"deletedWebhookSubscriptionId": None, "userErrors": errors}
    call.webhooks.subscriptions.delete(found)
    return {"deletedWebhookSubscriptionId": gid, "userErrors": []}


def _name_of(topic: str) -> str:
    return topic.replace("/", "_").upper()


def _subscription_node(subscription: Subscription, api_versions: Sequence[str]) -> Node:
    created_at = utc_time(subscription.created_at)
    return {
        "__typename": "WebhookSubscription",
        "id": f"gid://shopify/WebhookSubscription/{subscription.subscription_id}",
        "legacyResourceId": str(subscription.subscription_id),
        "apiVersion": {
            "handle": subscription.api_version,
            "displayName": subscription.api_version,
            "supported": subscription.api_version in api_versions,
        },
        "callbackUrl": subscription.uri,
        "uri": subscription.uri,
        "createdAt": created_at,
        "updatedAt": created_at,
        "filter": subscription.condition,
        "format": subscription.encoding,
        "includeFields": list(subscription.include_fields),
        "metafieldNamespaces": [],
        "name": subscription.name,
        "topic": _name_of(subscription.topic),
    }
