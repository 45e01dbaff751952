"""What one process did since it started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from worker.services import Services
from worker.web.metrics.families import counters, gauges
from worker.web.metrics.names import Name


class ProcessCollector(Collector):
    """Calls, the reconciler's work, and the budgets that calls wait for."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read anything."""
        return ()

    def collect(self) -> Iterator[Metric]:
        calls = self._services.calls
        ended: Counter[tuple[str, str]] = Counter()
        for key, count in calls.counts().items():
            ended[key.account, key.outcome] += count
        yield counters(Name.CALLS, sorted(ended.items()))
        yield counters(Name.CALL_SECONDS, (([account], spent) for account, spent in sorted(calls.seconds().items())))
        done = asdict(self._services.reconciler.counts)
        yield counters(Name.RECONCILER, (([event], count) for event, count in done.items()))
        left = self._services.budgets.left()
        yield gauges(Name.BUDGET_LEFT, (([key], share) for key, share in sorted(left.items())))
