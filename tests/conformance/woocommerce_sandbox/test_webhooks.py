"""Webhooks: the ping, the signature, the body of its own moment, and what becomes of one that fails."""

from __future__ import annotations

import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.woocommerce_sandbox.api import SECRET, Api, Receiver, until


def test_a_new_webhook_is_tried_with_an_unsigned_ping(api: Api, receiver: Receiver) -> None:
    made = api.register("order.updated", receiver.url).json()
    (ping,) = receiver.pings
    assert ping.body == f"webhook_id={made['id']}".encode()
    assert ping.headers["content-type"] == "application/x-www-form-urlencoded"
    assert not any(name.startswith("x-wc-") for name in ping.headers)


def test_an_address_that_does_not_answer_200_is_not_registered(api: Api, receiver: Receiver) -> None:
    receiver.status = 204
    assert api.register("order.updated", receiver.url).status_code == 400
    assert api.get("webhooks") == []
    api.control("switches", {"ping_on_rest": False})
    assert api.register("order.updated", receiver.url).status_code == 201


def test_a_delivery_is_signed_and_says_what_it_is(api: Api, receiver: Receiver) -> None:
    made = api.register("order.created", receiver.url).json()
    order = api.place()
    (delivery,) = receiver.wait_for(1)
    assert delivery.signed_with(SECRET)
    assert delivery.content == api.get(f"orders/{order['id']}")
    assert {name: delivery.headers[name] for name in delivery.headers if name.startswith("x-wc-")} == {
        "x-wc-webhook-source": "https://sandbox-shop.example/",
        "x-wc-webhook-topic": "order.created",
        "x-wc-webhook-resource": "order",
        "x-wc-webhook-event": "created",
        "x-wc-webhook-id": str(made["id"]),
        "x-wc-webhook-signature": delivery.headers["x-wc-webhook-signature"],
        "x-wc-webhook-delivery-id": delivery.delivery_id,
    }


def test_a_secret_that_is_not_given_is_made_up(api: Api, receiver: Receiver) -> None:
    api.register("order.created", receiver.url, secret="")
    api.place()
    (delivery,) = receiver.wait_for(1)
    assert not delivery.signed_with(SECRET)
    assert not delivery.signed_with("")


def test_a_deletion_says_nothing_but_the_number(api: Api, receiver: Receiver) -> None:
    api.register("order.deleted", receiver.url)
    order = api.place()
    api.delete(order)
    (delivery,) = receiver.wait_for(1)
    assert delivery.content == {"id": order["id"]}


def test_a_refund_has_no_topic_of_its_own(api: Api, receiver: Receiver, clock: VirtualClock) -> None:
    api.register("order.updated", receiver.url)
    order = api.place()
    before = api.get(f"orders/{order['id']}")["date_modified_gmt"]
    clock.advance(1)
    refund_id = api.refund(order, (0, 1))["refund_id"]
    (delivery,) = receiver.wait_for(1)
    assert delivery.content["refunds"][0]["id"] == refund_id
    assert delivery.content["date_modified_gmt"] > before


@pytest.mark.parametrize("after", [5, 7])
def test_so_many_failures_in_a_row_turn_it_off_and_nothing_is_sent_again(
    api: Api, receiver: Receiver, after: int
) -> None:
    api.control("switches", {"disabled_after_failures": after})
    made = api.register("order.created", receiver.url).json()
    receiver.status = 500
    for _ in range(after - 1):
        api.place()
    api.until_quiet()
    receiver.status = 302
    api.place()
    api.until_quiet()
    assert api.get(f"webhooks/{made['id']}")["status"] == "active"
    receiver.status = 303
    for _ in range(after):
        api.place()
    api.until_quiet()
    assert api.get(f"webhooks/{made['id']}")["status"] == "disabled"
    assert len(receiver.received) == 2 * after
    api.place()
    api.until_quiet()
    assert len(receiver.received) == 2 * after
    receiver.status = 200
    assert api.call("PUT", f"webhooks/{made['id']}", json={"status": "active"}).status_code == 200
    api.place()
    receiver.wait_for(2 * after + 1)


def test_what_happens_while_one_waits_is_merged_into_it(api: Api, receiver: Receiver, clock: VirtualClock) -> None:
    api.register("order.updated", receiver.url)
    api.control("delivery_faults", {"delay_seconds": [30, 30]})
    one, other = api.place(), api.place()
    for order in (one, other, one, one):
        api.become(order, "on-hold")
        api.become(order, "completed")
    assert api.show("quiet")["delayed"] == 2
    clock.advance(31)
    api.until_quiet()
    assert sorted(delivery.content["id"] for delivery in receiver.received) == sorted([one["id"], other["id"]])
    assert {delivery.content["status"] for delivery in receiver.received} == {"completed"}
    assert len({delivery.delivery_id for delivery in receiver.received}) == 1


def test_an_order_that_is_gone_by_then_is_not_told(api: Api, receiver: Receiver) -> None:
    api.register("order.created", receiver.url)
    api.control("delivery_faults", {"delay_seconds": [30, 30]})
    api.delete(api.place())
    api.control("flush")
    api.until_quiet()
    assert receiver.received == []


def test_drafts_are_told_of_or_not(api: Api, receiver: Receiver) -> None:
    api.register("order.created", receiver.url)
    api.place(status="checkout-draft")
    api.control("switches", {"draft_webhooks": True})
    told = api.place(status="checkout-draft")["id"]
    api.until_quiet()
    assert [delivery.content["id"] for delivery in receiver.received] == [told]


def test_an_owner_without_rights_sends_an_error(api: Api, receiver: Receiver) -> None:
    api.register("order.created", receiver.url)
    api.control("switches", {"owner_may_read": False})
    api.place()
    (delivery,) = receiver.wait_for(1)
    assert delivery.signed_with(SECRET)
    assert delivery.content["code"] == "woocommerce_rest_cannot_view"


def test_deliveries_go_wrong_as_often_as_wanted(api: Api, receiver: Receiver) -> None:
    api.register("order.created", receiver.url)
    rates = {"drop_rate": 0.2, "duplicate_rate": 0.3, "forge_rate": 0.3, "tamper_rate": 0.3, "truncate_rate": 0.2}
    api.control("delivery_faults", rates)
    for _ in range(80):
        api.place()
    api.until_quiet()
    counts = api.show("counts")["deliveries"]
    for kind in ("dropped", "duplicated", "forged", "tampered", "truncated"):
        assert counts[kind] > 3
    genuine = [one for one in receiver.received if one.signed_with(SECRET)]
    assert len(receiver.received) - len(genuine) == counts["forged"]
    assert (
        len(receiver.received) == 80 - counts["dropped"] + counts["duplicated"] + counts["forged"] + counts["tampered"]
    )


def test_held_back_ones_are_overtaken(api: Api, receiver: Receiver, clock: VirtualClock) -> None:
    api.register("order.created", receiver.url)
    api.control("delivery_faults", {"reorder_rate": 0.5})
    placed = [api.place()["id"] for _ in range(20)]
    until(lambda: len(receiver.received) == 20 - api.show("quiet")["delayed"])
    clock.advance(3)
    api.until_quiet()
    came = [delivery.content["id"] for delivery in receiver.received]
    assert sorted(came) == placed
    assert came != placed


def test_any_delivery_can_be_made_up(api: Api, receiver: Receiver) -> None:
    api.register("order.created", receiver.url)
    api.control("webhooks", {"topic": "order.deleted", "body": {"id": 1}})
    api.control("webhooks", {"topic": "x", "raw_body": "no json", "signed": False, "headers": {"X-WC-Webhook-ID": "9"}})
    signed, unsigned = receiver.received
    assert (signed.topic, signed.content, signed.signed_with(SECRET)) == ("order.deleted", {"id": 1}, True)
    assert (unsigned.body, unsigned.signed_with(SECRET), unsigned.headers["x-wc-webhook-id"]) == (
        b"no json",
        False,
        "9",
    )
