"""What documents cost. The figures marked as measured are those real shops answered."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import get_operation_ast, parse

from connectors.sandbox.clock import VirtualClock
from connectors.shopify.sandbox.cost import Bucket, Tariff
from connectors.shopify.sandbox.graphql_api import schema_of


def requested(text: str, *, linear: bool = False, **variables: Any) -> int:
    document = parse(text)
    operation = get_operation_ast(document)
    assert operation is not None
    tariff = Tariff(schema_of("2026-10"), document, "linear" if linear else "logarithmic")
    return tariff.requested(operation, variables)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        # Measured.
        ("{ __typename }", 1),
        ("{ shop { name } }", 1),
        ("{ currentAppInstallation { accessScopes { handle } } }", 2),
        ("query ($id: ID!) { order(id: $id) { id name tags } }", 1),
        ("{ orders(first: 1) { nodes { id } pageInfo { hasNextPage endCursor } } }", 3),
        ("{ orders(first: 10) { nodes { id name } } }", 6),
        ("{ orders(first: 20) { nodes { id name cancelledAt } } }", 7),
        ("query ($id: ID!) { order(id: $id) { lineItems(first: 50) { nodes { id variant { id } } } } }", 17),
        # By the same rules.
        ("{ orders(first: 0) { nodes { id } } }", 2),
        ("{ orders(first: 250) { nodes { id } } }", 13),
        ("{ orders(first: 10) { edges { cursor node { id } } } }", 6),
        ("{ orders(first: 10) { nodes { id refunds(first: 20) { id } } } }", 10),
        ("{ orders(first: 10) { nodes { lineItems(first: 250) { nodes { id variant { id } } } } } }", 102),
        ('mutation { webhookSubscriptionDelete(id: "x") { deletedWebhookSubscriptionId userErrors { message } } }', 10),
        ("{ a: shop { id } b: shop { id } }", 2),
        ("fragment F on QueryRoot { shop { id } } { ...F ... on QueryRoot { orders(first: 1) { nodes { id } } } }", 4),
        ('{ node(id: "x") { ... on Order { app { id } } ... on Refund { order { app { id } } } } }', 3),
    ],
)
def test_requested_cost(text: str, points: int) -> None:
    assert requested(text) == points


def test_variables_size_connections() -> None:
    text = "query ($n: Int) { orders(first: $n) { nodes { id } } }"
    assert requested(text, n=50) == 9
    assert requested(text, n=None) == 2


def test_connections_may_cost_in_proportion() -> None:
    text = "{ orders(first: 10) { nodes { id lineItems(first: 20) { nodes { id } } } } }"
    assert requested(text, linear=True) == 2 + 10 * (1 + 2 + 20)


def test_the_bucket_fills_up_again_to_its_brim() -> None:
    clock = VirtualClock()
    bucket = Bucket(clock, maximum=100, restore_per_second=10)
    bucket.spend(95)
    assert not bucket.covers(6)
    clock.advance(1)
    assert bucket.covers(15)
    clock.advance(100)
    assert bucket.status() == {"maximumAvailable": 100, "currentlyAvailable": 100, "restoreRate": 10}
    bucket.empty()
    assert not bucket.covers(1)
