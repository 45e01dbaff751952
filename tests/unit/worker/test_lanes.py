"""Who is slow stands aside, and who hangs takes nobody's place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from connectors.clock import SystemClock
from connectors.sandbox.clock import VirtualClock
from worker.lanes import SLOW_AFTER_SECONDS, Key, Lanes, Room, Threads

PLACES = 2


class Kept(Executor):
    """Runs what was submitted when the test says so."""

    def __init__(self) -> None:
        self.submitted: list[Callable[[], object]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted.append(lambda: fn(*args, **kwargs))
        return Future()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def lanes(clock: VirtualClock, kept: Kept) -> Lanes:
    return Lanes(PLACES, clock, kept)


def begin(lanes: Lanes, *channels: str, slow: bool = False) -> None:
    for channel in channels:
        lanes.begin(Key("poll", channel), lambda: None, slow=slow)


def test_places_are_taken_and_given_back(lanes: Lanes, kept: Kept) -> None:
    begin(lanes, "a", "b")
    assert lanes.room() == Room(0, 6)
    kept.submitted[0]()
    assert lanes.room() == Room(1, 6)
    assert lanes.under_way() == {Key("poll", "b")}


def test_a_channel_is_visited_once_at_a_time_for_each_purpose(lanes: Lanes, kept: Kept) -> None:
    begin(lanes, "a", "a")
    lanes.begin(Key("fetch", "a"), lambda: None, slow=False)
    assert len(kept.submitted) == 2


def test_a_visit_that_takes_long_leaves_the_quick_lane(lanes: Lanes, clock: VirtualClock) -> None:
    begin(lanes, "a", "b")
    clock.advance(SLOW_AFTER_SECONDS)
    assert lanes.room() == Room(2, 4)


def test_who_is_in_trouble_takes_no_quick_place(lanes: Lanes) -> None:
    begin(lanes, *"abcd", slow=True)
    assert lanes.room() == Room(2, 2)


def test_who_finds_the_slow_lane_full_stays_in_the_quick_one(lanes: Lanes, clock: VirtualClock) -> None:
    begin(lanes, *"abcdef", slow=True)
    begin(lanes, "g")
    clock.advance(SLOW_AFTER_SECONDS)
    assert lanes.room() == Room(1, 0)


def test_what_never_comes_back_counts_for_nothing(lanes: Lanes, clock: VirtualClock) -> None:
    begin(lanes, *"abcdefgh")
    clock.advance(SLOW_AFTER_SECONDS)
    assert lanes.room() == Room(0, 0)
    assert lanes.room(stuck="abcdefgh") == Room(2, 6)


class Unheard(BaseException):
    """Nothing that anybody expects."""


@pytest.mark.parametrize("error", [RuntimeError("broken"), Unheard(), SystemExit(1), GeneratorExit()])
def test_a_visit_that_fails_in_any_way_gives_its_place_back(error: BaseException) -> None:
    ended = threading.Event()

    def fail() -> None:
        try:
            raise error
        finally:
            ended.set()

    threads = Threads()
    lanes = Lanes(PLACES, SystemClock(), threads)
    lanes.begin(Key("poll", "a"), fail, slow=False)
    assert ended.wait(10)
    threads.shutdown()
    assert lanes.room() == Room(2, 6)


def test_the_end_waits_for_visits_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.lanes.END_SECONDS", 0.05)
    for_ever = threading.Event()
    threads = Threads()
    lanes = Lanes(PLACES, SystemClock(), threads)

    def hang() -> None:
        for_ever.wait()

    lanes.begin(Key("poll", "a"), hang, slow=False)
    threads.shutdown()
    assert lanes.under_way() == {Key("poll", "a")}
    with pytest.raises(RuntimeError, match="ending"):
        lanes.begin(Key("poll", "b"), lambda: None, slow=False)
    assert lanes.under_way() == {Key("poll", "a")}
    for_ever.set()
