"""Several processes, each doing what processes do, in a random order with random pauses between their statements. The
seed decides who does what; the machine decides the rest. Whatever came of it, P1 holds and nobody deadlocked.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, select

from connectors.errors import ConnectorError
from tests.races.sides import Side
from tests.world import CHANNEL, World
from worker.housekeeping import Housekeeping
from worker.links.correction import Correction, CorrectionRefusedError, Corrections
from worker.links.service import Links
from worker.reconcile.decide import DecisionRefusedError, Decisions
from worker.store.tables import HoldReason, HoldScope, Operation, OperationState, Pair

SIDES = 3
ACTIONS = 60
LISTINGS = ("L1", "L2", "L3", "L4")
SKUS = ("A", "B", "C", "D")
MOST_PAUSE_SECONDS = 0.004


class Chance:
    """One side's random life."""

    def __init__(self, side: Side, world: World, seed: int, channel_lock: threading.Lock) -> None:
        self.side = side
        self.world = world
        self.random = Random(seed)
        self._pauses = Random(seed + 1)
        self._channel_lock = channel_lock
        rooms = side.services
        self.actions: list[tuple[int, Callable[[], Any]]] = [
            (10, self.order_changes),
            (4, rooms.inbox.drain),
            (4, lambda: rooms.poller.poll(CHANNEL)),
            (4, rooms.fetcher.drain),
            (10, rooms.reconciler.drain),
            (6, rooms.feed.follow),
            (4, rooms.keeper.drain),
            (2, rooms.sweeper.sweep),
            (4, self.others_change),
            (3, lambda: world.pass_time(self.random.choice((1, 5, 30, 70)))),
            (2, self.imports),
            (1, self.corrects),
            (1, self.accepts),
            (2, self.holds),
            (1, lambda: Housekeeping(rooms).forget()),
            (2, lambda: rooms.settler.look(self.random.choice(LISTINGS))),
        ]

    def live(self) -> None:
        event.listen(self.side.store.engine, "before_cursor_execute", self._pause)
        try:
            weights = [weight for weight, _ in self.actions]
            for _ in range(ACTIONS):
                [(_, action)] = self.random.choices(self.actions, weights)
                # As a task would: a vendor that rests is asked later. A database that says no is a failure here.
                with contextlib.suppress(ConnectorError):
                    action()
        finally:
            event.remove(self.side.store.engine, "before_cursor_execute", self._pause)

    def _pause(self, *_ignored: Any) -> None:
        if self._pauses.random() < 0.2:
            threading.Event().wait(self._pauses.random() * MOST_PAUSE_SECONDS)

    def order_changes(self) -> None:
        lines = {sku: self.random.randint(0, 3) for sku in self.random.sample(SKUS, 2)}
        with self._channel_lock:
            self.world.pass_time(1)
            order = self.world.channel.put(str(self.random.randint(1, 8)), lines)
        if self.random.random() < 0.7:
            self.world.deliver(order, handle=False, through=self.side.services)
        if self.random.random() < 0.3:
            self.world.marketplace.fail("adjust", self.random.choice(("lost_before", "lost_after")))

    def others_change(self) -> None:
        self.world.marketplace.edit(self.random.choice(LISTINGS), self.random.randint(1, 4))

    def imports(self) -> None:
        rows = "".join(f"{CHANNEL},{sku},{self.random.choice(LISTINGS)}\n" for sku in self.random.sample(SKUS, 2))
        rooms = self.side.services
        Links(rooms.store, rooms.clock, rooms.anomalies).import_csv(f"channel,sku,listing_id\n{rows}")

    def corrects(self) -> None:
        source, target = self.random.sample(LISTINGS, 2)
        with contextlib.suppress(CorrectionRefusedError):
            Corrections(self.side.store, self.world.clock).make(
                Correction(CHANNEL, self.random.choice(SKUS), source, target, units=1), by="ann"
            )

    def accepts(self) -> None:
        with contextlib.suppress(DecisionRefusedError):
            Decisions(self.side.store, self.world.clock, self.side.services.anomalies).accept_total(
                self.random.choice(LISTINGS), by="ann", reason="counted"
            )

    def holds(self) -> None:
        holds, listing = self.side.services.holds, self.random.choice(LISTINGS)
        if self.random.random() < 0.5:
            holds.place(HoldReason.ORPHAN, HoldScope.LISTING, listing, "somebody looks")
        holds.lift(HoldScope.LISTING, listing, by="ann")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_several_processes_do_at_once(world: World, url: str, seed: int) -> None:
    for listing_id in LISTINGS:
        world.listing(listing_id, 30)
    for sku, listing_id in zip(SKUS, LISTINGS, strict=True):
        world.link(sku, listing_id)
    sides = [Side(f"side-{number}", world, url) for number in range(SIDES)]
    lock = threading.Lock()
    lives = [Chance(side, world, seed * 100 + number, lock) for number, side in enumerate(sides)]
    try:
        with ThreadPoolExecutor(SIDES) as together:
            for life in [together.submit(life.live) for life in lives]:
                life.result()
    finally:
        for side in sides:
            side.close()

    world.marketplace.faults.clear()
    # Whoever rests has rested by then.
    world.pass_time(600)
    for listing_id in LISTINGS:
        world.services.holds.lift(HoldScope.LISTING, listing_id, by="the end")
    while world.services.inbox.drain():
        pass
    world.poll()
    world.settle_down(seconds=1800, step=20)

    world.assert_p1()
    with world.store.read() as transaction:
        unsettled = transaction.execute(
            select(Operation.id, Operation.listing_id, Operation.kind, Operation.state, Operation.outcome).where(
                Operation.state.in_((OperationState.PREPARED, OperationState.UNKNOWN))
            )
        ).all()
        assert unsettled == []
        pending = transaction.execute(
            select(Pair.listing_id, Pair.committed, Pair.applied, Pair.waived).where(
                Pair.applied != Pair.committed - Pair.waived
            )
        ).all()
    assert {row.listing_id for row in pending} <= {
        anomaly.listing_id for anomaly in world.services.anomalies.list() if anomaly.kind == "oversold"
    }
    assert "orphan" not in world.anomalies()
