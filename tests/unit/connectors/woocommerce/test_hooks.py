from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Ignored, Look, Notice, Order
from connectors.errors import InvalidSignature, Unreadable
from connectors.woocommerce.hooks import WooCommerceHooks
from tests.unit.connectors.woocommerce.vendor import HOOK_SECRET, line, order, settings

FORM = "application/x-www-form-urlencoded"
HOOKS = WooCommerceHooks(settings(), account="toys")


def signed(body: bytes, secret: str = HOOK_SECRET, **headers: str) -> dict[str, str]:
    signature = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    return {
        "content-type": "application/json",
        "x-wc-webhook-signature": signature,
        "x-wc-webhook-source": "https://shop.test/store/",
        "x-wc-webhook-topic": "order.updated",
        "x-wc-webhook-id": "4",
        "x-wc-webhook-delivery-id": "0cc175b9c0f1b6a831c399e269772661",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }


def body_of(content: Any) -> bytes:
    return json.dumps(content).encode()


def said(content: Any, topic: str = "order.updated", **changes: Any) -> Notice:
    hooks = WooCommerceHooks(settings(**changes), account="toys")
    body = body_of(content)
    receipt = hooks.receive(signed(body, x_wc_webhook_topic=topic), body)
    assert not receipt.raw
    (notice,) = hooks.read(receipt.topic, receipt.kept)
    return notice


# Signatures -------------------------------------------------------------------------------------------------------


def test_a_signed_body_is_taken() -> None:
    body = body_of(order(1))
    receipt = HOOKS.receive(signed(body), body)
    assert (receipt.delivery_id, receipt.topic) == ("0cc175b9c0f1b6a831c399e269772661", "order.updated")
    assert not receipt.raw


def test_each_of_several_secrets_will_do() -> None:
    hooks = WooCommerceHooks(settings(webhook_secrets=["new", "old"]), account="toys")
    for secret in ("new", "old"):
        assert hooks.receive(signed(b"{}", secret), b"{}").topic == "order.updated"
    with pytest.raises(InvalidSignature):
        hooks.receive(signed(b"{}", "older"), b"{}")


@pytest.mark.parametrize(
    "signature", ["", "x", "=", "é" * 20, "\udcff", "A" * 44, base64.b64encode(b"\0" * 32).decode()]
)
def test_any_other_signature_is_refused(signature: str) -> None:
    headers = {**signed(b"{}"), "x-wc-webhook-signature": signature}
    with pytest.raises(InvalidSignature) as caught:
        HOOKS.receive(headers, b"{}")
    assert (caught.value.code, caught.value.account) == ("signature", "toys")
    assert HOOK_SECRET not in str(caught.value)


def test_a_body_that_was_changed_by_a_byte_is_refused() -> None:
    body = body_of(order(1))
    for place in (0, len(body) // 2, len(body) - 1):
        changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises(InvalidSignature):
            HOOKS.receive(signed(body), changed)


def test_an_unsigned_delivery_is_refused() -> None:
    headers = signed(b"{}")
    del headers["x-wc-webhook-signature"]
    with pytest.raises(InvalidSignature) as caught:
        HOOKS.receive(headers, b"{}")
    assert caught.value.code == "missing"


def test_without_a_secret_nothing_is_taken() -> None:
    hooks = WooCommerceHooks(settings(webhook_secrets=[]), account="toys")
    with pytest.raises(InvalidSignature):
        hooks.receive(signed(b"{}", ""), b"{}")


def test_another_shop_is_refused_and_another_spelling_is_not() -> None:
    for source in ("https://other.test/", "https://shop.test/", "https://shop.test/store2/", "", "http://["):
        with pytest.raises(InvalidSignature) as caught:
            HOOKS.receive(signed(b"{}", x_wc_webhook_source=source), b"{}")
        assert caught.value.code == "source"
    for source in ("http://shop.test/store/", "https://SHOP.test:443/store"):
        HOOKS.receive(signed(b"{}", x_wc_webhook_source=source), b"{}")
    headers = signed(b"{}")
    del headers["x-wc-webhook-source"]
    HOOKS.receive(headers, b"{}")


# The ping ---------------------------------------------------------------------------------------------------------


def test_the_ping_is_welcome_without_a_signature_and_says_nothing() -> None:
    receipt = HOOKS.receive({"content-type": f"{FORM}; charset=utf-8"}, b"webhook_id=123")
    assert not receipt.raw
    assert HOOKS.read(receipt.topic, receipt.kept) == (Ignored("ping"),)
    # Under whatever topic somebody may read it again.
    assert HOOKS.read("order.deleted", receipt.kept) == (Ignored("ping"),)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"webhook_id=123"),
        ("", b"webhook_id=123"),
        (FORM, b"webhook_id=0"),
        (FORM, b"webhook_id=1234567"),
        (FORM, b"webhook_id=123\n"),
        (FORM, b"webhook_id=123&id=1"),
        (FORM, b"id=1"),
        (FORM, b""),
        (FORM, b"webhook_id=\xd9\xa1"),
        (FORM, b'{"id":1}'),
    ],
)
def test_what_only_looks_like_a_ping_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(InvalidSignature):
        HOOKS.receive({"content-type": content_type}, body)


def test_a_ping_with_a_false_signature_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        HOOKS.receive({"content-type": FORM, "x-wc-webhook-signature": "x"}, b"webhook_id=123")


# What it says -----------------------------------------------------------------------------------------------------


def test_a_whole_order_is_one() -> None:
    notice = said(order(727, line(11, 2, "2"), line(12, 1)))
    assert isinstance(notice, Order)
    assert (notice.order_id, notice.revision, notice.fetched_at) == ("727", 1795258800, None)
    assert [(one.line_id, one.sku, one.committed) for one in notice.lines] == [("11", "SKU-11", 2), ("12", "SKU-12", 1)]


@pytest.mark.parametrize(
    "topic", ["order.created", "order.updated", "order.restored", "order.deleted", "product.x", ""]
)
def test_a_whole_order_is_one_under_any_topic(topic: str) -> None:
    assert isinstance(said(order(1), topic), Order)


def test_refunds_that_decide_have_to_be_asked_for() -> None:
    assert said(order(1, refunds=[7])) == Look("1")
    assert isinstance(said(order(1, line(11, 3, "2"), refunds=[7])), Order)
    assert said(order(1, line(11, 3, "2"), refunds=[7]), use_reduced_stock=False) == Look("1")


@pytest.mark.parametrize("name", ["status", "date_created_gmt", "date_modified_gmt", "refunds"])
def test_an_order_that_is_not_all_there_is_looked_at(name: str) -> None:
    content = order(1)
    del content[name]
    assert said(content) == Look("1")


@pytest.mark.parametrize(("name", "rule"), [("created_via", "exclude_created_via"), ("meta_data", "exclude_meta_keys")])
def test_what_a_rule_needs_must_be_there(name: str, rule: str) -> None:
    content = order(1)
    del content[name]
    assert isinstance(said(content), Order)
    assert said(content, "order.updated", **{rule: ["x"]}) == Look("1")


@pytest.mark.parametrize("topic", ["order.deleted", "order.updated", "unheard.of", ""])
def test_a_number_alone_is_a_reason_to_look(topic: str) -> None:
    assert said({"id": 727}, topic) == Look("727")


@pytest.mark.parametrize("topic", ["product.updated", "coupon.deleted", "customer.created", "action.wc_x"])
def test_other_things_are_none_of_ours(topic: str) -> None:
    assert said({"id": 727, "sku": "A", "stock_quantity": 5}, topic) == Ignored("unknown_topic")


@pytest.mark.parametrize("content", [{}, {"name": "x"}, {"line_items": []}])
def test_what_names_nothing_is_ignored(content: Any) -> None:
    assert said(content) == Ignored("unknown_topic")


def test_an_error_instead_of_an_order_is_told() -> None:
    with pytest.raises(Unreadable, match="woocommerce_rest_cannot_view") as caught:
        said({"code": "woocommerce_rest_cannot_view", "message": "Sorry", "data": {"status": 403}})
    assert caught.value.account == "toys"


@pytest.mark.parametrize(
    "content",
    [order(1, line(11, 1.5)), order(1, status="shipped"), order(1, line(11, 3, "x")), order(1, modified="yesterday")],
)
def test_an_order_that_makes_no_sense_is_unreadable_and_named(content: Any) -> None:
    with pytest.raises(Unreadable) as caught:
        said(content)
    assert caught.value.order_id == "1"


# What is kept -----------------------------------------------------------------------------------------------------


def test_what_is_kept_is_what_stock_needs() -> None:
    body = body_of(order(1, line(11, 3, "2"), refunds=[7]))
    kept = json.loads(HOOKS.receive(signed(body), body).kept)
    assert kept == {
        "id": 1,
        "status": "processing",
        "date_created_gmt": "2026-11-20T09:30:00",
        "date_modified_gmt": "2026-11-21T11:00:00",
        "line_items": [
            {
                "id": 11,
                "product_id": 93,
                "variation_id": 0,
                "quantity": 3,
                "sku": "SKU-11",
                "meta_data": [{"key": "_reduced_stock", "value": "2"}],
            }
        ],
        "refunds": [{"id": 7}],
        "created_via": "checkout",
        "meta_data": [],
    }


def test_of_an_orders_meta_only_the_keys_that_keep_it_out_are_kept() -> None:
    hooks = WooCommerceHooks(settings(exclude_meta_keys=["_gift"]), account="toys")
    body = body_of(order(1))
    receipt = hooks.receive(signed(body), body)
    assert b"Bob" not in receipt.kept
    (notice,) = hooks.read(receipt.topic, receipt.kept)
    assert isinstance(notice, Order)
    assert notice.excluded == "meta key _gift"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"3", b"<html>", b'{"id":"1"}', b'{"id":1', b"\xff\xfe", b"[" * 100_000]
)
def test_what_cannot_be_read_is_kept_raw(body: bytes) -> None:
    receipt = HOOKS.receive(signed(body), body)
    assert receipt.raw
    assert receipt.kept == body
    with pytest.raises(Unreadable) as caught:
        HOOKS.read(receipt.topic, receipt.kept)
    assert caught.value.code == "delivery"


def test_an_unreadable_body_names_its_order_where_it_can() -> None:
    body = body_of({"id": 5, "status": 7, "line_items": "x"})
    receipt = HOOKS.receive(signed(body), body)
    with pytest.raises(Unreadable) as caught:
        HOOKS.read(receipt.topic, receipt.kept)
    assert caught.value.order_id == "5"


@pytest.mark.parametrize("delivery_id", ["", "é", "a\nb", "x" * 101])
def test_headers_that_cannot_be_stored_are_replaced(delivery_id: str) -> None:
    headers = signed(b"{}", x_wc_webhook_delivery_id=delivery_id, x_wc_webhook_topic=delivery_id)
    receipt = HOOKS.receive(headers, b"{}")
    assert (len(receipt.delivery_id), receipt.topic) == (64, "")


def test_the_delivery_id_has_another_name_in_the_documentation() -> None:
    headers = signed(b"{}", x_wc_delivery_id="one")
    del headers["x-wc-webhook-delivery-id"]
    assert HOOKS.receive(headers, b"{}").delivery_id == "one"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*order(1), "webhook_id", "code", "other"]), JSON, max_size=8))
def test_any_signed_body_is_a_notice_or_unreadable(content: Any) -> None:
    body = body_of(content)
    receipt = HOOKS.receive(signed(body), body)
    try:
        (notice,) = HOOKS.read(receipt.topic, receipt.kept)
    except Unreadable:
        return
    assert isinstance(notice, Order | Look | Ignored)
