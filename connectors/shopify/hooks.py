"""Webhook deliveries: verified, reduced, and read.

Only the body is signed (vendor page "Verify webhook deliveries"). Whoever has seen one delivery can send its body again
under another topic, shop or id, so what a delivery says is decided by the shape of its body alone; the topic counts
only where a body has no shape of its own, and then for nothing more than a reason to ask the shop.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from connectors.contract import AccessEnded, Ignored, Look, Notice, Receipt
from connectors.errors import InvalidSignature, Unreadable
from connectors.shopify.orders import Rules, from_hook, order_id_in
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.shapes import HookBody

_COMPLIANCE = frozenset({"customers/data_request", "customers/redact", "shop/redact"})
_MAX_HEADER = 100

_decode = msgspec.json.Decoder(HookBody).decode
_encode = msgspec.json.Encoder().encode


class _AnyOrder(msgspec.Struct):
    """The least of an unreadable body: which order it is about."""

    admin_graphql_api_id: str


class ShopifyHooks:
    """One shop's deliveries. No I/O; safe for use from several threads."""

    refusal_status = 401
    """What the vendor's app review asks for."""

    def __init__(self, settings: ShopifySettings, *, account: str) -> None:
        self._account = account
        self._shop = settings.shop
        self._secrets = [secret.get_secret_value().encode() for secret in settings.signing_secrets]
        self._rules = Rules.of(settings)

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`. One HMAC with one secret configured, one pass over the JSON; thousands per second."""
        self._verify(headers.get("x-shopify-hmac-sha256"), body)
        shop = headers.get("x-shopify-shop-domain")
        if shop is not None and shop.lower() != self._shop:
            message = f"the delivery names another shop than {self._shop}; is its address registered at both?"
            raise InvalidSignature(message, account=self._account, code="shop")
        topic = headers.get("x-shopify-topic", "")
        if not _plain(topic):
            topic = ""
        delivery_id = headers.get("x-shopify-webhook-id", "")
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
        if reduced.tags:
            # Tags may say anything about anybody; only those that keep an order out are needed.
            reduced.tags = ",".join(self._rules.matching_tags(reduced.tags.split(",")))
        return _encode(reduced)

    def _notice(self, topic: str, body: HookBody) -> Notice:
        named = order_id_in(body.admin_graphql_api_id)
        if named is not None and self._is_whole(body):
            return from_hook(body, self._rules)
        if body.order_edit is not UNSET:
            return Look(str(body.order_edit.order_id))
        if body.order_id:
            # A refund. Bodies of other topics may name an order too; to look once more than needed does no harm.
            return Look(str(body.order_id))
        if named is None and topic.startswith("orders/") and isinstance(body.id, int):
            # A deletion says nothing but the order's number.
            named = str(body.id)
        if named is not None:
            return Look(named)
        if body.shop_id is not UNSET or topic in _COMPLIANCE:
            return Ignored("compliance")
        if topic == "app/uninstalled":
            return AccessEnded()
        return Ignored("unknown_topic")

    def _is_whole(self, body: HookBody) -> bool:
        """Whether the body has all of an order that stock and this shop's rules need.

        A registration made by hand may send less; then the order is fetched.
        """
        rules = self._rules
        needed = [body.id, body.created_at, body.updated_at, body.line_items, body.refunds]
        needed += [body.cancelled_at, body.fulfillment_status]
        needed += [body.test] if rules.tests else []
        needed += [body.source_name] if rules.sources else []
        needed += [body.app_id] if rules.apps else []
        needed += [body.tags] if rules.tags else []
        return UNSET not in needed


def _plain(text: str) -> bool:
    """Whether an unsigned header is fit to be stored and shown."""
    return len(text) <= _MAX_HEADER and text.isascii() and text.isprintable()


def _order_of(body: bytes) -> str | None:
    try:
        return order_id_in(msgspec.json.decode(body, type=_AnyOrder).admin_graphql_api_id)
    except (ValueError, RecursionError):
        return None
