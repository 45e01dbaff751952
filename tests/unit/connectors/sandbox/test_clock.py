"""Clocks that can be moved."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from connectors.clock import SystemClock
from connectors.sandbox.clock import OffsetClock, VirtualClock, movable

START = datetime(2026, 5, 1, tzinfo=UTC)


def test_virtual_time_stands_still_until_moved() -> None:
    clock = VirtualClock(START)
    assert (clock.now(), clock.monotonic()) == (START, 0)
    clock.advance(90)
    assert (clock.now(), clock.monotonic()) == (START + timedelta(seconds=90), 90)


def test_sleeping_passes_virtual_time() -> None:
    clock = VirtualClock(START)
    clock.sleep(5)
    clock.sleep(-1)
    assert clock.now() == START + timedelta(seconds=5)


def test_a_step_back_moves_the_wall_clock_but_not_the_monotonic_one() -> None:
    clock = VirtualClock(START)
    clock.advance(60)
    clock.set(START)
    assert (clock.now(), clock.monotonic()) == (START, 60)
    clock.set(START + timedelta(seconds=10))
    assert clock.monotonic() == 70


def test_an_offset_runs_ahead_of_its_base() -> None:
    base = VirtualClock(START)
    clock = OffsetClock(base)
    clock.advance(100)
    base.advance(1)
    assert (clock.now(), clock.monotonic()) == (START + timedelta(seconds=101), 101)
    assert base.now() == START + timedelta(seconds=1)


@pytest.mark.parametrize("clock", [VirtualClock(), OffsetClock(VirtualClock())])
def test_advancing_backwards_is_refused(clock: VirtualClock | OffsetClock) -> None:
    with pytest.raises(ValueError, match="advance"):
        clock.advance(-1)


def test_concurrent_advances_all_count() -> None:
    clock = VirtualClock(START)

    def advance() -> None:
        for _ in range(1_000):
            clock.advance(1)

    threads = [threading.Thread(target=advance) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 4_000


def test_a_clock_is_wrapped_only_when_it_cannot_be_moved() -> None:
    virtual = VirtualClock()
    assert movable(virtual) is virtual
    assert isinstance(movable(SystemClock()), OffsetClock)
