"""Messages: signed, sent, tried again, and spoilt on the way."""

from __future__ import annotations

import base64
from collections import Counter
from typing import Any

import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.standard_sandbox.api import Api, Receiver, Serve, until
from tests.unit.connectors.standard.vendor import schema_of

MESSAGE = schema_of("message")
SECRET = "whsec_c2FuZGJveCBzYW5kYm94IHNhbmRib3ggc2FuZGJveA=="


def test_a_change_is_told_as_it_is_now_and_signed(api: Api, receiver: Receiver, clock: VirtualClock) -> None:
    api.register(receiver.url)
    order = api.place()
    api.change("cancel", order, (0, 1))
    first, second = sorted(receiver.wait_for(2), key=lambda one: one.message_id)
    assert first.signed_with(SECRET)
    assert second.signed_with(SECRET)
    assert first.headers["webhook-timestamp"] == str(int(clock.now().timestamp()))
    assert list(MESSAGE.iter_errors(first.content)) == []
    assert [one.content["data"]["version"] for one in (first, second)] == [1, 2]
    assert second.content["data"] == api.get(order_id=order["id"])["orders"][0]


def test_a_message_that_is_not_taken_is_sent_again_under_its_id(
    api: Api, receiver: Receiver, clock: VirtualClock
) -> None:
    api.register(receiver.url)
    receiver.status = 503
    api.place()
    receiver.wait_for(1)
    until(lambda: api.show("quiet")["retries"] == 1)
    clock.advance(5)
    receiver.wait_for(2)
    until(lambda: api.show("quiet")["retries"] == 1)
    receiver.status = 204
    clock.advance(300)
    first, second, third = receiver.wait_for(3)
    api.until_quiet()
    assert first.message_id == second.message_id == third.message_id
    assert first.body == third.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert third.signed_with(SECRET)
    assert api.show("counts")["deliveries"] == {"accepted": 1, "attempts": 3, "failed": 2, "delivered": 1}


def test_it_is_given_up_some_time(serve_with: Serve, receiver: Receiver, clock: VirtualClock) -> None:
    receiver.status = 500
    with serve_with(retry_seconds=[1], retry_time_scale=2) as api:
        api.register(receiver.url)
        api.place()
        receiver.wait_for(1)
        until(lambda: api.show("quiet")["retries"] == 1)
        clock.advance(2)
        receiver.wait_for(2)
        api.until_quiet()
        assert api.show("counts")["deliveries"]["given_up"] == 1


def test_while_a_secret_is_replaced_both_sign(api: Api, receiver: Receiver) -> None:
    api.register(receiver.url)
    new = f"whsec_{base64.b64encode(b'x' * 32).decode()}"
    api.control("secrets", {"secrets": [new, SECRET]})
    api.place()
    (told,) = receiver.wait_for(1)
    assert told.signed_with(new)
    assert told.signed_with(SECRET)


@pytest.mark.parametrize(
    ("fault", "count", "name"),
    [
        ("drop_rate", 0, "dropped"),
        ("duplicate_rate", 2, "duplicated"),
        ("repeat_rate", 2, "repeated"),
        ("truncate_rate", 1, "truncated"),
        ("forge_rate", 2, "forged"),
        ("stale_rate", 2, "stale"),
        ("tamper_rate", 2, "tampered"),
        ("reorder_rate", 1, "reordered"),
    ],
)
def test_each_fault_does_what_it_says(api: Api, receiver: Receiver, fault: str, count: int, name: str) -> None:
    api.control("delivery_faults", {fault: 1, "reorder_hold_seconds": 1})
    api.register(receiver.url)
    api.place()
    api.control("flush")
    api.until_quiet()
    told = receiver.received
    assert len(told) == count
    assert api.show("counts")["deliveries"][name] == 1
    good = [one for one in told if one.signed_with(SECRET)]
    assert len(good) == count - (fault in {"forge_rate", "tamper_rate"})
    if fault == "duplicate_rate":
        assert told[0].message_id == told[1].message_id
    if fault == "repeat_rate":
        assert told[0].message_id != told[1].message_id
    if fault == "stale_rate":
        times = sorted(int(one.headers["webhook-timestamp"]) for one in told)
        assert times[1] - times[0] == 360


def test_any_message_can_be_made_up(api: Api, receiver: Receiver) -> None:
    api.register(receiver.url)
    wanted: list[dict[str, Any]] = [
        {"body": {"type": "ping"}},
        {"raw_body": "nonsense", "signed": False},
        {"body": {}, "headers": {"webhook-id": "msg_x"}},
    ]
    for one in wanted:
        assert api.control("webhooks", one)["answers"] == [{"url": receiver.url, "status": 200}]
    assert Counter(one.signed_with(SECRET) for one in receiver.received) == {True: 1, False: 2}
    api.control("endpoints", method="DELETE")
    assert api.control("webhooks", {"body": {}})["answers"] == []
