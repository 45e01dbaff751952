"""Signatures, against the specification's own example and against everything that is none."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import InvalidSignature
from connectors.signing import MAX_SIGNATURES, digest, verify
from tests.unit.connectors.standard.vendor import KEY, NOW, TIMESTAMP, signed

OTHER = b"another thirty-two bytes of a key"


def refused(headers: dict[str, str], body: bytes = b"{}", now: datetime = NOW) -> str:
    with pytest.raises(InvalidSignature) as caught:
        verify(headers, body, [KEY], now)
    assert "thirty-two" not in str(caught.value)
    return caught.value.code


def test_the_specifications_example_is_taken() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signature = base64.b64encode(digest(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)).decode()
    assert signature == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": f"v1,{signature}",
    }
    assert verify(headers, body, [key], datetime.fromtimestamp(1614265330, UTC)) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_any_of_several_signatures_fits_any_of_several_keys() -> None:
    assert verify(signed(b"{}", OTHER, KEY), b"{}", [KEY], NOW) == "msg_1"
    assert verify(signed(b"{}", KEY), b"{}", [OTHER, KEY], NOW) == "msg_1"
    headers = signed(b"{}", KEY)
    headers["webhook-signature"] = f"v1a,abc  nonsense v1,=== {headers['webhook-signature']} v2,x"
    assert verify(headers, b"{}", [KEY], NOW) == "msg_1"


def test_so_many_signatures_are_looked_at_and_no_more() -> None:
    headers = signed(b"{}", *([OTHER] * (MAX_SIGNATURES - 1)), KEY)
    assert verify(headers, b"{}", [KEY], NOW) == "msg_1"
    assert refused(signed(b"{}", *([OTHER] * MAX_SIGNATURES), KEY)) == "signature"


def test_without_a_key_nothing_is_taken() -> None:
    with pytest.raises(InvalidSignature):
        verify(signed(b"{}", b""), b"{}", [], NOW)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_what_lacks_a_header_is_refused(name: str) -> None:
    headers = signed(b"{}")
    assert refused({**headers, name: ""}) == "missing"
    del headers[name]
    assert refused(headers) == "missing"


@pytest.mark.parametrize("message_id", ["a.b", "x" * 256, "a b", "é", "a\n", "\udcff"])
def test_an_id_that_is_none_is_refused_however_it_is_signed(message_id: str) -> None:
    assert refused(signed(b"{}", message_id=message_id)) == "malformed"


@pytest.mark.parametrize("timestamp", [f"{TIMESTAMP}.9", f"+{TIMESTAMP}", f" {TIMESTAMP}", "1e9", "٣", "1" * 13, "x"])
def test_a_timestamp_that_is_none_is_refused_however_it_is_signed(timestamp: str) -> None:
    assert refused(signed(b"{}", timestamp=timestamp)) == "malformed"


@pytest.mark.parametrize(
    "signature",
    [
        "x",
        "v1",
        "v1,",
        "v1,é",
        "v1,\udcff",
        "v1,AAAA",
        "v1a," + "A" * 43 + "=",
        "v1," + "A" * 43 + "=",
        "v1," + "A" * 43,
        "v1,A\n" + "A" * 42 + "=",
        "," * 50,
        " " * 50,
    ],
)
def test_any_other_signature_is_refused(signature: str) -> None:
    assert refused({**signed(b"{}"), "webhook-signature": signature}) == "signature"


def test_what_was_signed_for_something_else_is_refused() -> None:
    headers = signed(b'{"a":1}')
    assert refused(headers, b'{"a":2}') == "signature"
    assert refused({**headers, "webhook-id": "msg_2"}, b'{"a":1}') == "signature"
    later = str(int(TIMESTAMP) + 1)
    assert refused({**headers, "webhook-timestamp": later}, b'{"a":1}') == "signature"


@pytest.mark.parametrize(("seconds", "taken"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_five_minutes_either_way_are_enough(seconds: int, taken: bool) -> None:
    now = NOW + timedelta(seconds=seconds)
    if taken:
        assert verify(signed(b"{}"), b"{}", [KEY], now) == "msg_1"
    else:
        assert refused(signed(b"{}"), now=now) == "timestamp"


def test_a_wrong_time_is_told_to_those_alone_who_hold_a_key() -> None:
    assert refused(signed(b"{}", OTHER), now=NOW + timedelta(hours=1)) == "signature"


@given(
    st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()), st.binary()
)
def test_whatever_the_headers_hold_it_is_refused_and_nothing_else(headers: dict[str, str], body: bytes) -> None:
    assert refused(headers, body)
