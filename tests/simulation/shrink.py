"""From a history that breaks a promise to the fewest events that still break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.simulation.events import Event
from tests.simulation.scenario import Scenario

MOST_TRIES = 400


def shrink(scenario: Scenario, fails: Callable[[Scenario], bool], *, tries: int = MOST_TRIES) -> Scenario:
    """Delta debugging: take away ever smaller parts of the events for as long as the history still fails.

    The result fails, and usually no single event of it can be left out.
    """
    left = [tries]

    def still_fails(events: list[Event]) -> bool:
        if left[0] <= 0:
            return False
        left[0] -= 1
        return fails(replace(scenario, events=tuple(events)))

    events = list(scenario.events)
    size = max(1, len(events) // 2)
    while True:
        start, removed = 0, False
        while start < len(events):
            without = events[:start] + events[start + size :]
            if still_fails(without):
                events, removed = without, True
            else:
                start += size
        if size == 1 and not removed:
            break
        size = max(1, size // 2) if not removed or size > 1 else 1
    return replace(scenario, events=tuple(events))
