"""Messages: verified, reduced to what stock needs, and read.

All that counts of a message is signed: its id, its time and its body. So a whole order in it is believed as it is;
which of two is the newer, its revision tells, whatever the order they come in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connectors.clock import Clock
from connectors.contract import Ignored, Notice, Receipt
from connectors.errors import InvalidSignature, Unreadable
from connectors.signing import verify
from connectors.standard.orders import OrderRow, Rules, order_id_in, order_row, to_order
from connectors.standard.settings import StandardSettings

ORDERS = "order."
"""Types that begin so carry an order as it is now. What became of it, the word behind the point, changes nothing."""

_TYPE = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
_MAX_TYPE = 100


class _Message(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Kept(msgspec.Struct, omit_defaults=True):
    type: str
    data: OrderRow | None = None


_decode = msgspec.json.Decoder(_Message).decode
_encode = msgspec.json.Encoder().encode


class StandardHooks:
    """One channel's messages. No I/O; safe for use from several threads."""

    refusal_status = 401
    """The sender counts it as a failure, and tries again: with the right secret here, it is taken then."""

    def __init__(self, settings: StandardSettings, clock: Clock, *, account: str) -> None:
        self._account = account
        self._keys = settings.keys
        self._clock = clock
        self._rules = Rules.of(settings)

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`. One HMAC for each secret, one pass over the JSON."""
        try:
            message_id = verify(headers, body, self._keys, self._clock.now())
        except InvalidSignature as error:
            error.account = self._account
            raise
        try:
            topic, data = _parts(body)
            kept = _Kept(topic, order_row(data) if topic.startswith(ORDERS) else None)
            return Receipt(message_id, topic, _encode(kept), raw=False)
        except Unreadable:
            return Receipt(message_id, "", body, raw=True)

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """See `Hooks.read`. Takes what `receive` kept, reduced or raw; the type is in it."""
        try:
            named, data = _parts(kept)
            if not named.startswith(ORDERS):
                return (Ignored("unknown_topic"),)
            return (to_order(order_row(data), self._rules, fetched_at=None),)
        except Unreadable as error:
            error.account = self._account
            raise


def _parts(body: bytes) -> tuple[str, Any]:
    """The type and the data of a message. Raises `Unreadable`."""
    try:
        message = _decode(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the message is not of the documented form: {error}", code="delivery") from error
    if len(message.type) > _MAX_TYPE or not _TYPE.fullmatch(message.type):
        what = "the message's type is none: words of letters, digits and _, with points between them"
        raise Unreadable(what, code="delivery", order_id=order_id_in(message.data))
    return message.type, message.data
