"""Integrations of type webhook, and the sending of events to them: at least once, concurrently, in no order."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import Any

import httpx
import orjson

from connectors.clock import Clock

from .errors import ApiError, bad_request, not_found
from .options import DeliveryFaults, Options, Switches

MOST_EVENTS = 5
MOST_INTEGRATIONS = 100
ANSWER_SECONDS = 10.0
SECRET = "X-MOLTIN-SECRET-KEY"  # noqa: S105  the name of a header
TRIGGER = "X-MOLTIN-INTEGRATION-TRIGGER"
SENDERS = 8

_LOOK_SECONDS = 0.02


@dataclass(slots=True, eq=False)
class Integration:
    """One registration."""

    integration_id: str
    name: str
    url: str
    secret: str
    observes: list[str]
    enabled: bool
    description: str = ""
    logs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One event on its way to one integration."""

    integration: Integration
    event_id: str
    event: str
    payload: Mapping[str, Any]
    attempt: int = 1
    due: float = 0.0


class Integrations:
    """All integrations of one store. Everything runs on one event loop, under the store's lock where it answers."""

    def __init__(
        self, options: Options, clock: Clock, new_id: Callable[[], str], switches: Callable[[], Switches]
    ) -> None:
        self._options = options
        self._clock = clock
        self._new_id = new_id
        self._switches = switches
        self._luck = Random(f"delivery faults {options.seed}")
        self.faults: DeliveryFaults = options.delivery_faults
        self.all: dict[str, Integration] = {}
        self.counts: Counter[str] = Counter()
        self._ready: asyncio.Queue[Delivery | None] = asyncio.Queue()
        self._waiting: list[Delivery] = []
        self._overtaken: Delivery | None = None
        self._in_flight = 0
        self._stopped = False

    # Registrations.

    def create(self, data: Mapping[str, Any]) -> Integration:
        """Raises `ApiError`."""
        if len(self.all) >= MOST_INTEGRATIONS:
            raise ApiError(422, "Unprocessable", "You have reached the integration limit")
        made = Integration(self._new_id(), "", "", "", [], enabled=False)
        self._fill(made, data)
        if not made.url or not made.name or not made.observes:
            raise bad_request("name, observes and configuration.url are required")
        self.all[made.integration_id] = made
        return made

    def update(self, integration_id: str, data: Mapping[str, Any]) -> Integration:
        """What is not mentioned stays. Raises `ApiError`."""
        known = self.get(integration_id)
        self._fill(known, data)
        return known

    def get(self, integration_id: str) -> Integration:
        """Raises `ApiError`."""
        if integration_id not in self.all:
            raise not_found()
        return self.all[integration_id]

    def _fill(self, integration: Integration, data: Mapping[str, Any]) -> None:
        observes = data.get("observes", integration.observes)
        if len(observes) > MOST_EVENTS:
            raise ApiError(422, "Unprocessable", f"You have reached the integration event limit of {MOST_EVENTS}")
        if data.get("integration_type", "webhook") != "webhook":
            raise bad_request("only webhooks are imitated")
        configuration = data.get("configuration") or {}
        integration.observes = list(observes)
        integration.name = data.get("name", integration.name)
        integration.description = data.get("description", integration.description)
        integration.enabled = data.get("enabled", integration.enabled)
        integration.url = configuration.get("url", integration.url)
        integration.secret = configuration.get("secret_key", integration.secret)

    # Sending.

    def announce(self, event: str, payload: Mapping[str, Any]) -> None:
        """Send an event to everybody who observes it."""
        for integration in self.all.values():
            if integration.enabled and event in integration.observes:
                self._send(Delivery(integration, self._new_id(), event, deepcopy(dict(payload))))

    def body(self, delivery: Delivery) -> bytes:
        """What is posted. It repeats the secret."""
        integration = delivery.integration
        return orjson.dumps(
            {
                "id": delivery.event_id,
                "triggered_by": delivery.event,
                "attempt": delivery.attempt,
                "integration": {
                    "id": integration.integration_id,
                    "integration_type": "webhook",
                    "name": integration.name,
                    "description": integration.description,
                },
                "resources": orjson.dumps(delivery.payload).decode(),
                "payload": delivery.payload,
                "configuration": {"secret_key": integration.secret, "url": integration.url},
            }
        )

    @property
    def pending(self) -> dict[str, int]:
        """What has not come to an end."""
        held = 0 if self._overtaken is None else 1
        return {
            "queued": self._ready.qsize(),
            "in_flight": self._in_flight,
            "retries": len(self._waiting),
            "held": held,
        }

    def flush(self) -> None:
        """Send at once what waits to be tried again, or to be overtaken."""
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

    def _send(self, delivery: Delivery) -> None:
        if self._strikes(self.faults.drop_rate):
            self.counts["dropped"] += 1
            return
        if self._overtaken is None and self._strikes(self.faults.reorder_rate):
            self.counts["reordered"] += 1
            self._overtaken = delivery
            return
        self._ready.put_nowait(delivery)
        if self._strikes(self.faults.duplicate_rate):
            self.counts["duplicated"] += 1
            self._ready.put_nowait(delivery)
        self._release_overtaken()

    def _release_overtaken(self) -> None:
        if self._overtaken is not None:
            self._ready.put_nowait(self._overtaken)
            self._overtaken = None

    async def _deliver(self) -> None:
        async with httpx.AsyncClient(verify=_certificates(), timeout=ANSWER_SECONDS, trust_env=False) as client:
            while (delivery := await self._ready.get()) and not self._stopped:
                self._in_flight += 1
                try:
                    status = await self._post(client, delivery)
                finally:
                    self._in_flight -= 1
                self._settle(delivery, status)

    async def _post(self, client: httpx.AsyncClient, delivery: Delivery) -> int | None:
        headers = {"Content-Type": "application/json", TRIGGER: delivery.event}
        if delivery.integration.secret:
            headers[SECRET] = delivery.integration.secret
        with contextlib.suppress(Exception):  # No answer, whatever the reason, is a failed attempt.
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await client.post(delivery.integration.url, content=self.body(delivery), headers=headers)
            return answer.status_code
        return None

    def _settle(self, delivery: Delivery, status: int | None) -> None:
        succeeded = status is not None and 200 <= status < 300
        self.counts["delivered" if succeeded else "failed_attempts"] += 1
        delivery.integration.logs.append(
            {
                "id": self._new_id(),
                "type": "integration",
                "succeeded": succeeded,
                "attempt": delivery.attempt,
                "status_code": status or 0,
            }
        )
        if succeeded:
            return
        if delivery.attempt > self._switches().delivery_retries:
            self.counts["given_up"] += 1
            return
        event_id = delivery.event_id if self._switches().event_id == "same" else self._new_id()
        due = self._clock.monotonic() + self._options.retry_seconds
        self._waiting.append(replace(delivery, event_id=event_id, attempt=delivery.attempt + 1, due=due))

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


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
