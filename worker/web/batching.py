"""Group commit: deliveries that arrive while one commit is under way share the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from worker.intake.inbox import Incoming
from worker.store import StorageUnavailable

log = structlog.get_logger(__name__)

MOST_WAITING = 2000
MOST_AT_ONCE = 500
"""Deliveries in one commit."""
ANSWER_SECONDS = 10.0
"""How long anybody waits for a commit. Beyond any vendor's patience, so nobody reads a later answer."""


_Waiting = tuple[Incoming, asyncio.Future[Exception | None]]


class Overloaded(Exception):  # noqa: N818  a condition the caller acts on
    """More deliveries wait for their commit than may; nothing was stored."""


class NotStored(Exception):  # noqa: N818  as above
    """The database works and did not take this delivery. Its neighbours are stored."""


class Batcher:
    """One writer at a time, which takes all that wait. Belongs to one event loop; only `put` runs in a thread."""

    def __init__(self, put: Callable[[Sequence[Incoming]], object], *, most_waiting: int = MOST_WAITING) -> None:
        """`put` stores deliveries in one commit, or none of them, and is idempotent."""
        self._put = put
        self._most_waiting = most_waiting
        self._waiting: list[_Waiting] = []
        self._writing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="deliveries")

    async def store(self, delivery: Incoming) -> None:
        """Return once the delivery is committed. Raises `Overloaded`, `StorageUnavailable` or `NotStored`."""
        if self._closed or len(self._waiting) >= self._most_waiting:
            raise Overloaded
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[Exception | None] = loop.create_future()
        self._waiting.append((delivery, stored))
        if not self._writing:
            self._writing = True
            self._idle.clear()
            # Not at once: what else arrived in this round of the loop joins.
            loop.call_soon(self._begin)
        if (failure := await stored) is not None:
            # One of its own for each who waits: an exception that many raise gathers all their tracebacks.
            raise type(failure)(*failure.args)

    async def close(self) -> None:
        """Refuse what comes from now on, and return when all that waited is stored."""
        self._closed = True
        await self._idle.wait()
        self._writer.shutdown(wait=False)

    def _begin(self) -> None:
        batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        loop = asyncio.get_running_loop()
        written = loop.run_in_executor(self._writer, self._write, [item[0] for item in batch])
        watch = _Watch(loop, lambda: self._give_up(batch))
        written.add_done_callback(partial(self._end, batch, watch))

    def _end(
        self,
        batch: Sequence[_Waiting],
        watch: _Watch,
        written: asyncio.Future[Sequence[Exception | None]],
    ) -> None:
        watch.end()
        for (_, stored), failure in zip(batch, written.result(), strict=True):
            if not stored.done():  # Somebody still waits for it.
                stored.set_result(failure)
        if self._waiting:
            self._begin()
        else:
            self._writing = False
            self._idle.set()

    def _give_up(self, batch: Sequence[_Waiting]) -> None:
        """The database hangs. What is being written may still be stored, and is the same when it comes again."""
        waiting, self._waiting = self._waiting, []
        for _, stored in (*batch, *waiting):
            if not stored.done():
                stored.set_result(StorageUnavailable(f"the database gave no answer within {ANSWER_SECONDS:.0f} s"))

    def _write(self, deliveries: Sequence[Incoming]) -> Sequence[Exception | None]:
        """What became of each: None when it is stored. Raises nothing."""
        try:
            self._put(deliveries)
        except StorageUnavailable as error:
            return [error] * len(deliveries)
        except Exception:
            log.exception("delivery_batch_refused", count=len(deliveries))
            return [self._write_one(delivery) for delivery in deliveries]
        return [None] * len(deliveries)

    def _write_one(self, delivery: Incoming) -> Exception | None:
        """After a batch failed as a whole: its good ones must not suffer for the bad one."""
        try:
            self._put([delivery])
        except StorageUnavailable as error:
            return error
        except Exception as error:
            log.exception(
                "delivery_refused_by_database",
                channel=delivery.channel,
                delivery_id=delivery.delivery_id,
                delivery_correlation_id=delivery.correlation_id,
            )
            return NotStored(f"{type(error).__name__}")
        return None


class _Watch:
    """Calls again and again, until it is ended: one timer for a whole batch, instead of one for each delivery."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._loop = loop
        self._call = call
        self._timer = loop.call_later(ANSWER_SECONDS, self._ring)

    def end(self) -> None:
        self._timer.cancel()

    def _ring(self) -> None:
        self._call()
        self._timer = self._loop.call_later(ANSWER_SECONDS, self._ring)
