"""Signatures by the Standard Webhooks scheme: HMAC-SHA256 over id, time and raw body. No I/O, no clock.

Of messages that a system sends us, and of those that we send about anomalies.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from pydantic import SecretStr

from connectors.errors import InvalidSignature

PREFIX = "whsec_"
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64
TOLERANCE_SECONDS = 300
"""How far the time of an attempt may be from ours, either way."""
MAX_SIGNATURES = 10
"""Of one message: a sender that replaces its secret gives two."""

_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,255}")
"""A point would make one signed text of two different messages."""
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_DIGEST_BYTES = 32


def signature(keys: Sequence[bytes], message_id: str, timestamp: str, body: bytes) -> str:
    """The header `webhook-signature` of a message: one `v1` signature for each key, several while one is replaced."""
    return " ".join(f"v1,{base64.b64encode(digest(key, message_id, timestamp, body)).decode()}" for key in keys)


def digest(key: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    """What a `v1` signature holds."""
    return hmac.digest(key, b".".join((message_id.encode(), timestamp.encode(), body)), "sha256")


def verify(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: datetime) -> str:
    """The id of a message that is signed with one of the keys, not long ago. Header names are in lower case.

    Raises `InvalidSignature`. Which part is wrong is told by its code: only who holds a key learns of a wrong time.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature", "")
    if not (message_id and timestamp and signatures):
        raise InvalidSignature("the message is not signed", code="missing")
    if not _ID.fullmatch(message_id) or not _TIMESTAMP.fullmatch(timestamp):
        raise InvalidSignature("the message's id or timestamp is none", code="malformed")
    given = list(_digests(signatures))
    expected = [digest(key, message_id, timestamp, body) for key in keys]
    # Each with each, whatever has been found before: the time it takes tells nothing.
    fits = [hmac.compare_digest(one, other) for one in expected for other in given]
    if not any(fits):
        raise InvalidSignature("the message is not signed with a secret of this channel", code="signature")
    age_seconds = now.timestamp() - int(timestamp)
    if abs(age_seconds) > TOLERANCE_SECONDS:
        message = (
            f"the message is signed, {abs(age_seconds):.0f} s {'ago' if age_seconds > 0 else 'from now'}, which is "
            f"more than {TOLERANCE_SECONDS}: sent again by somebody else, or one of the clocks is wrong"
        )
        raise InvalidSignature(message, code="timestamp")
    return message_id


def key_of(secret: SecretStr) -> bytes:
    """The bytes of a secret: base64, with or without its prefix. Raises ValueError, with a remedy."""
    try:
        text = secret.get_secret_value().strip().removeprefix(PREFIX)
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not LEAST_SECRET_BYTES <= len(key) <= MOST_SECRET_BYTES:
        message = (
            f"must be {PREFIX} and the base64 of {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} random bytes; "
            f"`echo {PREFIX}$(openssl rand -base64 32)` makes one"
        )
        raise ValueError(message)
    return key


def _digests(signatures: str) -> Iterator[bytes]:
    """What the `v1` signatures of a header hold; other versions, and what is none, are passed over."""
    for signature in signatures.split(" ", MAX_SIGNATURES)[:MAX_SIGNATURES]:
        version, _, encoded = signature.partition(",")
        if version != "v1":
            continue
        try:
            found = base64.b64decode(encoded.encode("ascii"), validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(found) == _DIGEST_BYTES:
            yield found
