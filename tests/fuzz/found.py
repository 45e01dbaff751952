"""Inputs that something else than a documented error once came of. Each is tried on every run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.fuzz import seeds
from tests.unit.connectors.sharetribe import vendor as sharetribe
from tests.unit.connectors.shopify import vendor as shopify


def _answer(**data: Any) -> bytes:
    """An answer of the shop to any question, with this instead of what is right."""
    whole = seeds.SHOPIFY[0]
    return json.dumps({**whole, "data": {**whole["data"], **data}}).encode()


def _event(**attributes: Any) -> bytes:
    event = sharetribe.event(1, resource=sharetribe.adjustment())
    event["attributes"].update(attributes)
    return json.dumps(sharetribe.page([event])).encode()


def _listing(**changes: Any) -> bytes:
    shown = sharetribe.listing()
    return json.dumps({"data": {**shown, **changes}, "included": [sharetribe.stock(5)]}).encode()


def _named(name: str, element: Any) -> bytes:
    """A page with one malformed element of this id."""
    return json.dumps(
        sharetribe.page([{**element, "id": name, "relationships": [], "attributes": {"state": name}}])
    ).encode()


def _stock(attributes: Any) -> bytes:
    return json.dumps({"data": {"id": "s", "type": "stock", "attributes": attributes}}).encode()


def _found() -> Iterator[tuple[str, str, bytes]]:
    last = shopify.order_node(7, updated_at="9999-12-31T23:59:59Z", lines_after="next")
    long_sku = shopify.line_node(sku="x" * 300)
    yield "an order of the last second of all time", "shopify-answer", _answer(order=last)
    yield (
        "a SKU no column holds",
        "shopify-answer",
        _answer(order=shopify.order_node(7, [long_sku])),
    )
    yield "a reason with NUL in it", "shopify-answer", b'{"errors": [{"message": "a\\u0000b"}]}'
    yield "a code with NUL in it", "shopify-answer", b'{"errors": [{"extensions": {"code": "\\u0000"}}]}'
    yield "a token for ever and a day", "sharetribe-token", b'{"access_token": "t", "expires_in": 1%s}' % (b"0" * 400)
    yield "a token as deep as goes", "sharetribe-token", b"[" * 100_000
    yield (
        "stock with attributes in a list",
        "sharetribe-answer",
        b'{"data": {"id": "s", "type": "stock", "attributes": [1]}}',
    )
    yield (
        "stock whose quantity is a list",
        "sharetribe-answer",
        b'{"data": {"id": "s", "type": "stock", "attributes": {"quantity": []}}}',
    )
    yield "a moment before all time", "sharetribe-answer", _event(createdAt="0001-01-01T00:00:00+23:59")
    yield "an event whose source is a list", "sharetribe-answer", _event(source=[])
    yield "an event of no name", "sharetribe-answer", _event(eventType="listing/\x00")
    yield "an event and its reason with a control character", "sharetribe-answer", _named("\x1f", sharetribe.event(1))
    yield "a listing and its reason with a control character", "sharetribe-answer", _named("\x1f", sharetribe.listing())
    yield "an empty page that goes on", "sharetribe-answer", b'{"data": [], "meta": {"perPage": -1}}'
    yield (
        "a title that no database takes",
        "sharetribe-answer",
        _listing(attributes={**sharetribe.listing()["attributes"], "title": "a\x00\ud800"}),
    )
    yield "an id that no database takes", "sharetribe-answer", _listing(id="\ud800")
    yield "a cursor as deep as goes", "sharetribe-cursor", b"[" * 100_000
    yield "a redirect to nowhere", "whole-answer", b"307\nLocation: https: //elsewhere.example/\n\n"
    yield "a link that no database takes", "links", seeds.LINKS.replace(b"A,", b"A\x00,")
    yield "sales packed and damaged", "sales", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"\xff" * 40


FOUND = {name: (target, data) for name, target, data in _found()}
