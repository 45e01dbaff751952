"""The shop's side of the replay: orders and refunds in their order, as fast as trueup takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from connectors.clock import Clock
from worker.demo.replay import GiveBack, LineKey, PlaceOrder, Replay, Step
from worker.demo.vendors import Channel

BATCH_LINES = 300
MOST_UNSENT = 64
"""Webhooks that may wait at the shop before the next orders are placed: so memory stays flat on both sides."""
LOOK_SECONDS = 0.01


class Shop:
    """Places a replay on the shop."""

    def __init__(self, channel: Channel, clock: Clock, *, has_room: Callable[[], bool] = lambda: True) -> None:
        """`has_room` tells whether trueup has few enough deliveries waiting to be sent more."""
        self._channel = channel
        self._clock = clock
        self._has_room = has_room
        self.line_ids: dict[LineKey, str] = {}
        """What the shop calls each line."""
        self.order_ids: dict[int, str] = {}
        self.lines_placed = 0
        self.refunds = 0

    def place(self, replay: Replay, *, on_progress: Callable[[int], None] = lambda lines: None) -> None:
        """Carry out every step; `on_progress` is told the number of lines placed so far."""
        for batch in _batches(replay.steps):
            self._wait_for_room()
            if isinstance(batch, GiveBack):
                self._give_back(batch)
            else:
                self._place_orders(batch)
            on_progress(self.lines_placed)

    def _place_orders(self, batch: Sequence[PlaceOrder]) -> None:
        for order, (order_id, line_ids) in zip(batch, self._channel.place(batch), strict=True):
            self.order_ids[order.order] = order_id
            for position, line_id in enumerate(line_ids):
                self.line_ids[LineKey(order.order, position)] = line_id
            self.lines_placed += len(order.lines)

    def _give_back(self, step: GiveBack) -> None:
        parts = {self.line_ids[LineKey(step.order, position)]: units for position, units in step.parts}
        self._channel.give_back(self.order_ids[step.order], parts)
        self.refunds += 1

    def _wait_for_room(self) -> None:
        while not (self.unsent <= MOST_UNSENT and self._has_room()):
            self._clock.sleep(LOOK_SECONDS)

    @property
    def unsent(self) -> int:
        """Webhooks about to be sent; those held back on purpose are not among them."""
        waiting = self._channel.pending()
        return waiting["queued"] + waiting["in_flight"]


def _batches(steps: Sequence[Step]) -> Iterator[Sequence[PlaceOrder] | GiveBack]:
    """Orders that follow one another go together, a few at a time; a refund goes by itself."""
    batch: list[PlaceOrder] = []
    for step in steps:
        if isinstance(step, PlaceOrder) and sum(len(order.lines) for order in batch) < BATCH_LINES:
            batch.append(step)
            continue
        if batch:
            yield batch
        batch = [step] if isinstance(step, PlaceOrder) else []
        if isinstance(step, GiveBack):
            yield step
    if batch:
        yield batch
