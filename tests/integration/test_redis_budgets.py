"""Budgets shared through a real Redis, each `RedisBudgets` standing for one process."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from redis import Redis
from structlog.testing import capture_logs

from connectors import redis_budget
from connectors.budget import Priority, Scope
from connectors.clock import SystemClock
from connectors.errors import RateLimited
from connectors.redis_budget import FALLBACK_SHARE, RECONNECT_SECONDS, RedisBudgets
from connectors.sandbox.clock import VirtualClock

READY_WITHIN_SECONDS = 20.0
SLOW = Scope("vendor:calls", per_second=0.001, burst=3)
PLACES = Scope("vendor:places", per_second=None, in_flight=2)

Opened = Callable[..., RedisBudgets]


@pytest.fixture
def opened(redis_url: str) -> Iterator[Opened]:
    """Opens the budgets of one more process."""
    with ExitStack() as all_of_them:

        def open_one(*, max_wait_seconds: float = READY_WITHIN_SECONDS, url: str = redis_url) -> RedisBudgets:
            budgets = RedisBudgets.from_url(url, SystemClock(), random.Random(1), max_wait_seconds=max_wait_seconds)
            all_of_them.callback(budgets.close)
            return budgets

        yield open_one


def spend(budgets: RedisBudgets, scope: Scope, priority: Priority = Priority.READ) -> None:
    with budgets.spend(scope, priority=priority):
        pass


def test_a_burst_is_shared_by_all_processes(opened: Opened) -> None:
    one, other = opened(max_wait_seconds=1), opened(max_wait_seconds=1)
    spend(one, SLOW)
    spend(other, SLOW)
    spend(one, SLOW)
    for budgets in (one, other):
        with pytest.raises(RateLimited) as caught:
            spend(budgets, SLOW)
        assert caught.value.retry_after_seconds == pytest.approx(1000, rel=0.25)


def test_the_rate_is_earned_on_the_servers_clock(opened: Opened) -> None:
    quick = Scope("vendor:quick", per_second=50.0, burst=1)
    one, other = opened(), opened()
    for _ in range(5):
        spend(one, quick)
        spend(other, quick)


def test_no_more_than_the_places_are_taken_by_all_processes(opened: Opened) -> None:
    processes = [opened(), opened(), opened()]
    lock = threading.Lock()
    present, most = 0, 0

    def work(number: int) -> None:
        nonlocal present, most
        with processes[number % 3].spend(PLACES, priority=Priority.READ):
            with lock:
                present += 1
                most = max(most, present)
            threading.Event().wait(0.002)
            with lock:
                present -= 1

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(work, range(60)))
    assert most == 2


def test_a_place_whose_holder_died_is_free_again(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    dead, alive = opened(), opened()
    with monkeypatch.context() as short:
        short.setattr(redis_budget, "LEASE_SECONDS", 0.05)
        dead.enter(PLACES, Priority.READ, 1.0)
    with alive.spend(PLACES, priority=Priority.READ):
        spend(alive, PLACES)


def test_a_penalty_is_shared_and_never_shortened(opened: Opened) -> None:
    one, other = opened(max_wait_seconds=1), opened(max_wait_seconds=1)
    one.penalise(PLACES, 500)
    other.penalise(PLACES, 5)
    with pytest.raises(RateLimited) as caught:
        spend(other, PLACES)
    assert caught.value.retry_after_seconds == pytest.approx(500, rel=0.25)


def test_a_cost_above_the_burst_leaves_a_debt(opened: Opened) -> None:
    budgets = opened(max_wait_seconds=1)
    with budgets.spend(SLOW, priority=Priority.READ, cost=5):
        pass
    with pytest.raises(RateLimited) as caught:
        spend(budgets, SLOW)
    assert caught.value.retry_after_seconds == pytest.approx(3000, rel=0.25)


def test_a_write_waiting_in_one_process_goes_before_a_sweep_of_another(opened: Opened, redis_url: str) -> None:
    one_place = Scope("vendor:one", per_second=None, in_flight=1)
    writer, sweeper = opened(), opened()
    order: list[Priority] = []

    def work(budgets: RedisBudgets, priority: Priority) -> None:
        with budgets.spend(one_place, priority=priority):
            order.append(priority)

    with opened().spend(one_place, priority=Priority.READ):
        threads = [
            threading.Thread(target=work, args=(sweeper, Priority.SWEEP)),
            threading.Thread(target=work, args=(writer, Priority.WRITE)),
        ]
        threads[0].start()
        threads[1].start()
        with Redis.from_url(redis_url) as redis:
            until(lambda: redis.hexists("trueup:budget:{vendor:one}", "waits0") and in_line(sweeper, one_place))
    for thread in threads:
        thread.join(READY_WITHIN_SECONDS)
    assert order == [Priority.WRITE, Priority.SWEEP]


def test_nothing_is_kept_in_redis_for_ever(opened: Opened, redis_url: str) -> None:
    budgets = opened()
    budgets.penalise(PLACES, 0.01)
    spend(budgets, PLACES)
    spend(budgets, SLOW)
    with budgets.spend(PLACES, priority=Priority.WRITE), Redis.from_url(redis_url, decode_responses=True) as redis:
        kept = redis.keys("*")
        assert len(kept) == 4
        assert all(redis.ttl(key) > 0 for key in kept)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_without_redis_a_process_keeps_to_a_small_share(redis_url: str) -> None:
    clock = VirtualClock()
    away = f"redis://127.0.0.1:{free_port()}/0"
    budgets = RedisBudgets.from_url(away, clock, random.Random(1), max_wait_seconds=100)
    rate = Scope("vendor:rate", per_second=2.0, burst=50)
    with capture_logs() as lines:
        for _ in range(4):
            spend(budgets, rate)
    assert clock.monotonic() == pytest.approx(3 / (2.0 * FALLBACK_SHARE))
    assert [line["event"] for line in lines] == ["budgets_redis_away"]
    budgets.close()


def test_without_redis_one_place_is_left_and_penalties_hold() -> None:
    clock = VirtualClock()
    away = f"redis://127.0.0.1:{free_port()}/0"
    budgets = RedisBudgets.from_url(away, clock, random.Random(1), max_wait_seconds=0.05)
    with (
        budgets.spend(PLACES, priority=Priority.READ),
        pytest.raises(RateLimited),
        budgets.spend(PLACES, priority=Priority.READ),
    ):
        pass
    budgets.penalise(PLACES, 60)
    with pytest.raises(RateLimited):
        spend(budgets, PLACES)
    budgets.close()


def test_one_line_is_logged_when_redis_goes_and_one_when_it_returns(redis_url: str) -> None:
    clock = VirtualClock()
    budgets = RedisBudgets(Redis.from_url(redis_url, socket_timeout=0.2, retry=None), clock, random.Random(1))
    with capture_logs() as lines, Redis.from_url(redis_url) as operator:
        spend(budgets, PLACES)
        operator.client_pause(int(READY_WITHIN_SECONDS * 1000), all=False)
        for _ in range(3):
            spend(budgets, PLACES)
            clock.advance(RECONNECT_SECONDS)
        operator.client_unpause()
        for _ in range(3):
            spend(budgets, PLACES)
    assert [line["event"] for line in lines] == ["budgets_redis_away", "budgets_redis_back"]
    budgets.close()


def in_line(budgets: RedisBudgets, scope: Scope) -> bool:
    return bool(budgets._line(scope)._waiting)


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread, without guessing how long it takes."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
