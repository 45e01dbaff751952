"""Answers that many ask for and that cost something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from connectors.clock import Clock

T = TypeVar("T")


class Cached(Generic[T]):
    """The answer to one blocking question, kept for a moment; asked in a thread, once however many wait for it.

    A question that hangs takes one thread, not one for each who asks. Belongs to one event loop.
    """

    def __init__(self, ask: Callable[[], T], clock: Clock, *, for_seconds: float, within_seconds: float) -> None:
        self._ask = ask
        self._clock = clock
        self._for_seconds = for_seconds
        self._within_seconds = within_seconds
        self._asking: asyncio.Task[T] | None = None
        self._answer: tuple[float, T] | None = None

    async def get(self) -> T:
        """Raises what the question raises, and TimeoutError when there is no answer within the time."""
        if self._answer is not None and self._clock.monotonic() - self._answer[0] < self._for_seconds:
            return self._answer[1]
        if self._asking is None:
            self._asking = asyncio.create_task(self._asked())
            self._asking.add_done_callback(self._asked_already)
        return await asyncio.wait_for(asyncio.shield(self._asking), self._within_seconds)

    async def _asked(self) -> T:
        answer = await asyncio.to_thread(self._ask)
        self._answer = (self._clock.monotonic(), answer)
        return answer

    def _asked_already(self, asking: asyncio.Task[T]) -> None:
        self._asking = None
        if not asking.cancelled():
            asking.exception()  # Looked at, also when nobody waits any more.
