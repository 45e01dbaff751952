"""Subscriptions and signed webhooks: their shape, retries, faults, and an end after too many failures."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.shopify.sandbox.sender import RETRIES, retry_delay_seconds
from tests.conformance.shopify_sandbox.api import SUBSCRIBE, Api, Receiver, Serve

LIST = """
query List($topics: [WebhookSubscriptionTopic!], $uri: String) {
  webhookSubscriptions(first: 50, topics: $topics, uri: $uri) { nodes { id topic uri format includeFields } }
}
"""
DELETE = """
mutation Delete($id: ID!) {
  webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { field message } }
}
"""


def listed(api: Api, **filters: Any) -> list[str]:
    return [node["topic"] for node in api.ask(LIST, **filters)["webhookSubscriptions"]["nodes"]]


def test_subscriptions_are_made_listed_and_deleted(api: Api) -> None:
    made = api.subscribe("ORDERS_CREATE", "https://shop.example/hook", includeFields=["id", "updated_at"])
    api.subscribe("INVENTORY_LEVELS_UPDATE", "https://shop.example/hook")
    assert listed(api) == ["ORDERS_CREATE", "INVENTORY_LEVELS_UPDATE"]
    assert listed(api, topics=["ORDERS_CREATE"]) == ["ORDERS_CREATE"]
    assert listed(api, uri="https://other.example") == []
    assert api.ask(DELETE, id=made)["webhookSubscriptionDelete"]["deletedWebhookSubscriptionId"] == made
    assert listed(api) == ["INVENTORY_LEVELS_UPDATE"]
    assert api.ask(DELETE, id=made)["webhookSubscriptionDelete"]["userErrors"][0]["field"] == ["id"]


def test_no_application_sees_anothers_subscriptions(serve_with: Serve) -> None:
    with serve_with(other_applications={"observer": "shpat_observer"}) as api:
        made = api.subscribe("ORDERS_CREATE", "https://shop.example/hook")
        api.token = "shpat_observer"
        assert listed(api) == []
        assert api.ask(DELETE, id=made)["webhookSubscriptionDelete"]["deletedWebhookSubscriptionId"] is None


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"uri": "https://shop.example/hook"}, "already been taken"),
        ({"uri": "http://shop.example/hook"}, "invalid"),
        ({"uri": "shop.example"}, "invalid"),
        ({"uri": "https://[shop.example"}, "invalid"),
        ({}, "invalid"),
    ],
)
def test_a_bad_or_taken_address_is_a_user_error(api: Api, wanted: dict[str, str], message: str) -> None:
    api.subscribe("ORDERS_CREATE", "https://shop.example/hook")
    payload = api.ask(SUBSCRIBE, topic="ORDERS_CREATE", wanted=wanted)["webhookSubscriptionCreate"]
    assert payload["webhookSubscription"] is None
    assert message in payload["userErrors"][0]["message"]
    assert len(listed(api)) == 1


def test_compliance_topics_cannot_be_subscribed_to(api: Api) -> None:
    answer = api.post(SUBSCRIBE, topic="CUSTOMERS_REDACT", wanted={"uri": "https://shop.example/hook"}).json()
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_VARIABLE"


def test_a_delivery_is_signed_and_says_what_it_is(api: Api, receiver: Receiver) -> None:
    api.subscribe("ORDERS_CREATE", receiver.url, name="stock")
    api.subscribe("ORDERS_PAID", receiver.url)
    placed = api.place({"sku": "A", "quantity": 2}, {"quantity": 1, "custom": True}, tags=["x", "y"])
    created, paid = sorted(receiver.wait_for(2), key=lambda one: one.topic)
    assert (created.topic, paid.topic) == ("orders/create", "orders/paid")
    assert created.signed_by("sandbox-secret")
    headers = created.headers
    assert headers["x-shopify-shop-domain"] == "sandbox-shop.myshopify.com"
    assert (headers["x-shopify-api-version"], headers["x-shopify-name"]) == ("2026-10", "stock")
    assert headers["x-shopify-triggered-at"] == "2026-01-10T00:00:00Z"
    assert headers["x-shopify-event-id"] == paid.headers["x-shopify-event-id"]
    assert headers["x-shopify-webhook-id"] != paid.headers["x-shopify-webhook-id"]
    body = created.content
    assert (body["id"], body["financial_status"], body["fulfillment_status"]) == (placed["id"], "paid", None)
    assert (body["updated_at"], body["tags"], body["refunds"]) == ("2026-01-10T00:00:00+00:00", "x, y", [])
    sold, custom = body["line_items"]
    assert (sold["id"], sold["sku"], sold["quantity"], sold["current_quantity"]) == (placed["lines"][0], "A", 2, 2)
    assert (custom["variant_id"], custom["product_exists"]) == (None, False)


def test_every_change_has_its_topic_and_shape(api: Api, receiver: Receiver) -> None:
    for topic in ("ORDERS_EDITED", "ORDERS_UPDATED", "ORDERS_CANCELLED", "ORDERS_DELETE", "REFUNDS_CREATE"):
        api.subscribe(topic, receiver.url)
    placed = api.place({"sku": "A", "quantity": 5})
    line_id = placed["lines"][0]
    api.control(f"orders/{placed['id']}/edit", {"set": [{"line_id": line_id, "quantity": 4}]})
    api.refund(placed, (0, 1, "NO_RESTOCK"))
    api.control(f"orders/{placed['id']}/cancel")
    api.control(f"orders/{placed['id']}", method="DELETE")
    bodies = {one.topic: one.content for one in receiver.wait_for(8)}
    assert sorted(receiver.topics()) == [
        "orders/cancelled",
        "orders/delete",
        "orders/edited",
        "orders/updated",
        "orders/updated",
        "orders/updated",
        "refunds/create",
        "refunds/create",
    ]
    assert bodies["orders/edited"]["order_edit"]["line_items"]["removals"] == [{"id": line_id, "delta": 1}]
    assert bodies["orders/delete"] == {"id": placed["id"]}
    cancelled = bodies["orders/cancelled"]
    assert (cancelled["cancel_reason"], cancelled["line_items"][0]["current_quantity"]) == ("customer", 0)
    refunded = [one.content["refund_line_items"][0] for one in receiver.received if one.topic == "refunds/create"]
    located = {one["restock_type"]: one["location_id"] is not None for one in refunded}
    assert located == {"no_restock": False, "cancel": True}
    assert bodies["refunds/create"]["order_id"] == placed["id"]


def test_included_fields_are_all_there_is_and_what_repeats_is_not_sent(api: Api, receiver: Receiver) -> None:
    api.subscribe("ORDERS_UPDATED", receiver.url, includeFields=["id", "line_items.sku", "absent"])
    first, second = api.place(), api.place({"sku": "B", "quantity": 1})
    for _ in range(3):
        api.control(f"orders/{first['id']}/touch")
    api.control(f"orders/{second['id']}/touch")
    bodies = [one.content for one in receiver.wait_for(2)]
    assert sorted(bodies, key=lambda body: body["id"]) == [
        {"id": first["id"], "line_items": [{"sku": "A"}]},
        {"id": second["id"], "line_items": [{"sku": "B"}]},
    ]
    api.until_quiet()
    assert api.show("counts")["deliveries"]["suppressed"] == 2
    assert len(receiver.received) == 2


@pytest.mark.parametrize("status", [302, 404, 500])
def test_anything_but_2xx_is_tried_again_as_it_was(
    api: Api, receiver: Receiver, clock: VirtualClock, status: int
) -> None:
    receiver.statuses = [status]
    api.subscribe("ORDERS_CREATE", receiver.url)
    placed = api.place()
    receiver.wait_for(1)
    api.until_retry()
    assert api.show("quiet")["quiet"] is False
    api.control(f"orders/{placed['id']}/touch")
    clock.advance(retry_delay_seconds(1))
    first, second = receiver.wait_for(2)
    assert (first.body, first.headers["x-shopify-webhook-id"]) == (second.body, second.headers["x-shopify-webhook-id"])
    api.until_quiet()
    deliveries = api.show("counts")["deliveries"]
    assert (deliveries["delivered"], deliveries["failed_attempts"], deliveries["retries"]) == (1, 1, 1)


def test_a_retry_may_carry_another_webhook_id(api: Api, receiver: Receiver) -> None:
    api.control("switches", {"retry_webhook_id": "new"})
    receiver.statuses = [503]
    api.subscribe("ORDERS_CREATE", receiver.url)
    api.place()
    receiver.wait_for(1)
    api.until_retry()
    api.control("flush")
    first, second = receiver.wait_for(2)
    assert first.body == second.body
    assert first.headers["x-shopify-webhook-id"] != second.headers["x-shopify-webhook-id"]


def test_eight_failed_retries_end_a_subscription(api: Api, receiver: Receiver, clock: VirtualClock) -> None:
    receiver.status = 500
    api.subscribe("ORDERS_CREATE", receiver.url)
    api.place()
    spent_seconds = 0.0
    for attempt in range(1, RETRIES + 1):
        receiver.wait_for(attempt)
        api.until_retry()
        assert listed(api) == ["ORDERS_CREATE"]
        clock.advance(retry_delay_seconds(attempt))
        spent_seconds += retry_delay_seconds(attempt)
    receiver.wait_for(RETRIES + 1)
    api.until_quiet()
    assert spent_seconds == pytest.approx(4 * 3600)
    assert listed(api) == []
    deliveries = api.show("counts")["deliveries"]
    assert (deliveries["given_up"], deliveries["subscriptions_deleted"]) == (1, 1)
    api.place()
    api.until_quiet()
    assert len(receiver.received) == RETRIES + 1


def test_a_success_between_saves_the_subscription(api: Api, receiver: Receiver) -> None:
    receiver.status = 500
    api.subscribe("ORDERS_CREATE", receiver.url)
    api.place()
    for attempt in range(1, RETRIES + 1):
        receiver.wait_for(attempt)
        api.until_retry()
        if attempt == 4:
            receiver.statuses = [200]
            api.place()
            receiver.wait_for(attempt + 1)
            receiver.received.pop()
        api.control("flush")
    receiver.wait_for(RETRIES + 1)
    api.until_quiet()
    assert listed(api) == ["ORDERS_CREATE"]
    assert api.show("counts")["deliveries"]["given_up"] == 1


def test_any_eight_failures_may_end_a_subscription(serve_with: Serve, receiver: Receiver) -> None:
    with serve_with(switches={"subscription_deleted_after": "failures"}) as api:
        receiver.status = 500
        api.subscribe("ORDERS_CREATE", receiver.url)
        for _ in range(RETRIES):
            assert listed(api) == ["ORDERS_CREATE"]
            api.place()
        receiver.wait_for(RETRIES)
        api.until_retry(RETRIES)
        assert listed(api) == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/hook", "https://exa mple.test/"])
def test_an_address_nobody_answers_at_fails(api: Api, address: str) -> None:
    api.subscribe("ORDERS_CREATE", address)
    api.place()
    api.until_retry()
    assert api.show("counts")["deliveries"]["failed_attempts"] == 1


def test_a_rotated_secret_signs_what_comes_after(serve_with: Serve, receiver: Receiver) -> None:
    with serve_with(client_secret="old", further_secrets=["new"]) as api:
        api.subscribe("ORDERS_CREATE", receiver.url)
        api.place()
        assert receiver.wait_for(1)[0].signed_by("old")
        api.control("switches", {"signing_secret": 1})
        api.place()
        assert receiver.wait_for(2)[1].signed_by("new")


def test_an_uninstall_is_told_and_ends_every_subscription(api: Api, receiver: Receiver) -> None:
    api.subscribe("APP_UNINSTALLED", receiver.url)
    api.subscribe("ORDERS_CREATE", receiver.url)
    api.control("uninstall")
    received = receiver.wait_for(1)[0]
    assert (received.topic, received.content["myshopify_domain"]) == ("app/uninstalled", "sandbox-shop.myshopify.com")
    api.control("reinstall")
    assert listed(api) == []


def test_any_delivery_can_be_made_up(api: Api, receiver: Receiver) -> None:
    redact = {"shop_id": 1, "shop_domain": "sandbox-shop.myshopify.com"}
    sent = api.control("webhooks", {"topic": "shop/redact", "body": redact, "url": receiver.url})
    assert sent == {"answers": [{"url": receiver.url, "status": 200}]}
    forged = {"topic": "orders/create", "raw_body": "{", "url": receiver.url, "signed": False, "headers": {"X-A": "b"}}
    receiver.statuses = [401]
    assert api.control("webhooks", forged)["answers"][0]["status"] == 401
    first, second = receiver.received
    assert (first.topic, first.content, first.signed_by("sandbox-secret")) == ("shop/redact", redact, True)
    assert (second.body, second.headers["x-a"], second.signed_by("sandbox-secret")) == (b"{", "b", False)
    assert api.show("quiet")["quiet"] is True


def test_webhooks_go_wrong_as_often_as_told(serve_with: Serve, receiver: Receiver) -> None:
    faults = {"drop_rate": 0.2, "duplicate_rate": 0.2, "forge_rate": 0.2, "tamper_rate": 0.2, "truncate_rate": 0.2}
    with serve_with(seed=7, delivery_faults=faults) as api:
        api.subscribe("ORDERS_CREATE", receiver.url)
        placed = [api.place()["id"] for _ in range(60)]
        api.until_quiet()
        counts = api.show("counts")["deliveries"]
    for fault in ("dropped", "duplicated", "forged", "tampered", "truncated"):
        assert 3 <= counts[fault] <= 24, fault
    received = receiver.received
    forged = [one for one in received if not one.signed_by("sandbox-secret")]
    signed = [one for one in received if one.signed_by("sandbox-secret")]
    tampered = [
        one
        for one in signed
        if one.topic != "orders/create" or one.headers["x-shopify-shop-domain"] != "sandbox-shop.myshopify.com"
    ]
    assert (len(forged), len(tampered)) == (counts["forged"], counts["tampered"])
    assert len(received) == 60 - counts["dropped"] + counts["duplicated"] + counts["forged"] + counts["tampered"]
    ids = [one.headers["x-shopify-webhook-id"] for one in received]
    assert len(ids) - len(set(ids)) == counts["duplicated"]
    whole = {one.content["id"] for one in signed if one.body.endswith(b"}")}
    assert whole < set(placed)


def test_a_delivery_held_back_comes_after_later_ones(serve_with: Serve, receiver: Receiver) -> None:
    # The clock stands still, so nothing but later deliveries can set it free.
    faults = {"reorder_rate": 1.0, "reorder_span": 3, "reorder_hold_seconds": 1000}
    with serve_with(concurrent_deliveries=1, delivery_faults=faults) as api:
        api.subscribe("ORDERS_CREATE", receiver.url)
        held = api.place()["id"]
        api.control("delivery_faults", {"reorder_rate": 0})
        later = [api.place()["id"] for _ in range(4)]
        api.until_quiet()
        assert api.show("counts")["deliveries"]["reordered"] == 1
    order = [one.content["id"] for one in receiver.received]
    assert sorted(order) == [held, *later]
    assert order[0] == later[0]


def test_a_flush_sends_whatever_waits(serve_with: Serve, receiver: Receiver) -> None:
    with serve_with(delivery_faults={"reorder_rate": 0.5, "delay_seconds": [60, 90]}) as api:
        api.subscribe("ORDERS_CREATE", receiver.url)
        placed = [api.place()["id"] for _ in range(10)]
        pending = api.show("quiet")
        assert pending["held"]
        assert pending["held"] + pending["delayed"] == 10
        api.control("flush")
        api.until_quiet()
    assert sorted(one.content["id"] for one in receiver.received) == placed


def test_what_is_held_back_or_delayed_comes_with_time(
    serve_with: Serve, receiver: Receiver, clock: VirtualClock
) -> None:
    with serve_with(delivery_faults={"reorder_rate": 1.0, "reorder_hold_seconds": 10}) as api:
        api.subscribe("ORDERS_CREATE", receiver.url)
        api.place()
        assert api.show("quiet")["held"] == 1
        api.control("delivery_faults", {"reorder_rate": 0, "delay_seconds": [60, 60]})
        api.place()
        assert api.show("quiet")["delayed"] == 1
        clock.advance(10)
        receiver.wait_for(1)
        clock.advance(50)
        receiver.wait_for(2)
        api.until_quiet()
