"""Deliveries: verified, reduced, read."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from connectors.contract import Ignored, Look
from connectors.errors import InvalidSignature, Unreadable
from connectors.marketplacer.hooks import MarketplacerHooks
from tests.unit.connectors.marketplacer.vendor import HMAC_KEY, HOOK_SECRET, channel_settings

HEADERS = {
    "auth-key": HOOK_SECRET,
    "idempotency-key": "c2FuZGJveDoyNTUy",
    "marketplacer-sequence": "2552",
    "marketplacer-vertical": "sandbox",
}
RELAY_ID = base64.b64encode(b"Invoice-21").decode()


def hooks(**changes: Any) -> MarketplacerHooks:
    return MarketplacerHooks(channel_settings(**changes), account="shop")


def body(node: Any = None, event: str = "update", **changes: Any) -> bytes:
    node = {"__typename": "Invoice", "id": RELAY_ID, "legacyId": 21, "buyer": "Ada"} if node is None else node
    delivery = {"id": "V2ViaG9va0V2ZW50LTE5", "event_name": event, "payload": {"data": {"node": node}}}
    return json.dumps({**delivery, **changes}).encode()


def signature(content: bytes, key: str = HMAC_KEY) -> str:
    return base64.b64encode(hmac.digest(key.encode(), content, hashlib.sha256)).decode()


def test_a_wrong_secret_must_not_turn_the_webhook_off() -> None:
    assert hooks().refusal_status == 503


def test_what_is_kept_is_the_event_and_the_invoice() -> None:
    receipt = hooks().receive(HEADERS, body())
    assert (receipt.delivery_id, receipt.topic, receipt.raw) == ("c2FuZGJveDoyNTUy", "Invoice.update", False)
    assert json.loads(receipt.kept) == {"event": "update", "about": "Invoice", "invoice_id": "21"}
    assert hooks().read(receipt.topic, receipt.kept) == (Look("21"),)


@pytest.mark.parametrize(
    "given", [None, "", "wrong", HOOK_SECRET + "x", HOOK_SECRET[:-1], "ümlaut", HOOK_SECRET.upper()]
)
def test_a_wrong_static_header_is_refused(given: str | None) -> None:
    headers = {**HEADERS, "auth-key": given} if given is not None else {}
    with pytest.raises(InvalidSignature) as caught:
        hooks().receive(headers, body())
    assert HOOK_SECRET not in str(caught.value)


def test_the_header_has_the_name_that_is_set() -> None:
    renamed = hooks(webhook_header="X-Our-Secret")
    assert renamed.receive({"x-our-secret": HOOK_SECRET}, body()).topic == "Invoice.update"
    with pytest.raises(InvalidSignature):
        renamed.receive(HEADERS, body())


def test_every_secret_in_force_is_taken_while_one_is_replaced() -> None:
    both = hooks(webhook_secrets=["the-new-secret-of-ours", HOOK_SECRET])
    for secret in ("the-new-secret-of-ours", HOOK_SECRET):
        assert both.receive({"auth-key": secret}, body()).topic == "Invoice.update"


def test_no_secret_of_ours_refuses_everything() -> None:
    content = body()
    for headers in ({"auth-key": ""}, HEADERS, {"marketplacer-hmac-256": signature(content, "")}):
        with pytest.raises(InvalidSignature):
            hooks(webhook_secrets=[]).receive(headers, content)


def test_an_operators_signature_is_over_the_body() -> None:
    signed = hooks(webhook_secrets=[], webhook_hmac_keys=["an-older-key", HMAC_KEY])
    content = body()
    for key in (HMAC_KEY, "an-older-key"):
        assert signed.receive({"marketplacer-hmac-256": signature(content, key)}, content).topic == "Invoice.update"
    for given in ("", "ümlaut", signature(content, "another key"), signature(content + b" ")):
        with pytest.raises(InvalidSignature):
            signed.receive({"marketplacer-hmac-256": given}, content)
    with pytest.raises(InvalidSignature):
        signed.receive({}, content)


def test_a_wrong_signature_is_not_made_good_by_a_header() -> None:
    both = hooks(webhook_hmac_keys=[HMAC_KEY])
    content = body()
    with pytest.raises(InvalidSignature):
        both.receive({**HEADERS, "marketplacer-hmac-256": signature(content, "another")}, content)
    assert both.receive(HEADERS, content).topic == "Invoice.update"
    # Without a key of ours a signature says nothing, and the header decides.
    assert hooks().receive({**HEADERS, "marketplacer-hmac-256": "anything"}, content).topic == "Invoice.update"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"idempotency-key": "one"}, "one"),
        ({"idempotency-key": "one", "marketplacer-sequence": "7"}, "one"),
        ({"marketplacer-sequence": "7"}, "7"),
        ({"idempotency-key": "x" * 200}, None),
        ({"idempotency-key": "odd\nid"}, None),
        ({}, None),
    ],
)
def test_a_delivery_is_known_by_its_key_or_its_place_or_its_body(headers: dict[str, str], expected: str | None) -> None:
    content = body()
    receipt = hooks().receive({"auth-key": HOOK_SECRET, **headers}, content)
    assert receipt.delivery_id == (expected or hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (body(event="create"), Look("21")),
        (body({"__typename": "Invoice", "legacyId": "21"}), Look("21")),
        (body({"__typename": "Invoice", "id": RELAY_ID}), Look("21")),
        (body({"__typename": "Variant", "id": "x", "legacyId": 1}), Ignored("stock")),
        (body({"__typename": "Advert", "legacyId": 1}), Ignored("stock")),
        (body({"__typename": "Shipment", "legacyId": 1}), Ignored("unknown_topic")),
        (body({"__typename": "line\nbreak"}), Ignored("unknown_topic")),
        (body(event="destroy", payload={"data": {"node": None}}), Ignored("destroyed")),
        (body(payload={"data": {"node": None}}), Ignored("nothing_shown")),
        (body(payload={"data": None}), Ignored("nothing_shown")),
        (body({}), Ignored("nothing_shown")),
    ],
)
def test_what_a_delivery_says(content: bytes, expected: Any) -> None:
    receipt = hooks().receive(HEADERS, content)
    assert receipt.topic.isprintable()
    assert hooks().read(receipt.topic, receipt.kept) == (expected,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (body({"__typename": "Invoice"}), "legacyId"),
        (body({"__typename": "Invoice", "id": "SW52b2ljZS0"}), "legacyId"),
        (body({"__typename": "Invoice", "id": base64.b64encode(b"Variant-21").decode()}), "legacyId"),
        (body({"__typename": "Invoice", "id": "ü"}), "legacyId"),
        (body({"__typename": "Invoice", "legacyId": "x" * 300}), "legacyId"),
        (body(payload={"errors": [{"message": "no field\nx", "path": []}]}), "query fails at the vendor"),
        (body(payload={"errors": [{}]}), "without a reason"),
    ],
)
def test_a_webhook_whose_query_is_of_no_use_says_so(content: bytes, reason: str) -> None:
    receipt = hooks().receive(HEADERS, content)
    with pytest.raises(Unreadable, match=reason) as caught:
        hooks().read(receipt.topic, receipt.kept)
    assert caught.value.code == "query"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        body(payload=None),
        body(event_name=7),
        body({"__typename": 7}),
        body()[:-9],
        json.dumps({"secret": HOOK_SECRET}).encode(),
    ],
)
def test_a_body_that_cannot_be_read_is_accepted_and_kept_without_the_secret_in_it(raw: bytes) -> None:
    receipt = hooks().receive(HEADERS, raw)
    assert receipt.raw
    assert HOOK_SECRET.encode() not in receipt.kept
    with pytest.raises(Unreadable):
        hooks().read(receipt.topic, receipt.kept)
