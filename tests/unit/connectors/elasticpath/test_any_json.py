"""Whatever an answer holds, it is a value or an error of ours."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.budget import LocalBudgets
from connectors.elasticpath import ElasticPathChannel, ElasticPathMarketplace
from connectors.elasticpath.hooks import ElasticPathHooks
from connectors.errors import ConnectorError, Unreadable
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from tests.unit.connectors.elasticpath.vendor import (
    HOOK_SECRET,
    TOKEN,
    channel_settings,
    item,
    located,
    marketplace_settings,
    order,
    page,
    product,
    stock,
    transaction,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
SEEDS: list[Any] = [
    page([order()], items=[item()], total=1),
    {"data": order(), "included": {"items": [item()]}},
    page([product("a"), product("b")]),
    {"data": product()},
    {"data": stock()},
    {"data": located(york=3)},
    page([transaction(), transaction("t-2", "create")], total=2),
    {"data": transaction()},
    {"errors": [{"status": 404, "title": "Not Found", "meta": {"missing_ids": ["a"]}}]},
]

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("\ud800")
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """A documented answer with up to two places of it replaced by anything."""
    value = json.loads(json.dumps(draw(st.sampled_from(SEEDS))))
    for _ in range(draw(st.integers(0, 2))):
        value = _replaced(value, draw)
    return value


def _replaced(value: Any, draw: st.DrawFn) -> Any:
    if not isinstance(value, (dict, list)) or not value or draw(st.integers(0, 3)) == 0:
        return draw(anything)
    if isinstance(value, dict):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: _replaced(value[key], draw)}
    place = draw(st.integers(0, len(value) - 1))
    return [*value[:place], _replaced(value[place], draw), *value[place + 1 :]]


def answering(answer: Any, status: int) -> Toolbox:
    content = json.dumps(answer).encode()

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/access_token":
            return httpx.Response(200, json=TOKEN)
        return httpx.Response(status, content=content)

    clock = VirtualClock()
    return Toolbox(clock, LocalBudgets(clock), random.Random(1), transport=httpx.MockTransport(handle))


READS: dict[str, Callable[[ElasticPathMarketplace], object]] = {
    "listing": lambda marketplace: marketplace.listing("product-1"),
    "listings": lambda marketplace: list(marketplace.listings()),
    "adjustments": lambda marketplace: marketplace.adjustments("product-1", since=START),
    "adjust": lambda marketplace: marketplace.adjust("product-1", seen=3, delta=-1),
    "check": lambda marketplace: marketplace.check(),
}


@pytest.mark.parametrize("read", READS)
@given(answer=spoiled(), status=st.sampled_from([200, 201, 400, 404, 422]), multi_location=st.booleans())
def test_any_answer_to_the_marketplace(read: str, answer: Any, status: int, multi_location: bool) -> None:
    changes = {"inventory": "multi_location", "location": "york"} if multi_location else {}
    marketplace = ElasticPathMarketplace(marketplace_settings(**changes), answering(answer, status))
    with suppress(ConnectorError):
        READS[read](marketplace)
    marketplace.disconnect()


@given(answer=spoiled(), status=st.sampled_from([200, 400, 404]))
def test_any_answer_to_the_channel(answer: Any, status: int) -> None:
    channel = ElasticPathChannel("shop", channel_settings(), answering(answer, status))
    for read in (
        lambda: channel.orders('{"since":"2025-12-31T00:00:00Z"}'),
        lambda: list(channel.recent(START)),
        lambda: channel.order("order-1"),
        lambda: channel.subscriptions("https://trueup.example/hook"),
        channel.check,
    ):
        with suppress(ConnectorError):
            read()
    channel.close()


@given(body=spoiled().map(json.dumps).map(str.encode) | st.binary(max_size=80))
def test_any_delivery(body: bytes) -> None:
    hooks = ElasticPathHooks(channel_settings(), account="shop")
    receipt = hooks.receive({"x-moltin-secret-key": HOOK_SECRET}, body)
    try:
        hooks.read(receipt.topic, receipt.kept)
    except Unreadable:
        assert receipt.raw


@given(cursor=st.text() | anything.map(json.dumps))
def test_any_cursor(cursor: str) -> None:
    channel = ElasticPathChannel("shop", channel_settings(), answering(page([]), 200))
    with suppress(ConnectorError):
        channel.orders(cursor)
    channel.close()
