from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import AccessEnded, Ignored, Look, Order, Receipt
from connectors.errors import InvalidSignature, Unreadable
from connectors.shopify.hooks import ShopifyHooks
from tests.unit.connectors.shopify.test_orders import BAD_QUANTITIES, JSON, spoilt
from tests.unit.connectors.shopify.vendor import hook_line, hook_order, hook_refund, settings

HOOKS = ShopifyHooks(settings(), account="toys")


def signature(body: bytes, secret: str = "hush") -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def headers(body: bytes, **changes: str | None) -> dict[str, str]:
    values = {
        "x-shopify-hmac-sha256": signature(body),
        "x-shopify-topic": "orders/updated",
        "x-shopify-shop-domain": "toys.myshopify.com",
        "x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        "content-type": "application/json",
    }
    for name, value in changes.items():
        name = f"x-shopify-{name.replace('_', '-')}"  # noqa: PLW2901
        if value is None:
            del values[name]
        else:
            values[name] = value
    return values


def receive(body: Any, hooks: ShopifyHooks = HOOKS, **changes: str | None) -> Receipt:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    if "hmac_sha256" not in changes:
        changes["hmac_sha256"] = signature(raw)
    return hooks.receive(headers(raw, **changes), raw)


def notice(body: Any, hooks: ShopifyHooks = HOOKS, **changes: str | None) -> Any:
    receipt = receive(body, hooks, **changes)
    (found,) = hooks.read(receipt.topic, receipt.kept)
    return found


# Verification -----------------------------------------------------------------------------------------------------

BODY = json.dumps(hook_order(42)).encode()
DEEP = b'{"x":' + b"[" * 200_000


def test_a_signature_over_the_raw_body_is_accepted() -> None:
    assert receive(BODY).topic == "orders/updated"


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "x",
        "no signature at all",
        signature(BODY, "other"),
        signature(BODY + b" "),
        signature(BODY).rstrip("="),
        signature(BODY).lower(),
        " " + signature(BODY),
        signature(BODY) + "\u00e9",
        "\u2603" * 44,
        "\ud800",
        hmac.new(b"hush", BODY, hashlib.sha256).hexdigest(),
        "A" * 100_000,
    ],
)
def test_anything_else_is_refused(given: str | None) -> None:
    with pytest.raises(InvalidSignature) as caught:
        HOOKS.receive(headers(BODY, hmac_sha256=given), BODY)
    assert caught.value.account == "toys"
    assert "hush" not in str(caught.value)


def test_the_signature_covers_bytes_not_json() -> None:
    with pytest.raises(InvalidSignature):
        HOOKS.receive(headers(BODY), json.dumps(json.loads(BODY), indent=1).encode())


def test_every_configured_secret_is_accepted_while_one_is_replaced() -> None:
    hooks = ShopifyHooks(settings(webhook_secrets=["new", "old"]), account="toys")
    for secret in ("new", "old"):
        hooks.receive(headers(BODY, hmac_sha256=signature(BODY, secret)), BODY)
    with pytest.raises(InvalidSignature):
        hooks.receive(headers(BODY, hmac_sha256=signature(BODY, "hush")), BODY)


def test_without_any_secret_every_delivery_is_refused() -> None:
    hooks = ShopifyHooks(settings(client_secret=None), account="toys")
    for secret in ("", "hush"):
        with pytest.raises(InvalidSignature):
            hooks.receive(headers(BODY, hmac_sha256=signature(BODY, secret)), BODY)


def test_a_delivery_for_another_shop_is_refused() -> None:
    with pytest.raises(InvalidSignature) as caught:
        receive(BODY, shop_domain="cards.myshopify.com")
    assert caught.value.code == "shop"
    receive(BODY, shop_domain="Toys.MyShopify.com")
    receive(BODY, shop_domain=None)


def test_a_bad_signature_is_refused_with_401() -> None:
    assert HOOKS.refusal_status == 401


# What is kept -----------------------------------------------------------------------------------------------------


def test_of_an_order_only_what_stock_needs_is_kept() -> None:
    body = hook_order(42, refunds=[hook_refund((11, 1, "cancel"))], tags="VIP, Ada's order")
    receipt = receive(body)
    assert not receipt.raw
    assert json.loads(receipt.kept) == {
        "id": 42,
        "admin_graphql_api_id": "gid://shopify/Order/42",
        "created_at": "2026-11-20T10:30:00+01:00",
        "updated_at": "2026-11-21T12:00:00+01:00",
        "cancelled_at": None,
        "fulfillment_status": None,
        "test": False,
        "source_name": "web",
        "app_id": None,
        "tags": "",
        "line_items": [{"id": 11, "quantity": 3, "current_quantity": 3, "sku": "SKU-11", "variant_id": 511}],
        "refunds": [{"refund_line_items": [{"line_item_id": 11, "quantity": 1, "restock_type": "cancel"}]}],
    }


def test_of_tags_only_those_that_exclude_are_kept() -> None:
    hooks = ShopifyHooks(settings(exclude_tags=["Mirrored"]), account="toys")
    receipt = receive(hook_order(42, tags="call Ada 555-0100, mirrored"), hooks)
    assert json.loads(receipt.kept)["tags"] == "mirrored"
    (order,) = hooks.read(receipt.topic, receipt.kept)
    assert isinstance(order, Order)
    assert order.excluded == "tag mirrored"


@pytest.mark.parametrize(
    "body",
    [
        {"shop_id": 9, "shop_domain": "toys.myshopify.com", "customer": {"id": 5, "email": "ada@example.com"},
         "orders_requested": [42], "data_request": {"id": 77}},
        {"shop_id": 9, "shop_domain": "toys.myshopify.com", "customer": {"phone": "555-0100"}, "orders_to_redact": [4]},
        {"shop_id": 9, "shop_domain": "toys.myshopify.com"},
        {"customer": {"email": "ada@example.com"}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("topic", ["customers/data_request", "customers/redact", "shop/redact"])
def test_compliance_topics_are_answered_and_keep_nothing_personal(body: dict[str, Any], topic: str) -> None:
    receipt = receive(body, topic=topic)
    kept = json.loads(receipt.kept)
    assert kept.keys() <= {"shop_id", "shop_domain", "data_request"}
    assert kept.get("data_request", {}).keys() <= {"id"}
    assert not receipt.raw
    assert HOOKS.read(receipt.topic, receipt.kept) == (Ignored("compliance"),)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"null", b"[]", b"17", BODY[:-20], DEEP, DEEP[5:]])
def test_a_signed_body_that_cannot_be_read_is_kept_raw(body: bytes) -> None:
    receipt = receive(body)
    assert receipt.raw
    assert receipt.kept == body
    with pytest.raises(Unreadable) as caught:
        HOOKS.read(receipt.topic, receipt.kept)
    assert caught.value.account == "toys"


@pytest.mark.parametrize("quantity", BAD_QUANTITIES)
@pytest.mark.parametrize("field", ["quantity", "current_quantity"])
def test_an_order_with_an_absurd_quantity_is_kept_raw_and_named(field: str, quantity: Any) -> None:
    receipt = receive(hook_order(42, [{**hook_line(11), field: quantity}]))
    assert receipt.raw
    with pytest.raises(Unreadable) as caught:
        HOOKS.read(receipt.topic, receipt.kept)
    assert caught.value.order_id == "42"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"admin_graphql_api_id": "gid://shopify/Order/43"}, "disagree"),
        ({"lines": [hook_line(11, 1, 2)]}, "current quantity 2 is above the ordered 1"),
        ({"lines": [hook_line(11), hook_line(11)]}, "twice"),
        ({"lines": [hook_line(11, sku="A\x00")]}, "SKU"),
        ({"refunds": [hook_refund((99, 1, "cancel"))]}, "refund of line 99"),
        ({"refunds": [hook_refund((11, 1, "teleport"))]}, "restock type"),
        ({"updated_at": None}, "updated_at is missing"),
        ({"created_at": "2026-11-20 10:30"}, "created_at"),
    ],
)
def test_a_contradictory_order_is_unreadable(changes: dict[str, Any], reason: str) -> None:
    receipt = receive(hook_order(42, **changes))
    with pytest.raises(Unreadable, match=reason) as caught:
        HOOKS.read(receipt.topic, receipt.kept)
    assert caught.value.account == "toys"


# What it says -----------------------------------------------------------------------------------------------------

TOPICS = ["orders/create", "orders/updated", "orders/cancelled", "orders/delete", "app/uninstalled", "shop/redact",
          "products/update", "", "refunds/create"]  # fmt: skip


@pytest.mark.parametrize("topic", TOPICS)
def test_a_whole_order_is_one_under_any_topic_since_topics_are_not_signed(topic: str) -> None:
    order = notice(hook_order(42), topic=topic)
    assert isinstance(order, Order)
    assert order.order_id == "42"


@pytest.mark.parametrize("topic", TOPICS)
def test_an_edit_and_a_refund_mean_a_look_under_any_topic(topic: str) -> None:
    edit = {
        "order_edit": {"id": 3, "order_id": 42, "line_items": {"additions": [], "removals": [{"id": 1, "delta": 1}]}}
    }
    refund = {**hook_refund((11, 1, "return")), "admin_graphql_api_id": "gid://shopify/Refund/71", "order_id": 42}
    assert notice(edit, topic=topic) == Look("42")
    assert notice(refund, topic=topic) == Look("42")
    assert notice({"id": 71, "order_id": 42, "created_at": "2026-11-20T10:30:00Z"}, topic=topic) == Look("42")


def test_a_deletion_means_a_look() -> None:
    assert notice({"id": 42}, topic="orders/delete") == Look("42")


def test_an_order_of_another_shape_means_a_look() -> None:
    assert notice({"id": 42, "admin_graphql_api_id": "gid://shopify/Order/42"}, topic="orders/paid") == Look("42")
    for missing in ("line_items", "refunds", "updated_at", "created_at", "test", "cancelled_at", "fulfillment_status"):
        body = hook_order(42)
        del body[missing]
        assert notice(body) == Look("42"), missing


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"exclude_tags": ["x"]}, "tags"),
        ({"exclude_apps": ["1"]}, "app_id"),
        ({"exclude_sources": ["x"]}, "source_name"),
    ],
)
def test_a_body_without_what_an_exclusion_rule_needs_means_a_look(rule: dict[str, Any], field: str) -> None:
    body = hook_order(42)
    del body[field]
    assert notice(body, ShopifyHooks(settings(**rule), account="toys")) == Look("42")
    assert isinstance(notice(body), Order)


def test_an_uninstalled_app_is_told() -> None:
    assert notice({"id": 9, "updated_at": "2026-11-20T10:30:00Z"}, topic="app/uninstalled") == AccessEnded()


@pytest.mark.parametrize(
    "body",
    [{}, {"id": 5}, {"id": "abc"}, {"id": 5, "admin_graphql_api_id": "gid://shopify/Product/5", "title": "Bear"}],
)
@pytest.mark.parametrize("topic", ["products/update", "events/new", ""])
def test_topics_we_do_not_know_are_ignored(body: dict[str, Any], topic: str) -> None:
    assert notice(body, topic=topic) == Ignored("unknown_topic")


def test_a_raw_body_can_be_read_again_later() -> None:
    assert isinstance(HOOKS.read("orders/updated", BODY)[0], Order)


# Ids --------------------------------------------------------------------------------------------------------------


def test_the_delivery_id_is_the_senders_or_the_bodys_digest() -> None:
    assert receive(BODY).delivery_id == "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"
    digest = hashlib.sha256(BODY).hexdigest()
    for unusable in (None, "", "x" * 1000, "\u2603", "a\x00b"):
        assert receive(BODY, webhook_id=unusable).delivery_id == digest


def test_a_topic_that_no_table_should_hold_is_dropped() -> None:
    assert receive(BODY, topic="x" * 1000).topic == ""
    assert receive(BODY, topic="orders/\x00").topic == ""


# Anything at all --------------------------------------------------------------------------------------------------


@given(
    st.binary() | (JSON | spoilt(json.loads(BODY))).map(lambda body: json.dumps(body).encode()), st.text(), st.text()
)
def test_receive_and_read_survive_anything_signed(body: bytes, topic: str, webhook_id: str) -> None:
    receipt = receive(body, topic=topic, webhook_id=webhook_id)
    try:
        first = HOOKS.read(receipt.topic, receipt.kept)
    except Unreadable:
        return
    assert not receipt.raw
    # Reducing what was reduced changes nothing, and says the same.
    again = receive(receipt.kept, topic=topic)
    assert again.kept == receipt.kept
    assert HOOKS.read(again.topic, again.kept) == first


NAMES = st.sampled_from(["x-shopify-hmac-sha256", "x-shopify-topic", "x-shopify-webhook-id", "x-shopify-shop-domain"])


@given(st.dictionaries(NAMES, st.text()), st.binary())
def test_receive_refuses_anything_unsigned(unsigned: dict[str, str], body: bytes) -> None:
    with pytest.raises(InvalidSignature):
        HOOKS.receive(unsigned, body)
