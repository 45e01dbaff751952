"""What surrounds the histories: shrinking, the scheduler, the books."""

from __future__ import annotations

from dataclasses import replace

from connectors.sandbox.clock import VirtualClock
from tests.simulation.books import Books, SoldLine
from tests.simulation.scenario import Scenario, make
from tests.simulation.scheduler import ParkingLock, Process, Scheduler, SideBySide
from tests.simulation.shrink import shrink


def test_a_history_shrinks_to_the_events_that_matter() -> None:
    scenario = make(1)
    wanted = {scenario.events[3], scenario.events[17], scenario.events[160]}
    played = 0

    def fails(smaller: Scenario) -> bool:
        nonlocal played
        played += 1
        return wanted <= set(smaller.events)

    assert set(shrink(scenario, fails).events) == wanted
    assert played < 100


def test_shrinking_ends_when_its_tries_are_used_up() -> None:
    scenario = make(1)
    assert len(shrink(scenario, lambda smaller: len(smaller.events) > 10, tries=3).events) < len(scenario.events)


def test_a_scenario_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert make(5) == make(5)
    assert make(5).events != make(6).events
    assert replace(make(5), events=make(5).events[:10]) != make(5)


def test_tasks_interleave_at_their_boundaries_in_the_order_of_time() -> None:
    scheduler = Scheduler(VirtualClock())
    process = Process("p")
    seen: list[str] = []

    def work(name: str, seconds: float) -> None:
        seen.append(f"{name} begins")
        scheduler.sleep(seconds)
        seen.append(f"{name} ends")

    scheduler.spawn(process, lambda: work("slow", 2.0))
    scheduler.spawn(process, lambda: work("quick", 1.0))
    scheduler.run_until(10.0)
    assert seen == ["slow begins", "quick begins", "quick ends", "slow ends"]
    assert scheduler.now == 10.0


def test_nothing_of_a_dead_process_runs_on_and_a_stopped_one_goes_on_later() -> None:
    scheduler = Scheduler(VirtualClock())
    doomed, stopped = Process("doomed"), Process("stopped")
    seen: list[tuple[str, float]] = []

    def work(process: Process) -> None:
        scheduler.sleep(1.0)
        seen.append((process.name, scheduler.now))

    scheduler.spawn(doomed, lambda: work(doomed))
    scheduler.spawn(stopped, lambda: work(stopped))
    scheduler.after(0.5, lambda: setattr(doomed, "dead", True))
    scheduler.after(0.5, lambda: setattr(stopped, "stopped_until", 30.0))
    scheduler.run_until(60.0)
    assert seen == [("stopped", 30.0)]
    assert scheduler.failures == []


def test_what_an_executor_runs_are_tasks_of_the_same_process() -> None:
    scheduler = Scheduler(VirtualClock())
    process = Process("p")
    executor = SideBySide(scheduler, process)
    results: list[float] = []

    def wait(seconds: float) -> float:
        scheduler.sleep(seconds)
        return scheduler.now

    scheduler.spawn(process, lambda: results.extend(executor.map(wait, (3.0, 1.0, 2.0))))
    scheduler.run_until(10.0)
    assert results == [3.0, 1.0, 2.0]


def test_who_waits_for_a_lock_parks_until_it_is_free() -> None:
    scheduler = Scheduler(VirtualClock())
    process, lock = Process("p"), ParkingLock(scheduler)
    order: list[str] = []

    def hold(name: str) -> None:
        with lock:
            order.append(f"{name} in")
            scheduler.sleep(2)
            order.append(f"{name} out")

    scheduler.spawn(process, lambda: hold("first"))
    scheduler.spawn(process, lambda: hold("second"))
    scheduler.run_until(10.0)
    assert order == ["first in", "first out", "second in", "second out"]


def test_the_books_count_a_line_for_what_its_sku_was_linked_to_when_it_was_placed() -> None:
    books = Books(counted_from=0)
    books.link("c", 1, [(0, 2)], 0.0, from_now=False)
    books.place("c", "before", 50, [SoldLine("a", 1, ordered=3)], test=False, old=False)
    books.link("c", 1, [(1, 1)], 100.0, from_now=False)
    books.place("c", "after", 150, [SoldLine("b", 1, ordered=4, back=1)], test=False, old=False)
    assert [(each.line_id, each.listing, each.committed) for each in books.taken()] == [("a", 0, 6), ("b", 1, 3)]
    books.delete("c", "before")
    assert [each.committed for each in books.taken()] == [0, 3]
