"""Webhooks: several under way at once, each event with its place in the order in which things happened.

A webhook that is answered with a 4xx other than 429 is turned off at once, its event lost. What is shown is put
together when it is sent, not when it happened.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any, Literal

import httpx
import orjson

from connectors.clock import Clock
from connectors.sandbox.sending import Parcel, Sending, carry

from .options import DeliveryFaults, Options, Switches

ANSWER_SECONDS = 30.0
SENDERS = 8
SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60.0, 4 * 86_400.0
HMAC = "Marketplacer-Hmac-256"
VERTICAL = "sandbox"

Fields = Literal["type", "ids", "full", "broken", "legacy"]
"""What a webhook's query asks for: nothing but the type, ids too, line items too; one that fails; the form of old."""


@dataclass(slots=True, eq=False)
class Webhook:
    """One registration."""

    webhook_id: int
    url: str
    type: str
    seller_id: int | None
    """None: the operator's."""
    headers: Mapping[str, str]
    hmac_key: str | None
    fields: Fields
    event_name: str | None
    max_retries: int
    enabled: bool = True
    responses: list[int | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One event on its way to one webhook."""

    webhook: Webhook
    number: int
    """Of the event."""
    sequence: int
    key: str
    event: str
    subject: int
    attempt: int = 1
    forged: bool = False


class Webhooks(Sending[Delivery]):
    """All webhooks of one site. Everything runs on one event loop, under the site's lock where it answers."""

    def __init__(self, options: Options, clock: Clock, switches: Callable[[], Switches]) -> None:
        super().__init__(clock, concurrent=SENDERS)
        self._options = options
        self._switches = switches
        self._luck = Random(f"delivery faults {options.seed}")
        self._numbers = count(1)
        self._sequences = count(2552)
        self.faults: DeliveryFaults = options.delivery_faults
        self.all: dict[int, Webhook] = {}
        self.concerns: Callable[[str, int, int | None], bool]
        """Whether something of that type and number is shown to that seller; set by whoever builds both."""
        self.node: Callable[[str, int, Fields], dict[str, Any] | None]
        """What a query shows of it; None once it is gone."""

    def register(
        self,
        url: str,
        *,
        type: str,
        seller_id: int | None,
        headers: Mapping[str, str],
        hmac_key: str | None,
        fields: Fields,
        event_name: str | None,
        max_retries: int,
    ) -> Webhook:
        """One more, as a person makes it in a portal."""
        made = Webhook(next(self._numbers), url, type, seller_id, headers, hmac_key, fields, event_name, max_retries)
        self.all[made.webhook_id] = made
        return made

    # Sending.

    @property
    def pending(self) -> dict[str, int]:
        """What has not come to an end; what waits to be merged and what waits for a retry are one queue here."""
        counts = super().pending
        return {"waiting": counts.pop("delayed") + counts.pop("retries"), **counts}

    def announce(self, type: str, event: str, subject: int) -> None:
        """Send an event to everybody who wants it."""
        sequence = next(self._sequences)
        for webhook in self.all.values():
            wanted = webhook.enabled and webhook.type == type and webhook.event_name in {None, event}
            if wanted and self.concerns(type, subject, webhook.seller_id):
                self._send(Delivery(webhook, next(self._numbers), sequence, _key(sequence), event, subject))

    def _send(self, delivery: Delivery) -> None:
        if self._strikes(self.faults.drop_rate):
            self.counts["dropped"] += 1
            return
        if delivery.webhook.type == "VARIANT" and self._options.merge_seconds:
            self._merge(delivery)
            return
        if not self.holds_back and self._strikes(self.faults.reorder_rate):
            self.counts["reordered"] += 1
            self.hold_back(delivery)
            return
        self.send(delivery)
        if self._strikes(self.faults.duplicate_rate):
            self.counts["duplicated"] += 1
            self.send(delivery)
        if self._strikes(self.faults.forge_rate):
            self.counts["forged"] += 1
            self.send(replace(delivery, forged=True))

    def _merge(self, delivery: Delivery) -> None:
        """Of a burst about one variant only the last is sent."""
        self.counts["merged"] += self.withdraw(
            lambda each: (each.webhook, each.subject) == (delivery.webhook, delivery.subject)
        )
        self.wait(delivery, self._options.merge_seconds)

    async def carry_out(self, client: httpx.AsyncClient, item: Delivery) -> None:
        """One attempt, unless the webhook was turned off since."""
        if not item.webhook.enabled:
            self.counts["not_enabled"] += 1
            return
        self._settle(item, await carry(client, self.parcel(item), answer_seconds=ANSWER_SECONDS))

    def parcel(self, delivery: Delivery) -> Parcel:
        """The request of one attempt, as things are now."""
        body = orjson.dumps(self._body(delivery))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Marketplacer Client/1.0.0",
            "Idempotency-Key": delivery.key,
            "Marketplacer-Sequence": str(delivery.sequence),
            "Marketplacer-Vertical": VERTICAL,
        }
        if not delivery.forged:
            headers |= delivery.webhook.headers
            if delivery.webhook.hmac_key is not None:
                headers[HMAC] = sign(body, delivery.webhook.hmac_key)
        return Parcel(delivery.webhook.url, headers, body)

    def _body(self, delivery: Delivery) -> dict[str, Any]:
        webhook = delivery.webhook
        event_id = base64.b64encode(f"WebhookEvent-{delivery.number}".encode()).decode()
        wrapper = {"id": event_id, "event_name": delivery.event}
        if webhook.fields == "legacy":
            return {**wrapper, "payload": None}
        if webhook.fields == "broken":
            problem = {"message": "Field 'legacy' doesn't exist on type 'Invoice'", "path": ["query"], "locations": []}
            return {**wrapper, "payload": {"errors": [problem]}}
        node = None if delivery.event == "destroy" else self.node(webhook.type, delivery.subject, webhook.fields)
        return {**wrapper, "payload": {"data": {"node": node}}}

    def _settle(self, delivery: Delivery, status: int | None) -> None:
        if delivery.forged:
            self.counts["forged_accepted" if status == 200 else "forged_refused"] += 1
            return
        webhook = delivery.webhook
        webhook.responses.append(status)
        if status is not None and 200 <= status < 300:
            self.counts["delivered"] += 1
            return
        self.counts["failed_attempts"] += 1
        if status is not None and status < 500 and status != 429:
            webhook.enabled = False
            self.counts["disabled"] += 1
        elif delivery.attempt > webhook.max_retries:
            self.counts["given_up"] += 1
        else:
            seconds = min(max(float(delivery.attempt**4), SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)
            key = delivery.key if self._switches().idempotency_key == "same" else _key(next(self._sequences))
            again = replace(delivery, key=key, attempt=delivery.attempt + 1)
            self.wait(again, seconds * self._options.retry_time_scale, retry=True)

    def _strikes(self, rate: float) -> bool:
        return rate > 0 and self._luck.random() < rate


def sign(body: bytes, key: str) -> str:
    """The operator's signature of a raw body."""
    return base64.b64encode(hmac.digest(key.encode(), body, hashlib.sha256)).decode()


def _key(sequence: int) -> str:
    return base64.b64encode(f"{VERTICAL}:{sequence}".encode()).decode()
