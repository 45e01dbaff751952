"""From what happens in the shop to deliveries, spoilt on their way as the fault switches say."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID

import orjson

from connectors.clock import Clock

from .options import Options, Switches
from .payloads import select, utc_time
from .sender import WEBHOOK_ID, Delivery, Sender
from .shop import Happening
from .subscriptions import Subscription, Subscriptions

SIGNATURE = "X-Shopify-Hmac-Sha256"
_OTHER_SHOP = "another-shop.myshopify.com"


class Webhooks:
    """Tells subscribers. Used from the event loop only."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._ids = Random(f"ids {options.seed}")
        self._luck = Random(f"faults {options.seed}")
        self._secrets = [
            secret.get_secret_value().encode() for secret in (options.client_secret, *options.further_secrets)
        ]
        self._latest_digest: dict[tuple[int, int], bytes] = {}
        self.switches = options.switches
        self.faults = options.delivery_faults
        self.subscriptions = Subscriptions(clock)
        self.sender = Sender(
            clock,
            self.subscriptions,
            switches=lambda: self.switches,
            retry_time_scale=options.retry_time_scale,
            concurrent=options.concurrent_deliveries,
            new_id=self.new_id,
        )

    def turn(self, switches: Switches) -> None:
        """Change what the documentation leaves open, from now on."""
        self.switches = switches

    def announce(self, happenings: Sequence[Happening]) -> None:
        """Send each topic of one merchant action to its subscribers. All deliveries of an action share an event id."""
        event_id = self.new_id()
        for happening in happenings:
            subscriptions = self.subscriptions.to(happening.topic)
            if not subscriptions:
                continue
            payload = happening.body()
            for subscription in subscriptions:
                fields = subscription.include_fields
                body = orjson.dumps(select(payload, fields) if fields else payload)
                if fields and self._is_repeated(subscription, happening.resource_id, body):
                    self.sender.counts["suppressed"] += 1
                else:
                    self._send(self._delivery(subscription, body, event_id))

    def uninstall(self, application: str, payload: Mapping[str, Any]) -> None:
        """Tell the application that it was removed, and end its subscriptions."""
        event_id = self.new_id()
        for subscription in self.subscriptions.of(application):
            if subscription.topic == "app/uninstalled":
                self._send(self._delivery(subscription, orjson.dumps(payload), event_id))
            self.subscriptions.delete(subscription)

    def made_up(
        self, topic: str, body: bytes, url: str, *, signed: bool, headers: Mapping[str, str], api_version: str
    ) -> Delivery:
        """Any delivery at all, to be sent once: a compliance topic, an old body, an attacker's attempt."""
        own = self._headers(topic, api_version, self.new_id())
        own[SIGNATURE] = self.sign(body) if signed else _foreign_signature(body)
        return Delivery(url, own | dict(headers), body, None)

    def sign(self, body: bytes) -> str:
        """The signature of a raw body, by the secret in force (docs, "Verify webhook deliveries")."""
        secret = self._secrets[min(self.switches.signing_secret, len(self._secrets) - 1)]
        return base64.b64encode(hmac.digest(secret, body, hashlib.sha256)).decode()

    def new_id(self) -> str:
        """A fresh id for a delivery or an event."""
        return str(UUID(int=self._ids.getrandbits(128), version=4))

    def _is_repeated(self, subscription: Subscription, resource_id: int, body: bytes) -> bool:
        # Payloads without a field that always changes are sent only when something in them did.
        place = subscription.subscription_id, resource_id
        digest = hashlib.blake2b(body, digest_size=16).digest()
        repeated = self._latest_digest.get(place) == digest
        self._latest_digest[place] = digest
        return repeated

    def _delivery(self, subscription: Subscription, body: bytes, event_id: str) -> Delivery:
        headers = self._headers(subscription.topic, subscription.api_version, event_id)
        headers[SIGNATURE] = self.sign(body)
        if subscription.name:
            headers["X-Shopify-Name"] = subscription.name
        return Delivery(subscription.uri, headers, body, subscription)

    def _headers(self, topic: str, api_version: str, event_id: str) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "X-Shopify-Topic": topic,
            "X-Shopify-Shop-Domain": self._options.shop_domain,
            "X-Shopify-API-Version": api_version,
            WEBHOOK_ID: self.new_id(),
            "X-Shopify-Event-Id": event_id,
            "X-Shopify-Triggered-At": utc_time(int(self._clock.now().timestamp())),
        }

    def _send(self, delivery: Delivery) -> None:
        faults, counts = self.faults, self.sender.counts
        if self._strikes(faults.drop_rate):
            counts["dropped"] += 1
            return
        genuine = delivery
        if self._strikes(faults.truncate_rate):
            counts["truncated"] += 1
            half = delivery.body[: len(delivery.body) // 2]
            delivery = replace(delivery, body=half, headers={**delivery.headers, SIGNATURE: self.sign(half)})
        self._accept(delivery)
        if self._strikes(faults.duplicate_rate):
            counts["duplicated"] += 1
            self._accept(self._with_headers(delivery, {}, new_id=self.switches.duplicate_webhook_id == "new"))
        if self._strikes(faults.forge_rate):
            counts["forged"] += 1
            forged = self._with_headers(genuine, {SIGNATURE: _foreign_signature(genuine.body)}, new_id=True)
            self.sender.accept(replace(forged, subscription=None))
        if self._strikes(faults.tamper_rate):
            counts["tampered"] += 1
            lie = self._luck.choice(({"X-Shopify-Shop-Domain": _OTHER_SHOP}, {"X-Shopify-Topic": "orders/delete"}))
            self.sender.accept(replace(self._with_headers(genuine, lie, new_id=True), subscription=None))

    def _accept(self, delivery: Delivery) -> None:
        faults = self.faults
        if self._strikes(faults.reorder_rate):
            self.sender.counts["reordered"] += 1
            to_pass = self._luck.randint(1, faults.reorder_span)
            self.sender.accept(delivery, to_pass=to_pass, hold_seconds=faults.reorder_hold_seconds)
        else:
            least, most = faults.delay_seconds
            self.sender.accept(delivery, delay_seconds=self._luck.uniform(least, most) if most else 0.0)

    def _with_headers(self, delivery: Delivery, changes: Mapping[str, str], *, new_id: bool) -> Delivery:
        headers = {**delivery.headers, **changes}
        if new_id:
            headers[WEBHOOK_ID] = self.new_id()
        return replace(delivery, headers=headers)

    def _strikes(self, rate: float) -> bool:
        return rate > 0 and self._luck.random() < rate


def _foreign_signature(body: bytes) -> str:
    return base64.b64encode(hmac.digest(b"not the secret of this application", body, hashlib.sha256)).decode()
