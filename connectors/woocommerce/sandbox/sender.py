"""Sending webhooks as the vendor does: once. A redirect is not followed; 200 to 302 is success, everything else is a
failure, counted by webhook, and after so many in a row the webhook is turned off.

A delivery waits for the site's task runner. While one waits, what happens to the same order for the same webhook is
merged into it: the body is built when it is sent, and tells the state of that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import httpx

from connectors.clock import Clock
from connectors.sandbox.sending import Parcel, Sending, carry

ANSWER_SECONDS = 60.0


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


class Task(NamedTuple):
    """One delivery that is due some time."""

    webhook: Webhook | None
    """None: not the vendor's own, so that no failure is counted."""
    order_id: int | None
    """Set while later events of that order are merged into it."""
    pack: Callable[[], Parcel | None]
    """Builds the request; None when there is nothing to send any more."""


class Sender(Sending[Task]):
    """The site's deliveries with what waits for them."""

    def __init__(
        self,
        clock: Clock,
        *,
        concurrent: int,
        coalesce_seconds: float,
        disabled_after: Callable[[], int],
    ) -> None:
        super().__init__(clock, concurrent=concurrent)
        self._coalesce_seconds = coalesce_seconds
        self._disabled_after = disabled_after
        self._merging: dict[tuple[int, int], float] = {}

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
            self.wait(task, delay_seconds)
        else:
            self.send(task)

    async def carry_out(self, client: httpx.AsyncClient, item: Task) -> None:
        """The one attempt there is; after so many failures in a row the webhook is turned off."""
        webhook = item.webhook
        if webhook is not None and item.order_id is not None:
            self._merging.pop((webhook.webhook_id, item.order_id), None)
        if webhook is not None and webhook.status != "active":
            self.counts["not_active"] += 1
            return
        parcel = item.pack()
        if parcel is None:
            return
        status = await carry(client, parcel, answer_seconds=ANSWER_SECONDS)
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
