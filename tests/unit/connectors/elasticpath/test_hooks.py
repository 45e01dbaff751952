"""Deliveries: verified, reduced, read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.contract import Ignored, Look
from connectors.elasticpath.hooks import ElasticPathHooks
from connectors.errors import InvalidSignature, Unreadable
from tests.unit.connectors.elasticpath.vendor import HOOK_SECRET, channel_settings, item, order

HEADERS = {"x-moltin-secret-key": HOOK_SECRET, "x-moltin-integration-trigger": "order.paid"}


def hooks(**changes: Any) -> ElasticPathHooks:
    return ElasticPathHooks(channel_settings(**changes), account="shop")


def body(**changes: Any) -> bytes:
    payload = {"data": order(), "included": {"items": [item()]}}
    delivery = {
        "id": "event-1",
        "triggered_by": "order.paid",
        "attempt": 1,
        "integration": {"id": "i-1"},
        "resources": json.dumps(payload),
        "payload": payload,
        "configuration": {"secret_key": HOOK_SECRET, "url": "https://trueup.example/hook"},
    }
    return json.dumps({**delivery, **changes}).encode()


def test_what_is_kept_is_the_event_and_the_order() -> None:
    receipt = hooks().receive(HEADERS, body())
    assert (receipt.delivery_id, receipt.topic, receipt.raw) == ("event-1", "order.paid", False)
    assert json.loads(receipt.kept) == {"triggered_by": "order.paid", "order_id": "order-1"}
    assert hooks().read(receipt.topic, receipt.kept) == (Look("order-1"),)


def test_a_second_attempt_is_kept_as_the_same_bytes() -> None:
    first, second = (hooks().receive(HEADERS, body(attempt=attempt)) for attempt in (1, 2))
    assert first == second


@pytest.mark.parametrize(
    "given", [None, "", "wrong", HOOK_SECRET + "x", HOOK_SECRET[:-1], "ümlaut", HOOK_SECRET.upper()]
)
def test_a_wrong_secret_is_refused(given: str | None) -> None:
    headers = {} if given is None else {"x-moltin-secret-key": given}
    with pytest.raises(InvalidSignature) as caught:
        hooks().receive(headers, body())
    assert HOOK_SECRET not in str(caught.value)


def test_no_secret_of_ours_refuses_everything() -> None:
    for given in ("", HOOK_SECRET):
        with pytest.raises(InvalidSignature):
            hooks(webhook_secrets=[]).receive({"x-moltin-secret-key": given}, body())


def test_every_secret_in_force_is_taken_while_one_is_replaced() -> None:
    both = hooks(webhook_secrets=["the-new-secret-of-ours", HOOK_SECRET])
    for secret in ("the-new-secret-of-ours", HOOK_SECRET):
        assert both.receive({"x-moltin-secret-key": secret}, body()).topic == "order.paid"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"payload": {"data": {"type": "order", "id": 7}}}',
        body(payload="nonsense"),
        body()[:-9],
    ],
)
def test_a_body_that_cannot_be_read_is_kept_without_the_secret_in_it(raw: bytes) -> None:
    receipt = hooks().receive(HEADERS, raw)
    assert receipt.raw
    assert HOOK_SECRET.encode() not in receipt.kept
    with pytest.raises(Unreadable):
        hooks().read(receipt.topic, receipt.kept)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"triggered_by": "order.updated"}, Look("order-1")),
        ({"triggered_by": "never.heard.of"}, Look("order-1")),
        ({"payload": {"type": "order", "id": "order-9"}, "resources": {}}, Look("order-9")),
        (
            {
                "triggered_by": "stock-transaction.created",
                "payload": {"data": {"type": "stock-transaction", "id": "t"}},
            },
            Ignored("stock"),
        ),
        (
            {"triggered_by": "integration.deleted", "payload": {"type": "integration", "id": "i"}},
            Ignored("unknown_topic"),
        ),
        ({"payload": {"data": {"type": "order", "id": "x" * 300}}}, Ignored("unknown_topic")),
        ({"payload": None}, Ignored("unknown_topic")),
        ({"triggered_by": "line\nbreak"}, Look("order-1")),
    ],
)
def test_what_a_delivery_says(changes: dict[str, Any], expected: Any) -> None:
    receipt = hooks().receive(HEADERS, body(**changes))
    assert receipt.topic.isprintable()
    assert hooks().read(receipt.topic, receipt.kept) == (expected,)


@pytest.mark.parametrize("named", ["", "x" * 200, "odd\nid"])
def test_an_event_without_a_fit_id_is_known_by_its_body(named: str) -> None:
    receipt = hooks().receive(HEADERS, body(id=named))
    assert len(receipt.delivery_id) == 64
    assert receipt.delivery_id != hooks().receive(HEADERS, body(id=named, attempt=2)).delivery_id
