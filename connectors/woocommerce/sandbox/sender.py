"""Sending webhooks as the vendor does: once. A redirect is not followed; 200 to 302 is success, everything else is a
failure, counted by webhook, and after so many in a row the webhook is turned off.

A delivery waits for the site's task runner. While one waits, what happens to the same order for the same webhook is
merged into it: the body is built when it is sent, and tells the state of that moment.
"""

from __future__ import annotations

import asyncio
import heapq
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import NamedTuple

import httpx

from connectors.clock import Clock

ANSWER_SECONDS = 60.0

# The sandbox's clock may be moved from outside, so a wait is cut into pieces short enough to notice.
_LOOK_SECONDS = 0.05


@dataclass(slots=True, eq=False)
class Webhook:
    """One registration."""

    webhook_id: int
    name: str
    topic: str
    delivery_url: str
    secret: bytes
    status: str
    created_at: int
    failures_in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request, ready to be sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Task(NamedTuple):
    """One delivery that is due some time."""

    webhook: Webhook | None
    """None: not the vendor's own, so that no failure is counted."""
    order_id: int | None
    """Set while later events of that order are merged into it."""
    pack: Callable[[], Parcel | None]
    """Builds the request; None when there is nothing to send any more."""


class Sender:
    """A queue of deliveries with what waits for it. Everything runs on one event loop."""

    def __init__(
        self,
        clock: Clock,
        *,
        concurrent: int,
        coalesce_seconds: float,
        disabled_after: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._concurrent = concurrent
        self._coalesce_seconds = coalesce_seconds
        self._disabled_after = disabled_after
        self._ready: asyncio.Queue[Task | None] = asyncio.Queue()
        self._waiting: list[tuple[float, int, Task]] = []
        self._merging: dict[tuple[int, int], float] = {}
        self._order = count()
        self._moved = asyncio.Event()
        self._stopped = asyncio.Event()
        self._in_flight = 0
        self.counts: Counter[str] = Counter()

    def merges(self, webhook: Webhook, order_id: int) -> bool:
        """Whether a delivery of that order is still waiting, so that another one is not needed."""
        since = self._merging.get((webhook.webhook_id, order_id))
        return since is not None and self._clock.monotonic() - since <= self._coalesce_seconds

    def accept(self, task: Task, *, delay_seconds: float = 0.0) -> None:
        """Take a delivery: to send now, or after a delay."""
        self.counts["accepted"] += 1
        if task.webhook is not None and task.order_id is not None:
            self._merging[task.webhook.webhook_id, task.order_id] = self._clock.monotonic()
        if delay_seconds:
            heapq.heappush(self._waiting, (self._clock.monotonic() + delay_seconds, next(self._order), task))
            self._moved.set()
        else:
            self._ready.put_nowait(task)

    def flush(self) -> None:
        """Send everything that waits now."""
        while self._waiting:
            self._ready.put_nowait(heapq.heappop(self._waiting)[2])

    @property
    def pending(self) -> dict[str, int]:
        """What has not come to an end."""
        return {"queued": self._ready.qsize(), "in_flight": self._in_flight, "delayed": len(self._waiting)}

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
        async with new_client() as client:
            while (task := await self._ready.get()) and not self._stopped.is_set():
                self._in_flight += 1
                try:
                    await self._carry_out(client, task)
                finally:
                    self._in_flight -= 1

    async def _carry_out(self, client: httpx.AsyncClient, task: Task) -> None:
        webhook = task.webhook
        if webhook is not None and task.order_id is not None:
            self._merging.pop((webhook.webhook_id, task.order_id), None)
        if webhook is not None and webhook.status != "active":
            self.counts["not_active"] += 1
            return
        parcel = task.pack()
        if parcel is None:
            return
        status = await carry(client, parcel)
        self.counts["attempts"] += 1
        succeeded = status is not None and 200 <= status < 303
        if webhook is None:
            self.counts["others_accepted" if succeeded else "others_refused"] += 1
        elif succeeded:
            webhook.failures_in_a_row = 0
            self.counts["delivered"] += 1
        else:
            self.counts["failed"] += 1
            webhook.failures_in_a_row += 1
            if webhook.failures_in_a_row >= self._disabled_after() and webhook.status == "active":
                webhook.status = "disabled"
                self.counts["disabled"] += 1

    async def _wake(self) -> None:
        while True:
            if not self._waiting:
                self._moved.clear()
                await self._moved.wait()
            now = self._clock.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                self._ready.put_nowait(heapq.heappop(self._waiting)[2])
            await asyncio.sleep(_LOOK_SECONDS)


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def new_client() -> httpx.AsyncClient:
    """What sends webhooks; the total time is kept by `carry`."""
    return httpx.AsyncClient(verify=_certificates(), timeout=httpx.Timeout(None), trust_env=False)


async def carry(client: httpx.AsyncClient, parcel: Parcel) -> int | None:
    """One attempt, redirects not followed: the answer's status, None without an answer."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await client.post(parcel.url, content=parcel.body, headers=dict(parcel.headers))
    except Exception:  # noqa: BLE001  when a connection breaks right as it opens, anyio raises an AttributeError
        return None
    return answer.status_code
