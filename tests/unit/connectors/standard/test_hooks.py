from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Askable, Channel, Hooks, Ignored, Order, OrderFiles, Polled
from connectors.errors import InvalidSignature, Unreadable
from connectors.sandbox.clock import VirtualClock
from connectors.standard.hooks import StandardHooks
from tests.unit.connectors.standard.vendor import (
    NOW,
    SECRET,
    TIMESTAMP,
    channel,
    committed,
    line,
    message,
    order,
    settings,
    signed,
)

CLOCK = VirtualClock(NOW)
HOOKS = StandardHooks(settings(), CLOCK, account="till")


def said(content: Any, kind: str = "order.upserted", **changes: Any) -> Any:
    hooks = StandardHooks(settings(**changes), CLOCK, account="till")
    body = message(content, kind)
    receipt = hooks.receive(signed(body), body)
    assert not receipt.raw
    (notice,) = hooks.read(receipt.topic, receipt.kept)
    return notice


def test_a_channel_that_only_sends_says_so() -> None:
    till = channel()
    assert isinstance(till, Channel)
    assert isinstance(till, Hooks)
    assert isinstance(till, OrderFiles)
    assert not isinstance(till, Polled)
    assert not isinstance(till, Askable)
    assert till.subscriptions("https://stock.example/hooks/till") == till.subscribe("x") == ()


def test_a_whole_order_is_one() -> None:
    found = said(order("S-1", line("1", "A", 3, cancelled=1), line("2", "B", 1)))
    assert isinstance(found, Order)
    assert (found.order_id, found.revision, found.fetched_at) == ("S-1", 7, None)
    assert committed(found) == {"1": 2, "2": 1}


def test_the_receipt_names_the_message() -> None:
    body = message(order())
    receipt = channel().receive(signed(body, message_id="msg_9"), body)
    assert (receipt.delivery_id, receipt.topic, receipt.raw) == ("msg_9", "order.upserted", False)


@pytest.mark.parametrize("kind", ["order.upserted", "order.created", "order.cancelled", "order.deleted", "order.a.b_1"])
def test_what_became_of_an_order_is_in_the_order(kind: str) -> None:
    assert committed(said(order(), kind)) == {"1": 3}


@pytest.mark.parametrize("kind", ["ping", "orders.upserted", "stock.changed", "x.order.upserted"])
def test_other_things_are_none_of_ours_and_nothing_of_them_is_kept(kind: str) -> None:
    assert said({"name": "Ada"}, kind) == Ignored("unknown_topic")
    body = message({"name": "Ada"}, kind)
    assert json.loads(HOOKS.receive(signed(body), body).kept) == {"type": kind}


def test_what_is_kept_is_what_stock_needs() -> None:
    body = message(order("S-1", line("1", "A", 3, cancelled=1), source="web", updated_at="2026-11-21T11:00:00Z"))
    kept = json.loads(HOOKS.receive(signed(body), body).kept)
    assert kept == {
        "type": "order.upserted",
        "data": {
            "order_id": "S-1",
            "version": 7,
            "updated_at": "2026-11-21T11:00:00Z",
            "placed_at": "2026-11-20T09:30:00Z",
            "source": "web",
            "lines": [{"line_id": "1", "sku": "A", "quantity": 3, "cancelled": 1}],
        },
    }


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"null", b"3", b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"type":7}', b'{"data":{}}'),
        message(order(), ""),
        message(order(), "order."),
        message(order(), "order upserted"),
        message(order(), "order." + "x" * 100),
        message(None),
        message([]),
        message({"order_id": "S-1"}),
        message(order())[:-20],
        message(order(lines=[line(quantity="3")])),
        b'{"type":"order.upserted"}',
        b'{"type":"order.upserted","data":' + b"[" * 100_000,
    ],
    ids=range(20),
)
def test_what_cannot_be_read_is_kept_raw(body: bytes) -> None:
    receipt = HOOKS.receive(signed(body), body)
    assert receipt.raw
    assert receipt.kept == body
    with pytest.raises(Unreadable) as caught:
        HOOKS.read(receipt.topic, receipt.kept)
    assert caught.value.account == "till"


def test_an_unreadable_order_is_named_where_it_can_be() -> None:
    for content in ({"order_id": "S-1"}, order("S-1", version="x"), order("S-1", line(cancelled=9))):
        body = message(content)
        receipt = HOOKS.receive(signed(body), body)
        with pytest.raises(Unreadable) as caught:
            HOOKS.read(receipt.topic, receipt.kept)
        assert caught.value.order_id == "S-1"


def test_what_nobody_signed_is_refused_and_the_channel_named() -> None:
    body = message(order())
    for headers in ({}, signed(body, b"another thirty-two bytes of a key"), signed(body + b" ")):
        with pytest.raises(InvalidSignature) as caught:
            HOOKS.receive(headers, body)
        assert caught.value.account == "till"
        assert SECRET not in str(caught.value)


def test_the_time_is_looked_at_when_the_message_comes() -> None:
    clock = VirtualClock(NOW)
    hooks = StandardHooks(settings(), clock, account="till")
    body = message(order())
    hooks.receive(signed(body), body)
    clock.set(NOW + timedelta(seconds=301))
    with pytest.raises(InvalidSignature):
        hooks.receive(signed(body), body)
    hooks.receive(signed(body, timestamp=str(int(TIMESTAMP) + 301)), body)


def test_without_a_secret_nothing_is_taken_and_doctor_says_so() -> None:
    till = channel(webhook_secrets=[])
    with pytest.raises(InvalidSignature):
        till.receive(signed(b"{}"), b"{}")
    (failed,) = [check for check in till.check() if not check.ok]
    assert failed.name == "webhook secret"
    assert failed.remedy
    assert all(check.ok for check in channel().check())


def test_doctor_asks_about_orders_of_the_marketplace() -> None:
    assert any("taken twice" in check.detail for check in channel().check())
    assert any("one of web, app" in check.detail for check in channel(exclude_sources=["web", "app"]).check())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*order(), "updated_at", "status", "source"]), JSON, max_size=8))
def test_any_signed_body_is_a_notice_or_unreadable(content: Any) -> None:
    body = message(content)
    receipt = HOOKS.receive(signed(body), body)
    try:
        (notice,) = HOOKS.read(receipt.topic, receipt.kept)
    except Unreadable:
        return
    assert isinstance(notice, Order)
