"""The calls of a vendor's API: what was asked, what became of it, and how many a second are let in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from connectors.clock import Clock

from .faults import FaultKind, FaultPlan, play


class Counts:
    """What was asked of the API, and what became of it, by operation. Used from the event loop only."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        """Requests that arrived."""
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """What execution came to: `ok`, `applied`, `unchanged` or an error code."""
        self.lost_before: Counter[str] = Counter()
        """Requests whose connection broke and that never ran."""
        self.lost_after: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Requests whose connection broke although they ran, by outcome."""

    def summary(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return vars(self)


class Bucket:
    """So many requests a second, as many at once after a quiet time."""

    def __init__(self, per_second: int, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._level = float(per_second)
        self._read_at = clock.monotonic()

    def take(self) -> bool:
        """Whether one more is let in."""
        now = self._clock.monotonic()
        self._level = min(float(self._per_second), self._level + (now - self._read_at) * self._per_second)
        self._read_at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


async def answered(
    name: str,
    execute: Callable[[], tuple[Response, str]],
    *,
    faults: FaultPlan,
    counts: Counts,
    clock: Clock,
    too_many_requests: Callable[[int | None], Response],
) -> Response:
    """Carry out one call of that name, under whatever fault strikes it, and count what became of it.

    `execute` does the act; it returns its answer and one word for the counts, and runs at most once.
    """
    outcomes: list[str] = []

    def counted() -> Response:
        response, outcome = execute()
        counts.outcomes[name][outcome] += 1
        outcomes.append(outcome)
        return response

    fault = faults.strike(name)
    response = await play(fault, counted, clock=clock, too_many_requests=too_many_requests)
    if fault and fault.kind is FaultKind.DROP_BEFORE:
        counts.lost_before[name] += 1
    elif fault and fault.kind is FaultKind.DROP_AFTER:
        counts.lost_after[name][outcomes[0]] += 1
    return response
