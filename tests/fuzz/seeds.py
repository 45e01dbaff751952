"""Right inputs to begin with: what vendors and people really send."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.connectors.marketplacer import vendor as marketplacer
from tests.unit.connectors.sharetribe import vendor as sharetribe
from tests.unit.connectors.shopify import vendor as shopify
from tests.unit.connectors.standard import vendor as standard
from tests.unit.connectors.woocommerce import vendor as woocommerce

HOOKS: list[Any] = [
    shopify.hook_order(
        7, [shopify.hook_line(11), shopify.hook_line(12, 2, 1)], [shopify.hook_refund((11, 1, "return"))]
    ),
    {"id": 71, "order_id": 7, "created_at": "2026-11-21T12:00:00Z"},
    {"order_edit": {"order_id": 7, "line_items": {"additions": [{"id": 1, "delta": 1}]}}},
    {"id": 7},
    {"shop_id": 1, "shop_domain": "toys.myshopify.com", "data_request": {"id": 9}},
]

_REGISTRATION = {
    "id": "gid://shopify/WebhookSubscription/1",
    "topic": "ORDERS_UPDATED",
    "uri": "https://stock.example/hooks/toys",
    "format": "JSON",
    "filter": "",
    "includeFields": ["id"],
}

SHOPIFY: list[Any] = [
    {
        # One answer for every question: each takes the field it asked for.
        "data": {
            **shopify.orders_page(shopify.order_node(7), after=after),
            "order": shopify.order_node(
                7,
                [shopify.line_node(11), shopify.line_node(12, 2)],
                refunds=[shopify.refund_node(1, [shopify.refund_line_node(11)])],
                lines_after=after,
            ),
            "refund": {
                "order": {"updatedAt": "2026-11-21T11:00:00Z"},
                "refundLineItems": {"nodes": [shopify.refund_line_node(11)], "pageInfo": shopify.page_info()},
            },
            "shop": {"id": "gid://shopify/Shop/1", "myshopifyDomain": "toys.myshopify.com"},
            "currentAppInstallation": {"accessScopes": [{"handle": "read_orders"}, {"handle": "read_all_orders"}]},
            "webhookSubscriptions": {"nodes": [_REGISTRATION], "pageInfo": shopify.page_info()},
            "webhookSubscriptionCreate": {"webhookSubscription": _REGISTRATION, "userErrors": [{"message": "taken"}]},
            "webhookSubscriptionDelete": {"userErrors": []},
        },
        "extensions": shopify.cost(20, 1900, actual=5),
    }
    for after in (None, "next")
] + [{"errors": [{"message": "slow down", "extensions": {"code": code}}]} for code in ("THROTTLED", "ACCESS_DENIED")]

_WOOCOMMERCE_ORDER = woocommerce.order(1, woocommerce.line(11, 3, "2"), woocommerce.line(12, 2), refunds=[7])

WOOCOMMERCE_HOOKS: list[Any] = [
    woocommerce.order(1, woocommerce.line(11, 3, "2"), woocommerce.line(12, 2)),
    _WOOCOMMERCE_ORDER,
    {"id": 7},
    {"webhook_id": 5},
    {"code": "woocommerce_rest_cannot_view", "message": "Sorry.", "data": {"status": 403}},
]

WOOCOMMERCE_PING = b"Content-Type: application/x-www-form-urlencoded\n\nwebhook_id=5"

WOOCOMMERCE: list[Any] = [
    [_WOOCOMMERCE_ORDER, woocommerce.order(2)],
    _WOOCOMMERCE_ORDER,
    [woocommerce.refund(7, ("11", -1))],
    [{"id": 4, "status": "disabled", "topic": "order.updated", "delivery_url": "https://stock.example/hooks/toys"}],
    {"code": "rest_invalid_param", "message": "No.", "data": {"status": 400, "params": {"orderby": "no"}}},
]

STANDARD_HOOKS: list[Any] = [
    {
        "type": "order.upserted",
        "data": standard.order("S-1", standard.line("1", cancelled=1), standard.line("2", None)),
    },
    {"type": "order.cancelled", "data": standard.order(version=8, status="cancelled", source="web")},
    {"type": "ping"},
]

STANDARD: list[Any] = [
    standard.page(
        standard.order("S-1"), standard.order("S-2", updated_at="2026-11-21T11:00:00.5+05:30"), following="2"
    ),
    standard.page(standard.order("1")),
    {"error": "no"},
]

ORDER_FILES = [
    standard.csv(standard.row(), standard.row("S-1", "2", "B", "4.0"), standard.row("S-2", quantity="x")),
    b'\xef\xbb\xbforder_id;placed_at;SKU;quantity;status;version\r\n1;2026-11-20 09:30;"a;b\nc";2;open;1\r\n',
    b"\n".join(json.dumps(standard.order(f"S-{number}")).encode() for number in range(3)),
]

MARKETPLACER_HOOKS: list[Any] = [
    {"id": "V2Vi", "event_name": "update", "payload": {"data": {"node": {"__typename": "Invoice", "legacyId": 21}}}},
    {
        "id": "V2Vi",
        "event_name": "create",
        "payload": {"data": {"node": {"__typename": "Invoice", "id": "SW52b2ljZS0x"}}},
    },
    {"id": "V2Vi", "event_name": "destroy", "payload": {"data": {"node": None}}},
    {"id": "V2Vi", "event_name": "update", "payload": {"errors": [{"message": "no such field"}]}},
]

MARKETPLACER: list[Any] = [
    marketplacer.page([marketplacer.variant(), marketplacer.variant(4, 12, external_id="CUP")]),
    {"data": [marketplacer.variant()]},
    {"data": [marketplacer.inventory(), marketplacer.inventory(4, 3)]},
    marketplacer.page([marketplacer.advert(11, 12)]),
    marketplacer.page(
        [marketplacer.invoice(21, [31]), marketplacer.invoice(22, [marketplacer.line_item(32)])],
        included=[marketplacer.line_item(), marketplacer.CUSTOMER],
    ),
    {"data": marketplacer.invoice(21), "included": [marketplacer.line_item()]},
]

_INCLUDED = [
    sharetribe.stock(5),
    {
        "id": "reservation-1",
        "type": "stockReservation",
        "attributes": {"quantity": 1, "state": "pending"},
        "relationships": {"transaction": sharetribe.link("transaction", "transaction-1")},
    },
]

SHARETRIBE: list[Any] = [
    {"data": sharetribe.listing(metadata={"sku": "A"}), "included": _INCLUDED},
    {"data": sharetribe.stock(4)},
    sharetribe.page([sharetribe.listing()], _INCLUDED),
    sharetribe.page(
        [sharetribe.adjustment(at="2026-11-20T10:00:00.000Z", reservation="reservation-1")], _INCLUDED, totalItems=1
    ),
    sharetribe.page(
        [
            sharetribe.event(1, resource=sharetribe.adjustment(), clientId="our-client"),
            sharetribe.event(2, "listing/updated", sharetribe.listing(), previous={"attributes": {"state": "draft"}}),
            sharetribe.event(3, "listing/deleted"),
            sharetribe.event(
                4, "transaction/transitioned", {"id": "t", "attributes": {"lastTransition": "transition/decline"}}
            ),
        ]
    ),
    {"errors": [{"code": "old-total-mismatch", "title": "No.", "source": {"path": ["oldTotal", 0]}}]},
]

_SALE = {
    "id": "transaction-1",
    "type": "transaction",
    "attributes": {
        "createdAt": "2026-11-20T10:00:00.000Z",
        "lastTransitionedAt": "2026-11-21T12:00:00.000Z",
        "processName": "default-purchase",
    },
    "relationships": {
        "listing": sharetribe.link("listing", "listing-1"),
        "stockReservation": sharetribe.link("stockReservation", "reservation-1"),
        "provider": sharetribe.link("user", "seller-1"),
    },
}
_SOLD = [
    sharetribe.listing(metadata={"sku": "A"}),
    {
        "id": "reservation-1",
        "type": "stockReservation",
        "attributes": {"quantity": 2, "state": "accepted"},
        "relationships": {"stockAdjustments": {"data": [{"id": "adjustment-1", "type": "stockAdjustment"}]}},
    },
    sharetribe.adjustment(at="2026-11-20T10:00:00.000Z"),
]
SHARETRIBE_SALES: list[Any] = [
    sharetribe.page([_SALE], _SOLD, paginationLimit=100),
    {"data": _SALE, "included": _SOLD},
    sharetribe.page([sharetribe.event(2, "transaction/initiated", _SALE)]),
]
SALES_CURSORS: list[Any] = [
    {"at": "2026-11-21T11:59:00Z", "sequence": 5},
    {"at": "2026-11-21T11:59:00Z", "page": 2, "begun": "2026-11-21T11:58:00Z"},
]
TRANSIT: list[Any] = [
    ["^ ", "~:listingId", "~u9009efe1-25ec-4ed5-9413-e80c584ff6bf", "~:newTotal", 9],
    [
        "^ ",
        "~:price",
        ["~#mn", [1590, "USD"]],
        "~:privateData",
        ["^ ", "^0", ["^1", [1, "EUR"]], "~:at", "~m1577836800000"],
    ],
    {"~:id": {"~#set": ["~:key", "~f1.5", "~i9007199254740993", "~~a"]}},
]
SHARETRIBE_TOKEN = sharetribe.TOKEN
SHOPIFY_TOKEN = {"access_token": "t", "scope": "read_orders", "expires_in": 86399}
CURSOR = {"sequence": 5, "at": "2026-11-21T11:59:00.000Z"}

CONFIGURATION = b"""
[database]
url = "sqlite:///trueup.db"
[broker]
url = "memory://"
[marketplace]
connector = "sharetribe"
client_id = "id"
client_secret = "env:CANARY"
[channels.toys]
connector = "shopify"
shop = "toys.myshopify.com"
access_token = "env:CANARY"
any_seller = true
counted_from = 2026-11-01T00:00:00Z
exclude_tags = ["mirrored"]
[web]
port = 0
"""

ENVIRONMENT = b"""TRUEUP_MARKETPLACE__CONNECTOR=sharetribe
TRUEUP_MARKETPLACE__CLIENT_ID=id
TRUEUP_CHANNELS__TOYS__CONNECTOR=shopify
TRUEUP_CHANNELS__TOYS__SHOP=toys.myshopify.com
TRUEUP_CHANNELS__TOYS__ACCESS_TOKEN=shpat_0123
TRUEUP_CHANNELS__TOYS__ANY_SELLER=true
TRUEUP_WEB__PORT=1
TRUEUP_ALERTS__URLS=["json://localhost"]"""

ANSWERS = [
    b"429\nRetry-After: 3\nDate: Sat, 21 Nov 2026 12:00:00 GMT\n\n{}",
    b"307\nLocation: https://elsewhere.example/\n\n",
    b"503\nContent-Encoding: gzip\nRetry-After: Sat, 21 Nov 2026 12:00:09 GMT\n\nx",
    b'409\nContent-Type: application/json\n\n{"errors": [{"code": "old-total-mismatch", "title": "No."}]}',
    b'200\nX-Shopify-API-Version: 2025-01\nDate: Sat, 21 Nov 2026 11:00:00 GMT\n\n{"data": {}}',
]

LINKS = b"channel,sku,listing_id,units,from\nshop,A,l-1,6,2026-11-01T00:00:00Z\n"
SALES = b"invoice,stock_code,quantity,invoice_date,unit_price\n1,A,2,2011-11-01 08:16:00,1.5\n"


def written(values: Any) -> list[bytes]:
    """Each value as JSON."""
    return [json.dumps(value).encode() for value in values]
