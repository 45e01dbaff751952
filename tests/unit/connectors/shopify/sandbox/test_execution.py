"""Quick execution gives what graphql-core itself gives."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import execute_sync, parse

from connectors.sandbox.clock import VirtualClock
from connectors.shopify.sandbox import Options
from connectors.shopify.sandbox.commands import OrderSpec, RefundSpec
from connectors.shopify.sandbox.execution import QuickExecution
from connectors.shopify.sandbox.fields import Call
from connectors.shopify.sandbox.graphql_api import schema_of
from connectors.shopify.sandbox.shop import Shop
from connectors.shopify.sandbox.webhooks import Webhooks

DOCUMENTS = [
    "{ shop { name } currentAppInstallation { accessScopes { handle } } }",
    """query ($some: Boolean = false) { orders(first: 2, sortKey: ID) {
        __typename
        edges { cursor node { id app { id name } tags } }
        all: nodes {
            id name
            ...Lines
            refunds(first: 5) { id order { id } refundLineItems(first: 5) {
                nodes { quantity restockType location { id } lineItem { id variant { sku } } }
            } }
            ... on Order { test name @skip(if: $some) closed @include(if: $some) }
        }
        pageInfo { hasNextPage endCursor }
    } }
    fragment Lines on Order { lineItems(first: 1) {
        nodes { id again: id variant { id inventoryItem { tracked } } product { status } }
        nodes { sku }
        pageInfo { hasNextPage }
    } }""",
    '{ node(id: "gid://shopify/Order/6100000000001") { __typename id ... on Order { name app { name } } } }',
    '{ nodes(ids: ["gid://shopify/Refund/930000000001", "gid://shopify/Order/1"]) { __typename id } }',
    '{ order(id: "gid://shopify/Order/1") { id } missing: order(id: "nothing") { id } }',
    "{ orders { nodes { id } } }",
    '{ orders(first: 1) { nodes { lineItems(first: 1, after: "x") { nodes { id } } } } }',
]


@pytest.fixture
def call() -> Call:
    clock, options = VirtualClock(), Options()
    webhooks = Webhooks(options, clock)
    shop = Shop(options, clock, webhooks.announce)
    lines = [{"sku": "A", "quantity": 2}, {"quantity": 1, "custom": True}]
    app = {"id": 5, "name": "POS"}
    for number in range(3):
        spec = {"lines": lines, "app": app if number else None, "tags": ["x", "y"]}
        order = shop.place(OrderSpec.model_validate(spec))
        for kind in ("CANCEL", "NO_RESTOCK"):
            part = {"line_id": order.lines[0].line_id, "quantity": 1, "restock_type": kind}
            shop.refund(order.order_id, RefundSpec.model_validate({"lines": [part]}))
    return Call(shop, webhooks, "app", frozenset(options.scopes), "2026-10", options.api_versions)


def outcome(call: Call, text: str, *, quick: bool) -> tuple[Any, Any]:
    executed = execute_sync(
        schema_of("2026-10"),
        parse(text),
        context_value=call,
        execution_context_class=QuickExecution if quick else None,
    )
    return executed.data, executed.errors and [error.formatted for error in executed.errors]


@pytest.mark.parametrize("text", DOCUMENTS)
def test_quick_execution_changes_nothing(call: Call, text: str) -> None:
    assert outcome(call, text, quick=True) == outcome(call, text, quick=False)


def test_the_documents_reach_what_they_are_meant_to(call: Call) -> None:
    data, errors = outcome(call, DOCUMENTS[1], quick=True)
    first = data["orders"]["all"][0]
    assert errors is None
    assert first["lineItems"]["nodes"][0]["sku"] == "A"
    assert [one["refundLineItems"]["nodes"][0]["restockType"] for one in first["refunds"]] == ["CANCEL", "NO_RESTOCK"]
    assert ("name" in first, "closed" in first) == (True, False)
