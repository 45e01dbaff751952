"""Webhook deliveries: verified, reduced, and read.

A seller's webhook carries nothing but a secret in a static header; only the operator's are signed, without a time. Many
are under way at once, and what they show is put together later than what they tell of. So a delivery is believed one
thing only: that an invoice may have changed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from connectors.contract import Ignored, Look, Notice, Receipt
from connectors.errors import InvalidSignature, Unreadable
from connectors.marketplacer.settings import MarketplacerChannelSettings
from connectors.text import is_storable, legible

HMAC = "marketplacer-hmac-256"
IDEMPOTENCY = "idempotency-key"
SEQUENCE = "marketplacer-sequence"
INVOICE = "Invoice"
_STOCK = frozenset({"Advert", "Variant"})
"""What they tell is the echo of what is written to the site, or a sale that an invoice tells as well."""
_MAX_HEADER = 100
_RELAY_ID = re.compile(r"Invoice-(\d{1,18})")


class _Node(Struct, frozen=True):
    type_name: str = msgspec.field(default="", name="__typename")
    id: str = ""
    legacy_id: int | str | None = msgspec.field(default=None, name="legacyId")


class _Data(Struct, frozen=True):
    node: _Node | None = None


class _Problem(Struct, frozen=True):
    message: str = ""


class _Payload(Struct, frozen=True):
    data: _Data | None = None
    errors: list[_Problem] | None = None


class _Body(Struct, frozen=True):
    event_name: str
    payload: _Payload


class _Kept(Struct, frozen=True, omit_defaults=True):
    """What is kept of a delivery: the event, and what it is about."""

    event: str
    about: str = ""
    invoice_id: str = ""
    problem: str = ""
    """What the vendor says of the webhook's query, where that failed."""


_decode = msgspec.json.Decoder(_Body).decode
_decode_kept = msgspec.json.Decoder(_Kept).decode
_encode = msgspec.json.Encoder().encode


class MarketplacerHooks:
    """One seller's deliveries. No I/O; safe for use from several threads."""

    refusal_status = 503
    """Any 4xx but 429 would turn the webhook off at once. This one is tried again, by then with the right secret."""

    def __init__(self, settings: MarketplacerChannelSettings, *, account: str) -> None:
        self._account = account
        self._header = settings.webhook_header
        self._secrets = [secret.get_secret_value().encode() for secret in settings.webhook_secrets]
        self._keys = [key.get_secret_value().encode() for key in settings.webhook_hmac_keys]

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`."""
        self._verify(headers, body)
        delivery_id = _delivery_id(headers, body)
        try:
            kept = _reduced(_decode(body))
        except (ValueError, RecursionError):
            return Receipt(delivery_id, "", self._without_secrets(body), raw=True)
        topic = f"{kept.about or 'none'}.{kept.event}" if _plain(kept.about) and _plain(kept.event) else ""
        return Receipt(delivery_id, topic, _encode(kept), raw=False)

    def receive_beginning(self, headers: Mapping[str, str], beginning: bytes) -> Receipt:
        """See `EnduringHooks.receive_beginning`. A signature is one of the whole: only the seller's header tells."""
        self._verify_header(headers)
        kept = self._without_secrets(beginning)
        # A secret that is cut in two is not found.
        longest = max(len(secret) for secret in (*self._secrets, *self._keys, b""))
        return Receipt(_delivery_id(headers, beginning), "", kept[: len(kept) - longest], raw=True)

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """See `Hooks.read`. Takes what `receive` kept, reduced or raw."""
        try:
            found = self._kept(kept)
        except (ValueError, RecursionError) as error:
            message = f"a delivery of {topic or 'an event without a name'} cannot be read: {error}"
            raise Unreadable(message, account=self._account, code="delivery") from error
        if found.problem:
            message = f"the webhook's query fails at the vendor ({found.problem}); correct the query"
            raise Unreadable(message, account=self._account, code="query")
        if found.invoice_id:
            return (Look(found.invoice_id),)
        if found.about == INVOICE:
            message = "the delivery does not say which invoice: its webhook's query must ask for legacyId"
            raise Unreadable(message, account=self._account, code="query")
        if not found.about:
            # Nothing is left to show of what was destroyed.
            return (Ignored("destroyed" if found.event == "destroy" else "nothing_shown"),)
        return (Ignored("stock" if found.about in _STOCK else "unknown_topic"),)

    @staticmethod
    def _kept(kept: bytes) -> _Kept:
        try:
            return _decode_kept(kept)
        except msgspec.ValidationError:
            return _reduced(_decode(kept))

    def _verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """By the operator's signature where there is one and we have a key for it, else by the seller's header."""
        signature = headers.get(HMAC)
        if signature is not None and self._keys:
            self._verify_signature(signature, body)
        else:
            self._verify_header(headers)

    def _verify_header(self, headers: Mapping[str, str]) -> None:
        given = headers.get(self._header)
        if given is None:
            raise InvalidSignature("the delivery has no secret and no signature", account=self._account, code="missing")
        # Compared as bytes: `compare_digest` refuses text outside ASCII, which a header may hold. All of them, so that
        # the time does not tell which one fits.
        shown = given.encode("utf-8", "replace")
        fits = [hmac.compare_digest(secret, shown) for secret in self._secrets]
        if not any(fits):
            message = "the delivery does not have a secret of this channel"
            raise InvalidSignature(message, account=self._account, code="signature")

    def _verify_signature(self, signature: str, body: bytes) -> None:
        given = signature.encode("utf-8", "replace")
        fits = [hmac.compare_digest(base64.b64encode(hmac.digest(key, body, "sha256")), given) for key in self._keys]
        if not any(fits):
            message = "the delivery is not signed with a key of this channel"
            raise InvalidSignature(message, account=self._account, code="signature")

    def _without_secrets(self, body: bytes) -> bytes:
        for secret in (*self._secrets, *self._keys):
            body = body.replace(secret, b"***")
        return body


def _delivery_id(headers: Mapping[str, str], body: bytes) -> str:
    """Made for each event at its source; a second attempt is thought to carry the same."""
    given = headers.get(IDEMPOTENCY) or headers.get(SEQUENCE) or ""
    return given if given and _plain(given) else hashlib.sha256(body).hexdigest()


def _reduced(body: _Body) -> _Kept:
    payload = body.payload
    if payload.errors:
        return _Kept(body.event_name, problem=legible(payload.errors[0].message[:100]) or "without a reason")
    node = payload.data.node if payload.data is not None else None
    if node is None:
        return _Kept(body.event_name)
    invoice_id = _invoice_id(node) if node.type_name == INVOICE else ""
    return _Kept(body.event_name, node.type_name, invoice_id)


def _invoice_id(node: _Node) -> str:
    """The id the REST API knows it by. The other one is that, encoded, in all that the vendor has shown of it."""
    if node.legacy_id is not None:
        found: Any = str(node.legacy_id)
        return found if found and is_storable(found) else ""
    try:
        match = _RELAY_ID.fullmatch(base64.b64decode(node.id, validate=True).decode("ascii"))
    except (binascii.Error, ValueError):
        return ""
    return match[1] if match else ""


def _plain(text: str) -> bool:
    """Whether a name is fit to be stored and shown."""
    return len(text) <= _MAX_HEADER and text.isascii() and text.isprintable()
