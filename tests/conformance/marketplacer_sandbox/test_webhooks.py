"""The sandbox's webhooks: what is sent, in which order, how often, and what turns one off."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any

import pytest

from connectors.marketplacer.sandbox.webhooks import sign
from connectors.sandbox.clock import VirtualClock
from tests.conformance.marketplacer_sandbox.api import Api, served
from tests.conformance.shopify_sandbox.api import Receiver, until


def hook(api: Api, receiver: Receiver, **more: Any) -> int:
    return int(api.control("/webhooks", {"url": receiver.url, "headers": {"auth-key": "s"}, **more})["id"])


def events(receiver: Receiver) -> list[str]:
    return [str(one.content["event_name"]) for one in receiver.received]


def quiet(api: Api) -> None:
    until(lambda: not any(count for name, count in api.look("/quiet").items() if name in {"queued", "in_flight"}))


def test_a_delivery_has_its_place_its_key_and_its_static_headers(api: Api, receiver: Receiver) -> None:
    hook(api, receiver)
    api.variant()
    (invoice,) = api.sell("MUG")
    (one,) = receiver.wait_for(1)
    sequence = one.headers["marketplacer-sequence"]
    assert base64.b64decode(one.headers["idempotency-key"]).decode() == f"sandbox:{sequence}"
    assert (one.headers["auth-key"], one.headers["user-agent"]) == ("s", "Marketplacer Client/1.0.0")
    assert "marketplacer-hmac-256" not in one.headers
    relay_id = base64.b64encode(f"Invoice-{invoice['id']}".encode()).decode()
    node = {"__typename": "Invoice", "id": relay_id, "legacyId": invoice["id"]}
    assert one.content["payload"] == {"data": {"node": node}}


def test_the_operators_is_signed_and_of_every_seller(api: Api, receiver: Receiver) -> None:
    hook(api, receiver, seller_id=None, hmac_key="k")
    api.control("/sellers", {"name": "other"})
    api.control(
        "/adverts",
        {"adverts": [{"seller_id": 2, "variants": [{"external_id": "CUP", "records": [{"count_on_hand": 3}]}]}]},
    )
    api.sell("CUP")
    (one,) = receiver.wait_for(1)
    assert one.headers["marketplacer-hmac-256"] == sign(one.body, "k")


def test_a_seller_is_told_of_its_own_alone_and_of_what_it_asked_for(api: Api, receiver: Receiver) -> None:
    api.control("/sellers", {"name": "other"})
    api.variant()
    hook(api, receiver, seller_id=2)
    hook(api, receiver, event_name="update")
    (invoice,) = api.sell("MUG")
    api.control(f"/invoices/{invoice['id']}/send")
    receiver.wait_for(1)
    quiet(api)
    assert events(receiver) == ["update"]


@pytest.mark.parametrize(
    ("fields", "payload"),
    [
        ("type", {"data": {"node": {"__typename": "Invoice"}}}),
        ("legacy", None),
    ],
)
def test_what_is_not_asked_for_is_not_shown(api: Api, receiver: Receiver, fields: str, payload: Any) -> None:
    hook(api, receiver, fields=fields)
    api.variant()
    api.sell("MUG")
    (one,) = receiver.wait_for(1)
    assert one.content["payload"] == payload


def test_stock_and_its_end_are_told_too(api: Api, receiver: Receiver) -> None:
    for kind in ("VARIANT", "ADVERT"):
        hook(api, receiver, type=kind)
    api.variant()
    receiver.wait_for(2)
    api.control("/variants/MUG/delete")
    receiver.wait_for(3)
    quiet(api)
    assert Counter(events(receiver)) == {"update": 2, "destroy": 1}
    destroyed = next(one for one in receiver.received if one.content["event_name"] == "destroy")
    assert destroyed.content["payload"] == {"data": {"node": None}}


@pytest.mark.parametrize("status", [400, 401, 404, 422, 302])
def test_a_refusal_turns_it_off_at_once(api: Api, receiver: Receiver, status: int) -> None:
    number = hook(api, receiver)
    receiver.status = status
    api.variant()
    api.sell("MUG")
    until(lambda: api.look("/state")["webhooks"][0]["enabled"] is False)
    api.sell("MUG")
    quiet(api)
    assert (len(receiver.received), api.look("/quiet")["waiting"]) == (1, 0)
    receiver.status = 200
    api.control(f"/webhooks/{number}", {"enabled": True})
    api.sell("MUG")
    receiver.wait_for(2)


@pytest.mark.parametrize("key", ["same", "new"])
@pytest.mark.parametrize("status", [500, 503, 429])
def test_trouble_is_tried_again_later_and_later(
    api: Api, receiver: Receiver, clock: VirtualClock, key: str, status: int
) -> None:
    api.control("/switches", {"idempotency_key": key})
    hook(api, receiver)
    receiver.statuses = [status] * 4
    api.variant()
    api.sell("MUG")
    for attempt, wait in enumerate((60, 60, 81, 256), start=1):
        receiver.wait_for(attempt)
        until(lambda: api.look("/quiet")["waiting"] == 1)
        clock.advance(wait - 1)
        assert api.control("/clock", {"seconds": 0})
        assert len(receiver.received) == attempt
        clock.advance(2)
    receiver.wait_for(5)
    keys = {one.headers["idempotency-key"] for one in receiver.received}
    assert len(keys) == (1 if key == "same" else 5)
    assert len({one.headers["marketplacer-sequence"] for one in receiver.received}) == 1
    until(lambda: api.look("/counts")["deliveries"].get("delivered") == 1)


def test_it_gives_up_in_the_end(api: Api, receiver: Receiver) -> None:
    hook(api, receiver, max_retries=1)
    receiver.status = 503
    api.variant()
    api.sell("MUG")
    receiver.wait_for(1)
    until(lambda: api.look("/quiet")["waiting"] == 1)
    api.control("/deliveries/flush")
    until(lambda: api.look("/counts")["deliveries"].get("given_up") == 1)
    assert api.look("/state")["webhooks"][0] | {"url": ""} == {
        "id": 1,
        "url": "",
        "enabled": True,
        "responses": [503, 503],
    }


def test_a_burst_about_one_variant_is_one_delivery_with_the_last_state(clock: VirtualClock, receiver: Receiver) -> None:
    with served(clock, merge_seconds=5) as api:
        hook(api, receiver, type="VARIANT")
        api.variant()
        for _ in range(4):
            api.control("/variants/MUG/edit", {"change": -1})
        assert receiver.received == []
        clock.advance(6)
        receiver.wait_for(1)
        quiet(api)
        assert len(receiver.received) == 1
        assert api.look("/counts")["deliveries"]["merged"] == 4


def test_deliveries_get_lost_doubled_overtaken_and_forged(api: Api, receiver: Receiver) -> None:
    hook(api, receiver)
    api.variant(count=99)
    for fault, count in (("drop_rate", 0), ("duplicate_rate", 2), ("forge_rate", 2)):
        receiver.received.clear()
        api.control("/delivery_faults", {fault: 1.0})
        api.sell("MUG")
        quiet(api)
        receiver.wait_for(count)
        assert len(receiver.received) == count
        api.control("/delivery_faults", {fault: 0})
    assert Counter("auth-key" in one.headers for one in receiver.received) == {True: 1, False: 1}
    receiver.received.clear()
    api.control("/delivery_faults", {"reorder_rate": 1.0})
    api.sell("MUG")
    api.control("/delivery_faults", {"reorder_rate": 0})
    api.sell("MUG")
    sequences = [int(one.headers["marketplacer-sequence"]) for one in receiver.wait_for(2)]
    assert len(sequences) == 2
    assert json.loads(receiver.received[0].body)["id"] != json.loads(receiver.received[1].body)["id"]
