from __future__ import annotations

from pathlib import Path

import pytest
from graphql import OperationDefinitionNode, build_schema, parse, validate

import connectors.shopify
from connectors.shopify import documents
from connectors.shopify.documents import Document, PageShape

EVERY = [found for found in vars(documents).values() if isinstance(found, Document)] + [PageShape.of(25).document]
SCHEMA = build_schema((Path(connectors.shopify.__file__).parent / "sandbox" / "schema.graphql").read_text("utf-8"))


@pytest.mark.parametrize("document", EVERY, ids=lambda document: document.name)
def test_a_document_is_valid_and_named_as_its_operation(document: Document) -> None:
    parsed = parse(document.text)
    assert validate(SCHEMA, parsed) == []
    (operation,) = parsed.definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name is not None
    assert operation.name.value == document.name


@pytest.mark.parametrize("document", EVERY, ids=lambda document: document.name)
def test_no_document_asks_for_anything_personal(document: Document) -> None:
    asked = document.text.lower()
    for word in ("customer", "address", "email", "phone", "price", "money", "note", "transactions"):
        assert word not in asked


@pytest.mark.parametrize("document", EVERY, ids=lambda document: document.name)
def test_no_document_can_cost_more_than_one_query_may(document: Document) -> None:
    assert document.requested_cost <= 1000


@pytest.mark.parametrize("orders", range(1, 51))
def test_a_page_of_any_size_has_room_and_can_be_paid(orders: int) -> None:
    shape = PageShape.of(orders)
    assert shape.orders == orders
    assert 1 <= shape.lines <= documents.MAX_PAGE
    assert shape.document.requested_cost <= 900


def test_the_shapes_the_docstring_names() -> None:
    assert [PageShape.of(orders).lines for orders in (25, 12, 6, 1)] == [14, 34, 71, 250]


def test_a_crowded_page_gets_more_room_where_that_is_cheap() -> None:
    assert PageShape(25, 14).after(25, 10, 120.0, 25) == PageShape(25, 28)
    assert PageShape(25, 200).after(25, 10, 120.0, 25) == PageShape(25, 250)


def test_a_crowded_page_gets_fewer_orders_where_room_is_dear_or_its_price_unknown() -> None:
    assert PageShape(25, 14).after(25, 10, 853.0, 25) == PageShape.of(12)
    assert PageShape(25, 14).after(25, 10, None, 25) == PageShape.of(12)
    assert PageShape(25, 250).after(25, 10, 120.0, 25) == PageShape.of(12)
    assert PageShape(1, 250).after(1, 1, None, 25) == PageShape.of(1)


def test_a_few_long_orders_change_nothing() -> None:
    assert PageShape(25, 14).after(25, 2, 120.0, 25) == PageShape(25, 14)


def test_a_page_that_fits_grows_back_to_the_size_asked_for() -> None:
    assert PageShape.of(6).after(6, 0, None, 25) == PageShape.of(12)
    assert PageShape.of(20).after(20, 0, None, 25) == PageShape.of(25)
    assert PageShape(25, 56).after(25, 0, None, 25) == PageShape(25, 56)
