"""Deliveries of integrations: verified, reduced, and read.

The header holds the plain secret: nothing is signed, nothing dated, and the body repeats the secret. Who has seen one
delivery can make any other, and genuine ones come twice, late and out of order. So a delivery is believed one thing
only: that an order may have changed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from connectors.contract import Ignored, Look, Notice, Receipt
from connectors.elasticpath.settings import ElasticPathChannelSettings
from connectors.errors import InvalidSignature, Unreadable
from connectors.text import is_storable

SECRET = "x-moltin-secret-key"  # noqa: S105  # nosec B105  # the name of a header
_MAX_HEADER = 100


class _Subject(Struct, frozen=True):
    """What an event is about; a deletion says it without `data`."""

    type: str = ""
    id: str = ""


class _Payload(Struct, frozen=True):
    data: _Subject | None = None
    type: str = ""
    id: str = ""


class _Body(Struct, frozen=True):
    id: str = ""
    triggered_by: str = ""
    payload: _Payload | None = None


class _Kept(Struct, frozen=True, omit_defaults=True):
    """What is kept of a delivery: the event, and the order it is about."""

    triggered_by: str
    order_id: str = ""


_decode = msgspec.json.Decoder(_Body).decode
_decode_kept = msgspec.json.Decoder(_Kept).decode
_encode = msgspec.json.Encoder().encode


class ElasticPathHooks:
    """One store's deliveries. No I/O; safe for use from several threads."""

    refusal_status = 401

    def __init__(self, settings: ElasticPathChannelSettings, *, account: str) -> None:
        self._account = account
        self._secrets = [secret.get_secret_value().encode() for secret in settings.webhook_secrets]

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`."""
        self._verify(headers.get(SECRET))
        try:
            found = _decode(body)
            kept = _encode(self._reduced(found))
        except (ValueError, RecursionError):
            # The body is kept, the secret in it is not.
            return Receipt(hashlib.sha256(body).hexdigest(), "", self._without_secrets(body), raw=True)
        topic = found.triggered_by if _plain(found.triggered_by) else ""
        delivery_id = found.id if found.id and _plain(found.id) else hashlib.sha256(body).hexdigest()
        return Receipt(delivery_id, topic, kept, raw=False)

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """See `Hooks.read`. Takes what `receive` kept, reduced or raw."""
        try:
            found = _decode_kept(kept)
            if not found.order_id:
                found = self._reduced(_decode(kept))
        except (ValueError, RecursionError) as error:
            message = f"a delivery of {topic or 'an event without a name'} cannot be read: {error}"
            raise Unreadable(message, account=self._account, code="delivery") from error
        if found.order_id:
            return (Look(found.order_id),)
        return (Ignored("stock" if found.triggered_by.startswith("stock-transaction.") else "unknown_topic"),)

    def _reduced(self, body: _Body) -> _Kept:
        payload = body.payload or _Payload()
        subject = payload.data or _Subject(payload.type, payload.id)
        order_id = subject.id if subject.type == "order" and is_storable(subject.id) else ""
        return _Kept(body.triggered_by if _plain(body.triggered_by) else "", order_id)

    def _verify(self, given: str | None) -> None:
        if given is None:
            raise InvalidSignature("the delivery has no secret", account=self._account, code="missing")
        # Compared as bytes: `compare_digest` refuses text outside ASCII, which a header may hold. All of them, so that
        # the time does not tell which one fits.
        shown = given.encode("utf-8", "replace")
        fits = [hmac.compare_digest(secret, shown) for secret in self._secrets]
        if not any(fits):
            message = "the delivery does not have a secret of this channel"
            raise InvalidSignature(message, account=self._account, code="signature")

    def _without_secrets(self, body: bytes) -> bytes:
        for secret in self._secrets:
            body = body.replace(secret, b"***")
        return body


def _plain(text: str) -> bool:
    """Whether a name is fit to be stored and shown."""
    return len(text) <= _MAX_HEADER and text.isascii() and text.isprintable()
