"""Sending messages: 2xx or it failed, tried again later and later under the same id, signed anew each time."""

from __future__ import annotations

import asyncio
import heapq
import ssl
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count

import httpx

from connectors.clock import Clock

ANSWER_SECONDS = 15.0

# The sandbox's clock may be moved from outside, so a wait is cut into pieces short enough to notice.
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request, ready to be sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One message on its way to one address."""

    pack: Callable[[], Parcel]
    """Signs it for this very attempt."""
    own: bool = True
    """False: not the shop's, so nobody tries it again."""
    attempt: int = 0


class Sender:
    """A queue of messages with what waits for it. Everything runs on one event loop."""

    def __init__(self, clock: Clock, *, concurrent: int, retry_seconds: Sequence[float]) -> None:
        self._clock = clock
        self._concurrent = concurrent
        self._retry_seconds = retry_seconds
        self._ready: asyncio.Queue[Task | None] = asyncio.Queue()
        self._waiting: list[tuple[float, int, Task]] = []
        self._order = count()
        self._moved = asyncio.Event()
        self._stopped = asyncio.Event()
        self._in_flight = 0
        self.counts: Counter[str] = Counter()

    def accept(self, task: Task, *, delay_seconds: float = 0.0) -> None:
        """Take a message: to send now, or after a delay."""
        self.counts["accepted"] += 1
        if delay_seconds:
            self._wait(task, delay_seconds)
        else:
            self._ready.put_nowait(task)

    def flush(self) -> None:
        """Send everything that waits now."""
        while self._waiting:
            self._ready.put_nowait(heapq.heappop(self._waiting)[2])

    @property
    def pending(self) -> dict[str, int]:
        """What has not come to an end."""
        retries = sum(1 for _, _, task in self._waiting if task.attempt)
        return {
            "queued": self._ready.qsize(),
            "in_flight": self._in_flight,
            "delayed": len(self._waiting) - retries,
            "retries": retries,
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
        async with new_client() as client:
            while (task := await self._ready.get()) and not self._stopped.is_set():
                self._in_flight += 1
                try:
                    self._settle(task, await carry(client, task.pack()))
                finally:
                    self._in_flight -= 1

    def _settle(self, task: Task, status: int | None) -> None:
        self.counts["attempts"] += 1
        succeeded = status is not None and 200 <= status < 300
        if not task.own:
            self.counts["others_accepted" if succeeded else "others_refused"] += 1
        elif succeeded:
            self.counts["delivered"] += 1
        else:
            self.counts["failed"] += 1
            if task.attempt >= len(self._retry_seconds):
                self.counts["given_up"] += 1
            else:
                self._wait(replace(task, attempt=task.attempt + 1), self._retry_seconds[task.attempt])

    def _wait(self, task: Task, seconds: float) -> None:
        heapq.heappush(self._waiting, (self._clock.monotonic() + seconds, next(self._order), task))
        self._moved.set()

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
    """What sends messages; the total time is kept by `carry`."""
    return httpx.AsyncClient(verify=_certificates(), timeout=httpx.Timeout(None), trust_env=False)


async def carry(client: httpx.AsyncClient, parcel: Parcel) -> int | None:
    """One attempt, redirects not followed: the answer's status, None without an answer."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await client.post(parcel.url, content=parcel.body, headers=dict(parcel.headers))
    except Exception:  # noqa: BLE001  when a connection breaks right as it opens, anyio raises an AttributeError
        return None
    return answer.status_code
