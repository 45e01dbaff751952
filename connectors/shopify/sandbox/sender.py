"""Sending webhooks as the vendor does (docs, "Troubleshoot webhooks"): one second to connect, five in all, 2xx or it
failed; eight more attempts spread over four hours, always with the original payload.
"""

from __future__ import annotations

import asyncio
import heapq
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import count

import httpx

from connectors.clock import Clock

from .options import Switches
from .subscriptions import Subscription, Subscriptions

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 5.0
RETRIES = 8
RETRY_SPAN_SECONDS = 4 * 3600.0

WEBHOOK_ID = "X-Shopify-Webhook-Id"

# The sandbox's clock may be moved from outside, so a wait is cut into pieces short enough to notice.
_LOOK_SECONDS = 0.05


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


@dataclass(slots=True, eq=False)
class _Held:
    delivery: Delivery
    to_pass: int
    until: float


class Sender:
    """A queue of deliveries with what waits for it. Everything runs on one event loop."""

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
        self._clock = clock
        self._subscriptions = subscriptions
        self._switches = switches
        self._retry_time_scale = retry_time_scale
        self._concurrent = concurrent
        self._new_id = new_id
        self._ready: asyncio.Queue[Delivery | None] = asyncio.Queue()
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._held: list[_Held] = []
        self._order = count()
        self._moved = asyncio.Event()
        self._stopped = asyncio.Event()
        self._in_flight = 0
        self.counts: Counter[str] = Counter()

    def accept(
        self, delivery: Delivery, *, delay_seconds: float = 0.0, to_pass: int = 0, hold_seconds: float = 0.0
    ) -> None:
        """Take a delivery: to send now, after a delay, or when `to_pass` later ones (or the hold) have gone by."""
        self.counts["accepted"] += 1
        now = self._clock.monotonic()
        if to_pass:
            self._held.append(_Held(delivery, to_pass, now + hold_seconds))
            self._moved.set()
        elif delay_seconds:
            self._wait(delivery, now + delay_seconds)
        else:
            self._ready.put_nowait(delivery)

    def flush(self) -> None:
        """Send everything that waits now."""
        for _, _, delivery in sorted(self._waiting):
            self._ready.put_nowait(delivery)
        self._waiting.clear()
        for held in self._held:
            self._ready.put_nowait(held.delivery)
        self._held.clear()

    @property
    def pending(self) -> dict[str, int]:
        """What has not come to an end: queued, under way, waiting for a delay or a retry, held back."""
        retries = sum(1 for _, _, delivery in self._waiting if delivery.attempt)
        return {
            "queued": self._ready.qsize(),
            "in_flight": self._in_flight,
            "delayed": len(self._waiting) - retries,
            "retries": retries,
            "held": len(self._held),
        }

    async def run(self) -> None:
        """Send until told to stop; attempts that are under way then come to their end first."""
        async with asyncio.TaskGroup() as tasks:
            waking = tasks.create_task(self._wake())
            for _ in range(self._concurrent):
                tasks.create_task(self._send())
            await self._stopped.wait()
            waking.cancel()

    def stop(self) -> None:
        """Let `run` end. Cancelling it instead would leave connections open: closing one must not be interrupted."""
        self._stopped.set()
        for _ in range(self._concurrent):
            self._ready.put_nowait(None)

    async def _send(self) -> None:
        # A client of its own: one pool looks at every connection for every request, which with 32 costs more than all
        # the rest of sending.
        async with new_client() as client:
            while (delivery := await self._ready.get()) and not self._stopped.is_set():
                self._in_flight += 1
                try:
                    status = await carry(client, delivery)
                finally:
                    self._in_flight -= 1
                self._settle(delivery, status)
                for held in self._held:
                    held.to_pass -= 1
                if self._held:
                    self._release()

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
        self._wait(again, self._clock.monotonic() + delay_seconds)

    def _wait(self, delivery: Delivery, due: float) -> None:
        heapq.heappush(self._waiting, (due, next(self._order), delivery))
        self._moved.set()

    async def _wake(self) -> None:
        while True:
            if not self._waiting and not self._held:
                self._moved.clear()
                await self._moved.wait()
            self._release()
            await asyncio.sleep(_LOOK_SECONDS)

    def _release(self) -> None:
        now = self._clock.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            self._ready.put_nowait(heapq.heappop(self._waiting)[2])
        still: list[_Held] = []
        for held in self._held:
            if held.to_pass <= 0 or held.until <= now:
                self._ready.put_nowait(held.delivery)
            else:
                still.append(held)
        self._held = still


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def new_client() -> httpx.AsyncClient:
    """What sends webhooks; the total time is kept by `carry`."""
    timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
    return httpx.AsyncClient(verify=_certificates(), timeout=timeout, trust_env=False)


async def carry(client: httpx.AsyncClient, delivery: Delivery) -> int | None:
    """One attempt within the vendor's times, redirects not followed: the answer's status, None without an answer."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await client.post(delivery.url, content=delivery.body, headers=dict(delivery.headers))
    except Exception:  # noqa: BLE001  when a connection breaks right as it opens, anyio raises an AttributeError
        return None
    return answer.status_code
