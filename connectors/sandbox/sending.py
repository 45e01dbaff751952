"""Sending webhooks: a queue of what is due, a heap of what waits for its time, and the client that carries one.

A vendor's sender says what an attempt is and what follows from its answer; everything else is the same for all.
"""

from __future__ import annotations

import asyncio
import heapq
import ssl
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any, Generic, TypeVar

import httpx

from connectors.clock import Clock

# The sandbox's clock may be moved from outside, so a wait is cut into pieces short enough to notice.
_LOOK_SECONDS = 0.02

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request, ready to be sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Sending(ABC, Generic[Item]):
    """Sends items several at a time, each when it is due. Everything runs on one event loop."""

    def __init__(self, clock: Clock, *, concurrent: int, connect_seconds: float | None = None) -> None:
        self._clock = clock
        self._concurrent = concurrent
        self._connect_seconds = connect_seconds
        self._ready: asyncio.Queue[Item | None] = asyncio.Queue()
        self._waiting: list[tuple[float, int, Item, bool]] = []
        self._overtaken: Item | None = None
        self._order = count()
        self._stopped = asyncio.Event()
        self._in_flight = 0
        self.counts: Counter[str] = Counter()

    @abstractmethod
    async def carry_out(self, client: httpx.AsyncClient, item: Item) -> None:
        """Make one attempt, and draw the consequences of its answer."""

    def send(self, item: Item) -> None:
        """It is due now. What was to be overtaken goes right behind it."""
        self._ready.put_nowait(item)
        self._release_overtaken()

    def wait(self, item: Item, seconds: float, *, retry: bool = False) -> None:
        """It is due in so many seconds of the sandbox's clock."""
        heapq.heappush(self._waiting, (self._clock.monotonic() + seconds, next(self._order), item, retry))

    @property
    def holds_back(self) -> bool:
        """Whether something waits to be overtaken by the next that is sent."""
        return self._overtaken is not None

    def hold_back(self, item: Item) -> None:
        """Send it right behind the next one."""
        self._overtaken = item

    def withdraw(self, replaced: Callable[[Item], bool]) -> int:
        """Forget what waits for its first attempt and is replaced by something newer; returns how many."""
        kept = [entry for entry in self._waiting if entry[3] or not replaced(entry[2])]
        withdrawn = len(self._waiting) - len(kept)
        self._waiting = kept
        heapq.heapify(self._waiting)
        return withdrawn

    def flush(self) -> None:
        """Send everything that waits now."""
        while self._waiting:
            self._ready.put_nowait(heapq.heappop(self._waiting)[2])
        self._release_overtaken()

    @property
    def pending(self) -> dict[str, int]:
        """What has not come to an end: queued, under way, waiting for a delay or a retry, held back."""
        retries = sum(1 for *_, retry in self._waiting if retry)
        return {
            "queued": self._ready.qsize(),
            "in_flight": self._in_flight,
            "delayed": len(self._waiting) - retries,
            "retries": retries,
            "held": 0 if self._overtaken is None else 1,
        }

    async def run(self) -> None:
        """Send until told to stop; attempts that are under way then come to their end first."""
        async with asyncio.TaskGroup() as tasks:
            waking = tasks.create_task(self._wake())
            for _ in range(self._concurrent):
                tasks.create_task(self._work())
            await self._stopped.wait()
            waking.cancel()

    def stop(self) -> None:
        """Let `run` end. Cancelling it instead would leave connections open: closing one must not be interrupted."""
        self._stopped.set()
        for _ in range(self._concurrent):
            self._ready.put_nowait(None)

    async def _work(self) -> None:
        # A client of its own: one pool looks at every connection for every request, which with 32 costs more than all
        # the rest of sending.
        async with new_client(self._connect_seconds) as client:
            while (item := await self._ready.get()) is not None and not self._stopped.is_set():
                self._in_flight += 1
                try:
                    await self.carry_out(client, item)
                finally:
                    self._in_flight -= 1

    async def _wake(self) -> None:
        while True:
            self.release()
            await asyncio.sleep(_LOOK_SECONDS)

    def release(self) -> None:
        """Put what is due by now in the queue."""
        now = self._clock.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            self._ready.put_nowait(heapq.heappop(self._waiting)[2])

    def _release_overtaken(self) -> None:
        if self._overtaken is not None:
            self._ready.put_nowait(self._overtaken)
            self._overtaken = None


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def new_client(connect_seconds: float | None = None) -> httpx.AsyncClient:
    """What sends webhooks; the total time is kept by `carry`."""
    timeout = httpx.Timeout(None, connect=connect_seconds)
    return httpx.AsyncClient(verify=_certificates(), timeout=timeout, trust_env=False)


async def carry(client: httpx.AsyncClient, parcel: Parcel, *, answer_seconds: float) -> int | None:
    """One attempt, redirects not followed: the answer's status, None without an answer."""
    try:
        async with asyncio.timeout(answer_seconds):
            answer = await client.post(parcel.url, content=parcel.body, headers=dict(parcel.headers))
    except Exception:  # noqa: BLE001  when a connection breaks right as it opens, anyio raises an AttributeError
        return None
    return answer.status_code


async def send_once(parcels: Iterable[Parcel], *, answer_seconds: float) -> list[dict[str, Any]]:
    """Send each once, now, and tell what it was answered with."""
    async with new_client() as client:
        return [
            {"url": parcel.url, "status": await carry(client, parcel, answer_seconds=answer_seconds)}
            for parcel in parcels
        ]
