"""Integrations of type webhook, and the sending of events to them: at least once, concurrently, in no order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import httpx
import orjson

from connectors.clock import Clock
from connectors.sandbox.sending import Parcel, Sending, carry

from .errors import ApiError, bad_request, not_found
from .options import DeliveryFaults, Options, Switches

MOST_EVENTS = 5
MOST_INTEGRATIONS = 100
ANSWER_SECONDS = 10.0
SECRET = "X-MOLTIN-SECRET-KEY"  # noqa: S105  the name of a header
TRIGGER = "X-MOLTIN-INTEGRATION-TRIGGER"
SENDERS = 8


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


class Integrations(Sending[Delivery]):
    """All integrations of one store. Everything runs on one event loop, under the store's lock where it answers."""

    def __init__(
        self, options: Options, clock: Clock, new_id: Callable[[], str], switches: Callable[[], Switches]
    ) -> None:
        super().__init__(clock, concurrent=SENDERS)
        self._options = options
        self._new_id = new_id
        self._switches = switches
        self._luck = Random(f"delivery faults {options.seed}")
        self.faults: DeliveryFaults = options.delivery_faults
        self.all: dict[str, Integration] = {}

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

    def _send(self, delivery: Delivery) -> None:
        if self._strikes(self.faults.drop_rate):
            self.counts["dropped"] += 1
            return
        if not self.holds_back and self._strikes(self.faults.reorder_rate):
            self.counts["reordered"] += 1
            self.hold_back(delivery)
            return
        self.send(delivery)
        if self._strikes(self.faults.duplicate_rate):
            self.counts["duplicated"] += 1
            self.send(delivery)

    async def carry_out(self, client: httpx.AsyncClient, item: Delivery) -> None:
        """One attempt, and the wait for the next where it failed."""
        self._settle(item, await carry(client, self.parcel(item), answer_seconds=ANSWER_SECONDS))

    def parcel(self, delivery: Delivery) -> Parcel:
        """The request of one attempt."""
        headers = {"Content-Type": "application/json", TRIGGER: delivery.event}
        if delivery.integration.secret:
            headers[SECRET] = delivery.integration.secret
        return Parcel(delivery.integration.url, headers, self.body(delivery))

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
        again = replace(delivery, event_id=event_id, attempt=delivery.attempt + 1)
        self.wait(again, self._options.retry_seconds, retry=True)

    def _strikes(self, rate: float) -> bool:
        return rate > 0 and self._luck.random() < rate
