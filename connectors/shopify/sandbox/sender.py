"""Sending webhooks as the vendor does (docs, "Troubleshoot webhooks"): one second to connect, five in all, 2xx or it
failed; eight more attempts spread over four hours, always with the original payload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import httpx

from connectors.clock import Clock
from connectors.sandbox.sending import Parcel, Sending, carry

from .options import Switches
from .subscriptions import Subscription, Subscriptions

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 5.0
RETRIES = 8
RETRY_SPAN_SECONDS = 4 * 3600.0

WEBHOOK_ID = "X-Shopify-Webhook-Id"


def retry_delay_seconds(attempt: int) -> float:
    """The wait before retry `attempt` (1 to 8): doubling, so that all of them fill the four hours."""
    return RETRY_SPAN_SECONDS * 2.0 ** (attempt - 1) / (2.0**RETRIES - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One webhook on its way."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    subscription: Subscription | None
    """None: not the vendor's own, so nobody tries it again."""
    attempt: int = 0

    @property
    def parcel(self) -> Parcel:
        """What goes over the wire."""
        return Parcel(self.url, self.headers, self.body)


@dataclass(slots=True, eq=False)
class _Held:
    delivery: Delivery
    to_pass: int
    until: float


class Sender(Sending[Delivery]):
    """The shop's deliveries with what waits for them."""

    def __init__(
        self,
        clock: Clock,
        subscriptions: Subscriptions,
        *,
        switches: Callable[[], Switches],
        retry_time_scale: float,
        concurrent: int,
        new_id: Callable[[], str],
    ) -> None:
        super().__init__(clock, concurrent=concurrent, connect_seconds=CONNECT_SECONDS)
        self._subscriptions = subscriptions
        self._switches = switches
        self._retry_time_scale = retry_time_scale
        self._new_id = new_id
        self._held: list[_Held] = []

    def accept(
        self, delivery: Delivery, *, delay_seconds: float = 0.0, to_pass: int = 0, hold_seconds: float = 0.0
    ) -> None:
        """Take a delivery: to send now, after a delay, or when `to_pass` later ones (or the hold) have gone by."""
        self.counts["accepted"] += 1
        if to_pass:
            self._held.append(_Held(delivery, to_pass, self._clock.monotonic() + hold_seconds))
        elif delay_seconds:
            self.wait(delivery, delay_seconds)
        else:
            self.send(delivery)

    def flush(self) -> None:
        """Send everything that waits now."""
        super().flush()
        for held in self._held:
            self.send(held.delivery)
        self._held.clear()

    @property
    def pending(self) -> dict[str, int]:
        """What has not come to an end."""
        return {**super().pending, "held": len(self._held)}

    async def carry_out(self, client: httpx.AsyncClient, item: Delivery) -> None:
        """One attempt within the vendor's times."""
        self._settle(item, await carry(client, item.parcel, answer_seconds=ANSWER_SECONDS))
        for held in self._held:
            held.to_pass -= 1
        if self._held:
            self.release()

    def release(self) -> None:
        """Put what is due by now in the queue, and what enough others have passed."""
        super().release()
        now = self._clock.monotonic()
        still: list[_Held] = []
        for held in self._held:
            if held.to_pass <= 0 or held.until <= now:
                self.send(held.delivery)
            else:
                still.append(held)
        self._held = still

    def _settle(self, delivery: Delivery, status: int | None) -> None:
        self.counts["attempts"] += 1
        delivered = status is not None and 200 <= status < 300
        subscription = delivery.subscription
        if subscription is None:
            self.counts["others_accepted" if delivered else "others_refused"] += 1
            return
        if delivered:
            subscription.failures_in_a_row = 0
            self.counts["delivered"] += 1
            return
        self.counts["failed_attempts"] += 1
        subscription.failures_in_a_row += 1
        switches = self._switches()
        used_up = delivery.attempt >= RETRIES
        # Any success of the subscription in between ends the row of failures, however this delivery fares.
        by_retries = used_up and subscription.failures_in_a_row > RETRIES
        by_failures = switches.subscription_deleted_after == "failures" and subscription.failures_in_a_row >= RETRIES
        if (by_retries or by_failures) and self._subscriptions.delete(subscription):
            self.counts["subscriptions_deleted"] += 1
        if used_up:
            self.counts["given_up"] += 1
        else:
            self._retry(delivery, switches)

    def _retry(self, delivery: Delivery, switches: Switches) -> None:
        self.counts["retries"] += 1
        headers = dict(delivery.headers)
        if switches.retry_webhook_id == "new":
            headers[WEBHOOK_ID] = self._new_id()
        again = replace(delivery, headers=headers, attempt=delivery.attempt + 1)
        delay_seconds = retry_delay_seconds(again.attempt) * self._retry_time_scale
        self.wait(again, delay_seconds, retry=True)
