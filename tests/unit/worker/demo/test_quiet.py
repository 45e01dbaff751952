from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from connectors.sandbox.clock import VirtualClock
from worker.demo.database import Work
from worker.demo.quiet import PATIENCE_SECONDS, NeverQuietError, wait_until_quiet

ORDERS = 3
DONE = Work(
    deliveries=0,
    fetches=0,
    listings_due=0,
    upkeep_due=0,
    operations_open=0,
    pending=0,
    feed_read_at=None,
    poll_read_at=None,
    swept_at=None,
    orders=ORDERS,
    writes_not_looked_at=0,
)


class World:
    """Both ends and trueup's books, which read everything each second unless told otherwise."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.feed = True
        self.overwrites = False
        self.began = self.clock.now()
        self.changed: Callable[[Work], Work] = lambda work: work
        self.unsent: Callable[[float], int] = lambda _: 0
        self.sequence: Callable[[float], int] = lambda _: 7

    @property
    def passed(self) -> float:
        return (self.clock.now() - self.began).total_seconds()

    def work(self) -> Work:
        read_at: datetime = self.clock.now()
        return self.changed(replace(DONE, feed_read_at=read_at, poll_read_at=read_at))

    def pending(self) -> Mapping[str, int]:
        return {"queued": self.unsent(self.passed), "held": 0}

    def changes(self) -> int:
        return self.sequence(self.passed)

    def wait(self) -> float:
        """How long it took."""
        wait_until_quiet(self, self, self, orders=ORDERS, clock=self.clock)  # type: ignore[arg-type]
        return self.passed


def test_it_is_quiet_when_both_ends_were_read_beyond_their_last_change() -> None:
    assert 5 <= World().wait() < 6


def test_a_webhook_that_waits_is_waited_for() -> None:
    world = World()
    world.unsent = lambda passed: 1 if passed < 40 else 0

    assert world.wait() >= 40


def test_what_the_marketplace_did_must_have_been_read() -> None:
    world = World()
    world.sequence = lambda passed: int(min(passed, 30) * 10)

    assert world.wait() >= 30


def test_a_feed_that_was_read_before_the_last_change_is_not_enough() -> None:
    world = World()
    world.changed = lambda work: replace(work, feed_read_at=world.began if world.passed < 60 else work.feed_read_at)

    assert world.wait() >= 60


def test_where_writes_overwrite_the_sales_around_the_last_one_must_have_been_looked_for() -> None:
    world = World()
    world.changed = lambda work: replace(work, writes_not_looked_at=1 if world.passed < 60 else 0)
    assert world.wait() < 60
    world = World()
    world.overwrites = True
    world.changed = lambda work: replace(work, writes_not_looked_at=1 if world.passed < 60 else 0)
    assert world.wait() >= 60


def test_without_a_feed_every_listing_must_have_been_swept() -> None:
    world = World()
    world.feed = False
    world.changed = lambda work: replace(
        work, feed_read_at=None, swept_at=world.clock.now() if world.passed > 60 else None
    )

    assert world.wait() >= 60


@pytest.mark.parametrize(
    "left", ["deliveries", "fetches", "listings_due", "upkeep_due", "operations_open", "pending", "orders"]
)
def test_work_that_is_left_is_waited_for(left: str) -> None:
    world, counts = World(), cast("dict[str, Any]", {left: 1})
    world.changed = lambda work: replace(work, **counts) if world.passed < 50 else work

    assert world.wait() >= 50


def test_waiting_is_given_up_when_nothing_moves_and_says_for_what() -> None:
    world = World()
    world.changed = lambda work: replace(work, operations_open=2)

    with pytest.raises(NeverQuietError, match="operations without an outcome: 2"):
        world.wait()
    assert world.passed > PATIENCE_SECONDS


def test_waiting_goes_on_while_something_moves() -> None:
    world = World()
    world.changed = lambda work: replace(work, fetches=max(0, 1000 - int(world.passed)))

    assert world.wait() >= 1000
