"""Webhook deliveries: verified, reduced, and read.

Only the body is signed, without a time. Whoever has seen one delivery can send its body again under other headers, so
what a delivery says is decided by the shape of its body; the topic counts only where a body has no shape of its own,
and then for nothing more than a reason to ask the shop.

One thing comes without a signature: the ping with which a site tries a webhook's address before it turns it on. It
says nothing and changes nothing, but has to be answered as if it were welcome.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from connectors.contract import Ignored, Look, Notice, Receipt
from connectors.errors import InvalidSignature, Unreadable
from connectors.text import legible
from connectors.woocommerce.orders import Rules, from_hook
from connectors.woocommerce.settings import WooCommerceSettings, source_of
from connectors.woocommerce.shapes import REDUCED_STOCK, HookBody, Id, MetaEntry

PING = "ping"
_PING_BODY = re.compile(rb"webhook_id=[1-9][0-9]{0,5}")
"""Anybody can send one, and each number is stored once: a million of them is the most that can come of it."""
_FORM = "application/x-www-form-urlencoded"
_MAX_HEADER = 100
_OTHERS = ("product.", "coupon.", "customer.", "action.")
"""Topics that are not about orders. What they say of stock is the echo of what is written to the shop."""

_decode = msgspec.json.Decoder(HookBody).decode
_encode = msgspec.json.Encoder().encode


class _AnyOrder(msgspec.Struct):
    """The least of an unreadable body: which order it is about."""

    id: Id
    line_items: msgspec.Raw


class WooCommerceHooks:
    """One shop's deliveries. No I/O; safe for use from several threads."""

    refusal_status = 401
    """The shop counts it as a failure, and that is right: a webhook with a wrong secret, which nobody can see, goes
    off, and turning it on again sets the right one. What somebody else sent is not counted.
    """

    def __init__(self, settings: WooCommerceSettings, *, account: str) -> None:
        self._account = account
        self._source = settings.source
        self._secrets = [secret.get_secret_value().encode() for secret in settings.webhook_secrets]
        self._rules = Rules.of(settings)

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`. One HMAC with one secret configured, one pass over the JSON."""
        signature = headers.get("x-wc-webhook-signature")
        if signature is None and headers.get("content-type", "").startswith(_FORM) and _PING_BODY.fullmatch(body):
            return Receipt(PING, PING, _encode({"webhook_id": int(body.partition(b"=")[2])}), raw=False)
        self._verify(signature, body)
        source = headers.get("x-wc-webhook-source")
        if source is not None and source_of(source) != self._source:
            message = f"the delivery names another shop than {self._source}; is `site` the shop's home address?"
            raise InvalidSignature(message, account=self._account, code="source")
        topic = headers.get("x-wc-webhook-topic", "")
        if not _plain(topic):
            topic = ""
        # Two deliveries of one second share an id. It is stored together with a digest of the body, which tells them
        # apart. The name of the header is another one in the vendor's documentation.
        delivery_id = headers.get("x-wc-webhook-delivery-id") or headers.get("x-wc-delivery-id") or ""
        if not delivery_id or not _plain(delivery_id):
            delivery_id = hashlib.sha256(body).hexdigest()
        try:
            return Receipt(delivery_id, topic, self._reduced(body), raw=False)
        except (ValueError, RecursionError):
            return Receipt(delivery_id, topic, body, raw=True)

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """See `Hooks.read`. Takes what `receive` kept, reduced or raw."""
        try:
            return (self._notice(topic, _decode(kept)),)
        except Unreadable as error:
            error.account = self._account
            raise
        except (ValueError, RecursionError) as error:
            message = f"a delivery of topic {topic or '(none)'} cannot be read: {error}"
            raise Unreadable(message, account=self._account, code="delivery", order_id=_order_of(kept)) from error

    def _verify(self, signature: str | None, body: bytes) -> None:
        if signature is None:
            raise InvalidSignature("the delivery is not signed", account=self._account, code="missing")
        # Compared as bytes: `compare_digest` refuses text outside ASCII, which a header may hold.
        given = signature.encode("ascii", "replace")
        for secret in self._secrets:
            expected = base64.b64encode(hmac.digest(secret, body, "sha256"))
            if hmac.compare_digest(expected, given):
                return
        message = "the delivery is not signed with a secret of this channel"
        raise InvalidSignature(message, account=self._account, code="signature")

    def _reduced(self, body: bytes) -> bytes:
        reduced = _decode(body)
        for line in () if reduced.line_items is UNSET else reduced.line_items:
            # What a buyer had engraved is a meta entry too.
            line.meta_data = [entry for entry in line.meta_data if entry.key == REDUCED_STOCK]
        if reduced.meta_data is not UNSET:
            reduced.meta_data = [MetaEntry(key) for key in self._rules.matching_keys(reduced.meta_data)]
        return _encode(reduced)

    def _notice(self, topic: str, body: HookBody) -> Notice:
        if body.webhook_id is not UNSET:
            return Ignored(PING)
        if body.line_items is not UNSET and body.id is not UNSET:
            # Built when it was sent, not when it happened: it is a newer state than its topic says, never an older one.
            return from_hook(body, self._rules) or Look(str(body.id))
        if body.code is not UNSET and body.id is UNSET:
            message = (
                f"the shop sent an error instead of an order ({legible(body.code[:80])}): may the user who owns the "
                "webhook still read orders?"
            )
            raise Unreadable(message, code="delivery")
        if body.id is not UNSET and not topic.startswith(_OTHERS):
            # A deletion says nothing but the order's number. To look once more than needed does no harm.
            return Look(str(body.id))
        return Ignored("unknown_topic")


def _plain(text: str) -> bool:
    """Whether an unsigned header is fit to be stored and shown."""
    return len(text) <= _MAX_HEADER and text.isascii() and text.isprintable()


def _order_of(body: bytes) -> str | None:
    try:
        return str(msgspec.json.decode(body, type=_AnyOrder).id)
    except (ValueError, RecursionError):
        return None
