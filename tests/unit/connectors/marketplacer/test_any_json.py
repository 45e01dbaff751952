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
from connectors.errors import ConnectorError, Unreadable
from connectors.http import Toolbox
from connectors.marketplacer import ClosingMarketplace, MarketplacerChannel, MarketplacerMarketplace
from connectors.marketplacer.hooks import MarketplacerHooks
from connectors.sandbox.clock import VirtualClock
from tests.unit.connectors.marketplacer.vendor import (
    CUSTOMER,
    HOOK_SECRET,
    advert,
    channel_settings,
    inventory,
    invoice,
    line_item,
    marketplace_settings,
    page,
    variant,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
SEEDS: list[Any] = [
    page([variant(), variant(4, 12, external_id="CUP")], following=2),
    {"data": [variant()]},
    {"data": variant()},
    {"data": [inventory(), inventory(4, 3)]},
    page([advert(11, 12)], included=[variant()]),
    page([invoice(21, [31]), invoice(22, [line_item(32)])], included=[line_item(), CUSTOMER]),
    {"data": invoice(21, [31]), "included": [line_item()]},
    {"id": "x", "event_name": "update", "payload": {"data": {"node": {"__typename": "Invoice", "legacyId": 21}}}},
    {"id": "x", "event_name": "update", "payload": {"errors": [{"message": "no"}]}},
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
    clock = VirtualClock()
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    return Toolbox(clock, LocalBudgets(clock), random.Random(1), transport=transport)


READS: dict[str, Callable[[MarketplacerMarketplace, str], object]] = {
    "listing": lambda marketplace, name: marketplace.listing(name),
    "listings": lambda marketplace, _: list(marketplace.listings()),
    "sales": lambda marketplace, _: list(marketplace.sales(since=START)),
    "adjust": lambda marketplace, name: marketplace.adjust(name, seen=3, delta=-1),
    "check": lambda marketplace, _: marketplace.check(),
}


@pytest.mark.parametrize("read", READS)
@given(
    answer=spoiled(),
    status=st.sampled_from([200, 200, 200, 400, 404, 422]),
    inventory=st.sampled_from(["variants", "multi_store"]),
    closing=st.booleans(),
)
def test_any_answer_to_the_marketplace(read: str, answer: Any, status: int, inventory: str, closing: bool) -> None:
    kind = ClosingMarketplace if closing else MarketplacerMarketplace
    marketplace = kind(marketplace_settings(inventory=inventory), answering(answer, status))
    with suppress(ConnectorError):
        READS[read](marketplace, "2/MUG" if inventory == "multi_store" else "MUG")
    marketplace.disconnect()


@given(answer=spoiled(), act=st.sampled_from(["close", "open"]))
def test_any_answer_to_closing(answer: Any, act: str) -> None:
    marketplace = ClosingMarketplace(marketplace_settings(close_adverts=True), answering(answer, 200))
    with suppress(ConnectorError):
        getattr(marketplace, act)("MUG")
    marketplace.disconnect()


@given(answer=spoiled(), status=st.sampled_from([200, 200, 400, 404]))
def test_any_answer_to_the_channel(answer: Any, status: int) -> None:
    channel = MarketplacerChannel("shop", channel_settings(), answering(answer, status))
    for read in (
        lambda: channel.orders('{"since":"2025-12-31T00:00:00Z"}'),
        lambda: list(channel.recent(START)),
        lambda: channel.order("21"),
        channel.check,
    ):
        with suppress(ConnectorError):
            read()
    channel.close()


@given(body=spoiled().map(json.dumps).map(str.encode) | st.binary(max_size=80))
def test_any_delivery(body: bytes) -> None:
    hooks = MarketplacerHooks(channel_settings(), account="shop")
    receipt = hooks.receive({"auth-key": HOOK_SECRET}, body)
    with suppress(Unreadable):
        hooks.read(receipt.topic, receipt.kept)


@given(cursor=st.text() | anything.map(json.dumps))
def test_any_cursor(cursor: str) -> None:
    channel = MarketplacerChannel("shop", channel_settings(), answering(page([]), 200))
    with suppress(ConnectorError):
        channel.orders(cursor)
    channel.close()
