"""Machines, by signed webhooks (Standard Webhooks): one message for each change, in order, in JSON.

A message's id stays the same however often it is sent, so that a receiver that keeps ids takes each change once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from connectors.clock import Clock
from connectors.signing import key_of, signature
from connectors.transport import BoundedTransport
from worker.alerts.carrying import SEND_SECONDS, Carried
from worker.alerts.message import StateChange, trial
from worker.store.tables import AnomalyState

ANSWER_SECONDS = 10.0
"""How long one message may take."""
MOST_MESSAGES = 100
"""At a time: so many are sent again should the process die before it has written down that they were taken."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address that takes signed messages."""

    url: SecretStr
    secrets: tuple[SecretStr, ...]
    clock: Clock

    @property
    def kind(self) -> str:
        """See `Carrier`."""
        return "webhook"

    @property
    def most(self) -> int:
        """See `Carrier`."""
        return MOST_MESSAGES

    def prepare(self) -> None:
        """Nothing to load."""

    def problem(self) -> str | None:
        """See `Carrier`: the configuration has been checked."""
        return None

    def send(self, changes: Sequence[StateChange], now: datetime) -> Carried:
        """One message after the other, until one is not taken or the time is up."""
        stop_at = self.clock.monotonic() + SEND_SECONDS - ANSWER_SECONDS
        with self._client() as client:
            for taken, change in enumerate(changes):
                if self.clock.monotonic() > stop_at:
                    return Carried(taken)
                if reason := self._post(client, _id(change), now, _event(change)):
                    return Carried(taken, reason)
        return Carried(len(changes))

    def test(self, destination: str, now: datetime) -> str | None:
        """See `Carrier`."""
        event = {"type": "alerts.test", "timestamp": now, "data": {"message": trial(destination).body}}
        with self._client() as client:
            return self._post(client, f"test_{uuid.uuid4().hex}", now, event)

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        transport = BoundedTransport(None, self.clock, ANSWER_SECONDS)
        with httpx.Client(transport=transport, timeout=ANSWER_SECONDS, trust_env=False) as client:
            yield client

    def _post(self, client: httpx.Client, message_id: str, now: datetime, event: Mapping[str, Any]) -> str | None:
        body = orjson.dumps(event, option=orjson.OPT_UTC_Z)
        sent_at = str(int(now.timestamp()))
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": sent_at,
            "webhook-signature": signature([key_of(secret) for secret in self.secrets], message_id, sent_at, body),
        }
        try:
            # Only the status counts: what the answer says is not read.
            with client.stream("POST", self.url.get_secret_value(), content=body, headers=headers) as answer:
                return None if answer.is_success else f"it answered {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Not the error's text, which may hold the address.
            return f"{type(error).__name__} when sending"


def _id(change: StateChange) -> str:
    """One for each change, also where a database that was put back gives a number a second time."""
    at = int(change.at.timestamp() * 1_000_000)
    name = f"anomaly_{change.anomaly_id}_{change.transition}_{at}"
    return name if change.reminded_at is None else f"{name}_{int(change.reminded_at.timestamp() * 1_000_000)}"


def _event(change: StateChange) -> Mapping[str, Any]:
    word = "still_open" if change.reminded_at else "resolved" if change.became is AnomalyState.RESOLVED else "opened"
    return {
        "type": f"anomaly.{word}",
        "timestamp": change.at.astimezone(UTC),
        "data": {
            "anomaly": change.anomaly_id,
            "transition": change.transition,
            "kind": change.kind,
            "severity": change.severity.value,
            "state": change.became.value,
            "channel": change.channel,
            "listing_id": change.listing_id,
            "order_id": change.order_id,
            "message": change.message,
        },
    }
