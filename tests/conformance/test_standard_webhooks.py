"""The Standard Webhooks library and we agree, in both directions: what it signs is taken, what we sign it takes."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError, WebhookVerificationError

from connectors.clock import SystemClock
from connectors.contract import Order
from connectors.errors import InvalidSignature
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.signing import key_of, signature, verify
from connectors.standard.sandbox import Options, create_app
from connectors.standard.sandbox.messages import sign
from tests.conformance.standard_sandbox.api import Api, Receiver
from tests.unit.connectors.standard.vendor import channel, message, order

KEYS = st.binary(min_size=24, max_size=64)
IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="."), min_size=1, max_size=60)
BODIES = st.text(st.characters(exclude_categories=["Cs"])).map(str.encode)
EXAMPLE = {
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": "1614265330",
    "body": '{"test": 2432232314}',
    "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def secret_of(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}"


def headers_of(message_id: str, timestamp: str, signature: str) -> dict[str, str]:
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def ours(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    return signature([key], message_id, timestamp, body)


def test_the_specifications_example_is_the_same_to_everybody() -> None:
    moment = datetime.fromtimestamp(int(EXAMPLE["timestamp"]), UTC)
    body = EXAMPLE["body"].encode()
    theirs = Webhook(EXAMPLE["secret"]).sign(EXAMPLE["id"], moment, EXAMPLE["body"])
    key = base64.b64decode(EXAMPLE["secret"].removeprefix("whsec_"))
    assert theirs == EXAMPLE["signature"]
    assert ours(key, EXAMPLE["id"], EXAMPLE["timestamp"], body) == EXAMPLE["signature"]
    assert sign(EXAMPLE["secret"], EXAMPLE["id"], EXAMPLE["timestamp"], body) == EXAMPLE["signature"]
    headers = headers_of(EXAMPLE["id"], EXAMPLE["timestamp"], EXAMPLE["signature"])
    assert verify(headers, body, [key], moment) == EXAMPLE["id"]


REFERENCE_CASES: dict[str, tuple[dict[str, str | None], bool]] = {
    # What the reference implementations test themselves with: headers put over those of a good message, None for one
    # that is not there, and whether the message is to be taken. `{}` stands for the good signature.
    "nothing changed": ({}, True),
    "no id": ({"webhook-id": None}, False),
    "no timestamp": ({"webhook-timestamp": None}, False),
    "a timestamp that is none": ({"webhook-timestamp": "hello"}, False),
    "no signature": ({"webhook-signature": None}, False),
    "another message's signature": ({"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA="}, False),
    "a signature that is no base64": ({"webhook-signature": "v1,dawfeoifkpqwoekfpqoekf"}, False),
    "a signature without content": ({"webhook-signature": "v1,"}, False),
    "several signatures, one of which is good": (
        {
            "webhook-signature": "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
            " v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= {} v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
        },
        True,
    ),
}


@pytest.mark.parametrize("case", REFERENCE_CASES)
@pytest.mark.parametrize("body", [EXAMPLE["body"].encode(), b""])
@pytest.mark.parametrize(("age_seconds", "timely"), [(0, True), (290, True), (310, False), (-290, True), (-310, False)])
def test_the_reference_implementations_own_cases(case: str, body: bytes, age_seconds: int, timely: bool) -> None:
    changes, taken = REFERENCE_CASES[case]
    key = key_of(SecretStr(EXAMPLE["secret"]))
    now = datetime.now(UTC)
    timestamp = str(int(now.timestamp()) - age_seconds)
    signature = ours(key, EXAMPLE["id"], timestamp, body)
    headers = headers_of(EXAMPLE["id"], timestamp, signature)
    for name, value in changes.items():
        del headers[name]
        if value is not None:
            headers[name] = value.replace("{}", signature)
    if taken and timely:
        Webhook(EXAMPLE["secret"]).verify(body, headers, json_parse=False)
        assert verify(headers, body, [key], now) == EXAMPLE["id"]
    else:
        # The second is what the library in Python makes of a signature that is no base64.
        with pytest.raises((WebhookVerificationError, binascii.Error)):
            Webhook(EXAMPLE["secret"]).verify(body, headers, json_parse=False)
        with pytest.raises(InvalidSignature):
            verify(headers, body, [key], now)


@pytest.mark.parametrize("padding", ["", "=="])
@pytest.mark.parametrize("prefix", ["", "whsec_"])
def test_a_secret_in_any_form_is_the_same_key(prefix: str, padding: str) -> None:
    text = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr"
    timestamp = str(int(datetime.now(UTC).timestamp()))
    signature = ours(key_of(SecretStr(prefix + text + padding)), "msg_1", timestamp, b"{}")
    Webhook(prefix + text).verify(b"{}", headers_of("msg_1", timestamp, signature))


@pytest.mark.parametrize("secret", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"])
def test_no_secret_is_none_and_one_of_less_than_the_specifications_24_bytes_is_none_to_us(secret: str) -> None:
    with pytest.raises(ValueError, match="24 to 64 random bytes"):
        key_of(SecretStr(secret))
    if not secret.removeprefix("whsec_"):
        with pytest.raises(EmptyWebhookSecretError):
            Webhook(secret)


@given(KEYS, IDS, BODIES, st.integers(0, 2**33))
def test_what_the_library_signs_is_taken(key: bytes, message_id: str, body: bytes, second: int) -> None:
    moment = datetime.fromtimestamp(second, UTC)
    signature = Webhook(secret_of(key)).sign(message_id, moment, body.decode())
    assert verify(headers_of(message_id, str(second), signature), body, [key], moment) == message_id


@given(KEYS, IDS, BODIES)
def test_what_we_sign_the_library_takes(key: bytes, message_id: str, body: bytes) -> None:
    # The library reads the machine's clock itself.
    timestamp = str(int(datetime.now(UTC).timestamp()))
    for made in (ours(key, message_id, timestamp, body), sign(secret_of(key), message_id, timestamp, body)):
        Webhook(secret_of(key)).verify(body, headers_of(message_id, timestamp, made), json_parse=False)


altered = st.sampled_from(["id", "timestamp", "body", "key", "signature", "version", "none"])


@given(KEYS, IDS, BODIES, altered, st.integers(-900, 900))
def test_both_refuse_the_same(key: bytes, message_id: str, body: bytes, what: str, age_seconds: int) -> None:
    now = datetime.now(UTC)
    timestamp = str(int(now.timestamp()) - age_seconds)
    signature = ours(key, message_id, timestamp, body)
    match what:
        case "id":
            message_id += "x"
        case "timestamp":
            timestamp = str(int(timestamp) + 1)
        case "body":
            body += b" "
        case "key":
            key = bytes([key[0] ^ 1]) + key[1:]
        case "signature":
            signature = signature[:-2] + ("A=" if signature[-2] != "A" else "E=")
        case "version":
            signature = signature.replace("v1,", "v1a,")
        case _:
            pass
    if 298 <= abs(age_seconds) <= 302:
        # Either clock may be on either side of the limit by now.
        return
    headers = headers_of(message_id, timestamp, signature)
    try:
        Webhook(secret_of(key)).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        with pytest.raises(InvalidSignature):
            verify(headers, body, [key], now)
    else:
        assert verify(headers, body, [key], now) == message_id


def test_several_signatures_and_several_keys_as_the_library_reads_them() -> None:
    old, new = b"o" * 32, b"n" * 32
    timestamp = str(int(datetime.now(UTC).timestamp()))
    both = " ".join(("v1a,whatever", ours(old, "msg_1", timestamp, b"{}"), ours(new, "msg_1", timestamp, b"{}")))
    headers = headers_of("msg_1", timestamp, both)
    for key in (old, new):
        Webhook(secret_of(key)).verify(b"{}", headers)
        assert verify(headers, b"{}", [b"x" * 32, key], datetime.now(UTC)) == "msg_1"


def test_a_channel_takes_what_the_library_signs() -> None:
    key = b"k" * 32
    clock = VirtualClock(datetime(2026, 11, 21, 12, tzinfo=UTC))
    till = channel(clock, webhook_secrets=[secret_of(key)])
    body = message(order("S-1"))
    timestamp = str(int(clock.now().timestamp()))
    signature = Webhook(secret_of(key)).sign("msg_1", clock.now(), body.decode())
    receipt = till.receive(headers_of("msg_1", timestamp, signature), body)
    (notice,) = till.read(receipt.topic, receipt.kept)
    assert isinstance(notice, Order)
    clock.advance(timedelta(minutes=6).total_seconds())
    with pytest.raises(InvalidSignature):
        till.receive(headers_of("msg_1", timestamp, signature), body)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with serve(receiver.app) as url:
        receiver.url = f"{url}/hook"
        yield receiver


def test_the_library_takes_what_the_sandbox_sends(receiver: Receiver) -> None:
    options = Options()
    with serve(create_app(options, SystemClock())) as url, httpx.Client(base_url=url) as client:
        api = Api(client, options)
        api.register(receiver.url)
        placed = api.place({"sku": "É", "quantity": 2})
        (told,) = receiver.wait_for(1)
    found: Any = Webhook(options.secret.get_secret_value()).verify(told.body, told.headers)
    assert found == json.loads(told.body)
    assert found["data"]["order_id"] == placed["id"]
