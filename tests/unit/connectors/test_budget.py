from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.budget import LocalBudgets, Priority, Scope
from connectors.clock import SystemClock
from connectors.errors import RateLimited
from connectors.sandbox.clock import VirtualClock

PER_SECOND = Scope("vendor:calls", per_second=1.0, burst=3)
PLACES = Scope("vendor:places", per_second=None, in_flight=2)
READY_WITHIN_SECONDS = 10.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def budgets(clock: VirtualClock) -> LocalBudgets:
    return LocalBudgets(clock, max_wait_seconds=30)


def spend(budgets: LocalBudgets, scope: Scope, times: int = 1, *, cost: float = 1.0) -> None:
    for _ in range(times):
        with budgets.spend(scope, priority=Priority.READ, cost=cost):
            pass


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread, without guessing how long it takes."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_burst_is_free_and_then_the_rate_holds(budgets: LocalBudgets, clock: VirtualClock) -> None:
    spend(budgets, PER_SECOND, 3)
    assert clock.monotonic() == 0
    spend(budgets, PER_SECOND, 5)
    assert clock.monotonic() == pytest.approx(5)


def test_a_quiet_time_earns_a_burst_and_no_more(budgets: LocalBudgets, clock: VirtualClock) -> None:
    spend(budgets, PER_SECOND, 3)
    clock.advance(1000)
    spend(budgets, PER_SECOND, 4)
    assert clock.monotonic() == pytest.approx(1001)


def test_a_cost_above_the_burst_leaves_a_debt(budgets: LocalBudgets, clock: VirtualClock) -> None:
    spend(budgets, PER_SECOND, cost=10)
    assert clock.monotonic() == 0
    spend(budgets, PER_SECOND)
    assert clock.monotonic() == pytest.approx(8)


def test_a_scope_without_limits_never_waits(budgets: LocalBudgets, clock: VirtualClock) -> None:
    spend(budgets, Scope("free", per_second=None), 1000)
    assert clock.monotonic() == 0


def test_scopes_of_one_key_share_one_budget(budgets: LocalBudgets, clock: VirtualClock) -> None:
    spend(budgets, PER_SECOND, 3)
    spend(budgets, Scope("vendor:calls", per_second=1.0, burst=3))
    assert clock.monotonic() == pytest.approx(1)


def test_a_raised_limit_counts_at_once(budgets: LocalBudgets, clock: VirtualClock) -> None:
    spend(budgets, PER_SECOND, 3)
    spend(budgets, Scope("vendor:calls", per_second=10.0, burst=3))
    assert clock.monotonic() == pytest.approx(0.1)


def test_a_penalty_stops_everybody(budgets: LocalBudgets, clock: VirtualClock) -> None:
    budgets.penalise(PLACES, 20)
    budgets.penalise(PLACES, 5)
    spend(budgets, PER_SECOND)
    assert clock.monotonic() == 0
    spend(budgets, PLACES)
    assert clock.monotonic() == 20


def test_a_wait_beyond_the_bound_is_refused_at_once(budgets: LocalBudgets, clock: VirtualClock) -> None:
    budgets.penalise(PER_SECOND, 31)
    with pytest.raises(RateLimited, match="budget vendor:calls") as caught:
        spend(budgets, PER_SECOND)
    assert caught.value.retry_after_seconds == 31
    assert caught.value.code == "budget"
    assert clock.monotonic() == 0
    clock.advance(31)
    spend(budgets, PER_SECOND)


def test_places_are_given_back_even_after_an_error(budgets: LocalBudgets) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), budgets.spend(PLACES, priority=Priority.READ):
            _ = 1 / 0


def test_no_more_than_the_places_are_ever_taken() -> None:
    budgets = LocalBudgets(SystemClock())
    lock = threading.Lock()
    present, most = 0, 0

    def work(_: int) -> None:
        nonlocal present, most
        with budgets.spend(PLACES, priority=Priority.READ):
            with lock:
                present += 1
                most = max(most, present)
            threading.Event().wait(0.001)
            with lock:
                present -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(64)))
    assert most == 2
    assert present == 0


def test_a_wait_for_a_place_is_bounded() -> None:
    budgets = LocalBudgets(SystemClock(), max_wait_seconds=0.01)
    scope = Scope("one", per_second=None, in_flight=1)
    with (
        budgets.spend(scope, priority=Priority.READ),
        pytest.raises(RateLimited),
        budgets.spend(scope, priority=Priority.WRITE),
    ):
        pass
    with budgets.spend(scope, priority=Priority.READ):
        pass


def waiting(budgets: LocalBudgets, scope: Scope) -> int:
    return len(budgets._bucket(scope).line._waiting)


def test_a_waiting_write_goes_before_a_read_before_a_sweep() -> None:
    budgets = LocalBudgets(SystemClock())
    scope = Scope("one", per_second=None, in_flight=1)
    order: list[str] = []

    def work(name: str, priority: Priority) -> None:
        with budgets.spend(scope, priority=priority):
            order.append(name)

    threads = []
    with budgets.spend(scope, priority=Priority.SWEEP):
        for number, (name, priority) in enumerate(
            [
                ("sweep", Priority.SWEEP),
                ("read", Priority.READ),
                ("write", Priority.WRITE),
                ("later read", Priority.READ),
                ("later write", Priority.WRITE),
            ],
            start=1,
        ):
            thread = threading.Thread(target=work, args=(name, priority))
            thread.start()
            threads.append(thread)
            until(lambda number=number: waiting(budgets, scope) == number)  # type: ignore[misc]
    for thread in threads:
        thread.join(READY_WITHIN_SECONDS)
    assert order == ["write", "later write", "read", "later read", "sweep"]


class Turnstile(VirtualClock):
    """A virtual clock whose sleepers wake only when they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeping: list[str] = []
        self._go: dict[str, threading.Event] = {}

    def sleep(self, seconds: float) -> None:
        name = threading.current_thread().name
        self._go[name] = threading.Event()
        self.sleeping.append(name)
        assert self._go[name].wait(READY_WITHIN_SECONDS)
        self.sleeping.remove(name)

    def wake(self, name: str) -> None:
        self._go[name].set()


def test_a_write_that_arrives_while_a_read_sleeps_takes_the_turn_the_read_slept_for() -> None:
    clock = Turnstile()
    budgets = LocalBudgets(clock, max_wait_seconds=30)
    scope = Scope("slow", per_second=1.0, burst=1)
    spend(budgets, scope)
    order: list[str] = []

    def work(priority: Priority) -> None:
        with budgets.spend(scope, priority=priority):
            order.append(threading.current_thread().name)

    read = threading.Thread(target=work, args=(Priority.READ,), name="read")
    read.start()
    until(lambda: clock.sleeping == ["read"])
    write = threading.Thread(target=work, args=(Priority.WRITE,), name="write")
    write.start()
    until(lambda: clock.sleeping == ["read", "write"])
    clock.advance(1)
    clock.wake("read")
    until(lambda: clock.sleeping == ["write"])
    assert order == []
    clock.wake("write")
    until(lambda: clock.sleeping == ["read"])
    clock.advance(1)
    clock.wake("read")
    for thread in (read, write):
        thread.join(READY_WITHIN_SECONDS)
    assert order == ["write", "read"]


def test_a_newcomer_does_not_take_the_turn_that_another_slept_for() -> None:
    clock = Turnstile()
    budgets = LocalBudgets(clock, max_wait_seconds=30)
    scope = Scope("slow", per_second=1.0, burst=1)
    spend(budgets, scope)
    order: list[str] = []

    def work(priority: Priority) -> None:
        with budgets.spend(scope, priority=priority):
            order.append(threading.current_thread().name)

    read = threading.Thread(target=work, args=(Priority.READ,), name="read")
    sweep = threading.Thread(target=work, args=(Priority.SWEEP,), name="sweep")
    read.start()
    until(lambda: clock.sleeping == ["read"])
    clock.advance(1)
    sweep.start()
    until(lambda: waiting(budgets, scope) == 2 or bool(order))
    clock.wake("read")
    until(lambda: clock.sleeping == ["sweep"])
    clock.advance(1)
    clock.wake("sweep")
    for thread in (read, sweep):
        thread.join(READY_WITHIN_SECONDS)
    assert order == ["read", "sweep"]
