"""Webhooks: several under way at once, each event with its place in the order in which things happened.

A webhook that is answered with a 4xx other than 429 is turned off at once, its event lost. What is shown is put
together when it is sent, not when it happened.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from random import Random
from typing import Any, Literal

import httpx
import orjson

from connectors.clock import Clock

from .options import DeliveryFaults, Options, Switches

ANSWER_SECONDS = 30.0
SENDERS = 8
SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60.0, 4 * 86_400.0
HMAC = "Marketplacer-Hmac-256"
VERTICAL = "sandbox"

_LOOK_SECONDS = 0.02

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
    due: float = 0.0
    forged: bool = False


class Webhooks:
    """All webhooks of one site. Everything runs on one event loop, under the site's lock where it answers."""

    def __init__(self, options: Options, clock: Clock, switches: Callable[[], Switches]) -> None:
        self._options = options
        self._clock = clock
        self._switches = switches
        self._luck = Random(f"delivery faults {options.seed}")
        self._numbers = count(1)
        self._sequences = count(2552)
        self.faults: DeliveryFaults = options.delivery_faults
        self.all: dict[int, Webhook] = {}
        self.counts: Counter[str] = Counter()
        self.concerns: Callable[[str, int, int | None], bool]
        """Whether something of that type and number is shown to that seller; set by whoever builds both."""
        self.node: Callable[[str, int, Fields], dict[str, Any] | None]
        """What a query shows of it; None once it is gone."""
        self._ready: asyncio.Queue[Delivery | None] = asyncio.Queue()
        self._waiting: list[Delivery] = []
        self._overtaken: Delivery | None = None
        self._in_flight = 0
        self._stopped = False

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

    def announce(self, type: str, event: str, subject: int) -> None:
        """Send an event to everybody who wants it."""
        sequence = next(self._sequences)
        for webhook in self.all.values():
            wanted = webhook.enabled and webhook.type == type and webhook.event_name in {None, event}
            if wanted and self.concerns(type, subject, webhook.seller_id):
                self.send(Delivery(webhook, next(self._numbers), sequence, _key(sequence), event, subject))

    @property
    def pending(self) -> dict[str, int]:
        """What has not come to an end."""
        return {
            "queued": self._ready.qsize(),
            "in_flight": self._in_flight,
            "waiting": len(self._waiting),
            "held": 0 if self._overtaken is None else 1,
        }

    def flush(self) -> None:
        """Send at once what waits: to be tried again, to be merged, to be overtaken."""
        for delivery in self._waiting:
            self._ready.put_nowait(delivery)
        self._waiting.clear()
        self._release_overtaken()

    async def run(self) -> None:
        """Send until told to stop."""
        async with asyncio.TaskGroup() as tasks:
            waking = tasks.create_task(self._wake())
            senders = [tasks.create_task(self._deliver()) for _ in range(SENDERS)]
            await asyncio.gather(*senders)
            waking.cancel()

    def stop(self) -> None:
        """Let `run` end once what is under way has come to its end."""
        self._stopped = True
        for _ in range(SENDERS):
            self._ready.put_nowait(None)

    def send(self, delivery: Delivery) -> None:
        """Take a delivery of our own: it goes out, or is spoilt as the faults say."""
        if self._strikes(self.faults.drop_rate):
            self.counts["dropped"] += 1
            return
        if delivery.webhook.type == "VARIANT" and self._options.merge_seconds:
            self._merge(delivery)
            return
        if self._overtaken is None and self._strikes(self.faults.reorder_rate):
            self.counts["reordered"] += 1
            self._overtaken = delivery
            return
        self._ready.put_nowait(delivery)
        if self._strikes(self.faults.duplicate_rate):
            self.counts["duplicated"] += 1
            self._ready.put_nowait(delivery)
        if self._strikes(self.faults.forge_rate):
            self.counts["forged"] += 1
            self._ready.put_nowait(replace(delivery, forged=True))
        self._release_overtaken()

    def _merge(self, delivery: Delivery) -> None:
        """Of a burst about one variant only the last is sent."""
        before = len(self._waiting)
        self._waiting = [
            each
            for each in self._waiting
            if each.attempt > 1 or (each.webhook, each.subject) != (delivery.webhook, delivery.subject)
        ]
        self.counts["merged"] += before - len(self._waiting)
        due = self._clock.monotonic() + self._options.merge_seconds
        self._waiting.append(replace(delivery, due=due))

    def _release_overtaken(self) -> None:
        if self._overtaken is not None:
            self._ready.put_nowait(self._overtaken)
            self._overtaken = None

    async def _deliver(self) -> None:
        async with httpx.AsyncClient(verify=_certificates(), timeout=ANSWER_SECONDS, trust_env=False) as client:
            while (delivery := await self._ready.get()) and not self._stopped:
                if not delivery.webhook.enabled:
                    self.counts["not_enabled"] += 1
                    continue
                self._in_flight += 1
                try:
                    status = await self._post(client, delivery)
                finally:
                    self._in_flight -= 1
                self._settle(delivery, status)

    async def _post(self, client: httpx.AsyncClient, delivery: Delivery) -> int | None:
        body = orjson.dumps(self.body(delivery))
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
        with contextlib.suppress(Exception):  # No answer, whatever the reason, is a failed attempt.
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await client.post(delivery.webhook.url, content=body, headers=headers)
            return answer.status_code
        return None

    def body(self, delivery: Delivery) -> dict[str, Any]:
        """What is posted."""
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
            due = self._clock.monotonic() + seconds * self._options.retry_time_scale
            self._waiting.append(replace(delivery, key=key, attempt=delivery.attempt + 1, due=due))

    async def _wake(self) -> None:
        while True:
            now = self._clock.monotonic()
            due = [delivery for delivery in self._waiting if delivery.due <= now]
            self._waiting = [delivery for delivery in self._waiting if delivery.due > now]
            for delivery in due:
                self._ready.put_nowait(delivery)
            await asyncio.sleep(_LOOK_SECONDS)

    def _strikes(self, rate: float) -> bool:
        return rate > 0 and self._luck.random() < rate


def sign(body: bytes, key: str) -> str:
    """The operator's signature of a raw body."""
    return base64.b64encode(hmac.digest(key.encode(), body, hashlib.sha256)).decode()


def _key(sequence: int) -> str:
    return base64.b64encode(f"{VERTICAL}:{sequence}".encode()).decode()


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
