"""Sending messages: 2xx or it failed, tried again later and later under the same id, signed anew each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import httpx

from connectors.clock import Clock
from connectors.sandbox.sending import Parcel, Sending, carry

ANSWER_SECONDS = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One message on its way to one address."""

    pack: Callable[[], Parcel]
    """Signs it for this very attempt."""
    own: bool = True
    """False: not the shop's, so nobody tries it again."""
    attempt: int = 0


class Sender(Sending[Task]):
    """The shop's messages with what waits for them."""

    def __init__(self, clock: Clock, *, concurrent: int, retry_seconds: Sequence[float]) -> None:
        super().__init__(clock, concurrent=concurrent)
        self._retry_seconds = retry_seconds

    def accept(self, task: Task, *, delay_seconds: float = 0.0) -> None:
        """Take a message: to send now, or after a delay."""
        self.counts["accepted"] += 1
        if delay_seconds:
            self.wait(task, delay_seconds)
        else:
            self.send(task)

    async def carry_out(self, client: httpx.AsyncClient, item: Task) -> None:
        """One attempt, and the wait for the next where it failed."""
        status = await carry(client, item.pack(), answer_seconds=ANSWER_SECONDS)
        self.counts["attempts"] += 1
        succeeded = status is not None and 200 <= status < 300
        if not item.own:
            self.counts["others_accepted" if succeeded else "others_refused"] += 1
        elif succeeded:
            self.counts["delivered"] += 1
        else:
            self.counts["failed"] += 1
            if item.attempt >= len(self._retry_seconds):
                self.counts["given_up"] += 1
            else:
                self.wait(replace(item, attempt=item.attempt + 1), self._retry_seconds[item.attempt], retry=True)
