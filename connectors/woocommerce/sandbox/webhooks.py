"""The shop's webhooks: registered, tried with a ping, and told of what happens, spoilt on the way as the faults say."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import orjson

from connectors.clock import Clock
from connectors.sandbox.sending import Parcel, send_once

from .options import Options
from .sender import ANSWER_SECONDS, Sender, Task, Webhook
from .shop import Shop

SIGNATURE = "X-WC-Webhook-Signature"
SOURCE = "X-WC-Webhook-Source"
TOPIC = "X-WC-Webhook-Topic"
STATUSES = ("active", "paused", "disabled")
_RESOURCES = ("order", "product", "coupon", "customer")
_OTHER_SITE = "https://another-shop.example/"
_NOT_ALLOWED = {
    "code": "woocommerce_rest_cannot_view",
    "message": "Sorry, you cannot view this resource.",
    "data": {"status": 403},
}


class RefusedError(Exception):
    """A registration the shop does not take: the code and what it says."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Webhooks:
    """Tells subscribers. Used from the event loop only."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._luck = Random(f"faults {options.seed}")
        self._ids = count(1)
        self.faults = options.delivery_faults
        self.by_id: dict[int, Webhook] = {}
        self.shop: Shop
        """Set by whoever builds both: each knows the other."""
        self.representation: Callable[[int], dict[str, Any] | None]
        """An order as the REST API shows it now; None once it is gone."""
        self.sender = Sender(
            clock,
            concurrent=options.concurrent_deliveries,
            coalesce_seconds=options.coalesce_seconds,
            disabled_after=lambda: self.shop.switches.disabled_after_failures,
        )

    # Registrations ------------------------------------------------------------------------------------------------

    def drafted(self, wanted: Mapping[str, Any]) -> Webhook:
        """A registration that is not in force yet. Raises `RefusedError`."""
        topic, url = wanted.get("topic"), wanted.get("delivery_url")
        if not isinstance(topic, str) or not _is_topic(topic):
            raise RefusedError("woocommerce_rest_webhook_invalid_topic", "Webhook topic is required and must be valid.")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            message = "Webhook delivery URL must be a valid URL starting with http:// or https://."
            raise RefusedError("woocommerce_rest_webhook_invalid_delivery_url", message)
        return Webhook(
            webhook_id=next(self._ids),
            name=str(wanted.get("name", "")),
            topic=topic,
            delivery_url=url,
            secret=str(wanted.get("secret") or f"derived from user {self._options.seed}").encode(),
            status=_status(wanted.get("status", "active")),
            created_at=int(self._clock.now().timestamp()),
        )

    def register(self, webhook: Webhook) -> None:
        """Put a draft in force."""
        self.by_id[webhook.webhook_id] = webhook

    def change(self, webhook: Webhook, wanted: Mapping[str, Any]) -> None:
        """Change a registration. Raises `RefusedError`."""
        status = _status(wanted.get("status", webhook.status))
        if "secret" in wanted:
            webhook.secret = str(wanted["secret"]).encode()
        webhook.name = str(wanted.get("name", webhook.name))
        webhook.delivery_url = str(wanted.get("delivery_url", webhook.delivery_url))
        if status == "active" and webhook.status != "active":
            webhook.failures_in_a_row = 0
        webhook.status = status

    async def ping(self, webhook: Webhook) -> None:
        """Try its address, which has to answer with exactly 200. Raises `RefusedError`."""
        if not self.shop.switches.ping_on_rest:
            return
        headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": _USER_AGENT}
        ping = Parcel(webhook.delivery_url, headers, f"webhook_id={webhook.webhook_id}".encode())
        [answer] = await send_once([ping], answer_seconds=ANSWER_SECONDS)
        answered = answer["status"]
        self.sender.counts["pings"] += 1
        if answered != 200:
            message = f"Error: Delivery URL returned response code: {answered or 0}"
            raise RefusedError("woocommerce_rest_webhook_ping_failed", message)

    # What happens -------------------------------------------------------------------------------------------------

    def announce(self, topic: str, order_id: int) -> None:
        """Queue a delivery for every active webhook of the topic."""
        for webhook in self.by_id.values():
            if webhook.topic == topic and webhook.status == "active":
                self._send(webhook, topic, order_id)

    def made_up(self, topic: str, body: bytes, url: str, *, secret: bytes | None, headers: Mapping[str, str]) -> Parcel:
        """Any delivery at all: an old body, an attacker's attempt."""
        own = self._headers(topic, 0)
        own[SIGNATURE] = sign(body, b"not the secret of this webhook" if secret is None else secret)
        return Parcel(url, own | dict(headers), body)

    def _send(self, webhook: Webhook, topic: str, order_id: int) -> None:
        faults, counts = self.faults, self.sender.counts
        if self.sender.merges(webhook, order_id) and topic != "order.deleted":
            counts["coalesced"] += 1
            return
        if self._strikes(faults.drop_rate):
            counts["dropped"] += 1
            return
        least, most = faults.delay_seconds
        delay_seconds = self._luck.uniform(least, most) if most else 0.0
        if self._strikes(faults.reorder_rate):
            counts["reordered"] += 1
            delay_seconds += faults.reorder_hold_seconds
        truncated = self._strikes(faults.truncate_rate)
        counts["truncated"] += truncated

        def pack() -> Parcel | None:
            return self._parcel(webhook, topic, order_id, truncated=truncated)

        # A deletion is not merged into anything: its body says so.
        merged = None if topic == "order.deleted" else order_id
        self.sender.accept(Task(webhook, merged, pack), delay_seconds=delay_seconds)
        if self._strikes(faults.duplicate_rate):
            counts["duplicated"] += 1
            self.sender.accept(Task(webhook, None, pack), delay_seconds=delay_seconds)
        if self._strikes(faults.forge_rate):
            counts["forged"] += 1
            foreign = {SIGNATURE: sign(b"{}", b"not the secret of this webhook")}
            self._follow(pack, foreign, delay_seconds)
        if self._strikes(faults.tamper_rate):
            counts["tampered"] += 1
            lie = self._luck.choice(({SOURCE: _OTHER_SITE}, {TOPIC: "order.deleted"}, {TOPIC: "product.updated"}))
            self._follow(pack, lie, delay_seconds)

    def _follow(self, pack: Callable[[], Parcel | None], headers: Mapping[str, str], delay_seconds: float) -> None:
        def packed() -> Parcel | None:
            parcel = pack()
            return None if parcel is None else replace(parcel, headers={**parcel.headers, **headers})

        self.sender.accept(Task(None, None, packed), delay_seconds=delay_seconds)

    def _parcel(self, webhook: Webhook, topic: str, order_id: int, *, truncated: bool) -> Parcel | None:
        content: dict[str, Any] | None = {"id": order_id}
        if topic != "order.deleted":
            content = self.representation(order_id) if self.shop.switches.owner_may_read else _NOT_ALLOWED
        if content is None:
            return None
        body = orjson.dumps(content)
        body = body[: len(body) // 2] if truncated else body
        headers = self._headers(topic, webhook.webhook_id)
        headers[SIGNATURE] = sign(body, webhook.secret)
        return Parcel(webhook.delivery_url, headers, body)

    def _headers(self, topic: str, webhook_id: int) -> dict[str, str]:
        resource, _, event = topic.partition(".")
        # Of the webhook and the second: two deliveries of one second share it.
        delivery_id = hashlib.md5(
            f"{webhook_id} {int(self._clock.now().timestamp())}".encode(), usedforsecurity=False
        ).hexdigest()
        return {
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            SOURCE: f"{self._options.site}/",
            TOPIC: topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-ID": str(webhook_id),
            self.shop.switches.delivery_id_header: delivery_id,
        }

    def _strikes(self, rate: float) -> bool:
        return rate > 0 and self._luck.random() < rate


_USER_AGENT = "WooCommerce/9.0.0 Hookshot (WordPress/6.6)"


def sign(body: bytes, secret: bytes) -> str:
    """The signature of a raw body."""
    return base64.b64encode(hmac.digest(secret, body, hashlib.sha256)).decode()


def _is_topic(topic: str) -> bool:
    resource, _, event = topic.partition(".")
    if resource == "action":
        return event.startswith(("woocommerce_", "wc_"))
    return resource in _RESOURCES and event in ("created", "updated", "deleted", "restored")


def _status(wanted: Any) -> str:
    if wanted not in STATUSES:
        raise RefusedError("rest_invalid_param", "Invalid parameter(s): status")
    return str(wanted)
