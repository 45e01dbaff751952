"""What lives in the database and in other rooms."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from connectors.contract import Feed
from worker.alerts import Kind
from worker.services import Services
from worker.store import StorageUnavailable
from worker.store.tables import UNSETTLED
from worker.web.lag import Lags
from worker.web.metrics.families import gauge, gauges
from worker.web.metrics.names import Name
from worker.web.metrics.times import SaleTimes
from worker.web.repository import backlog


class StoredCollector(Collector):
    """Read when somebody asks; every process shows the same."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lags = Lags(
            services.settings,
            has_feed=isinstance(services.marketplace, Feed),
            poll_seconds=services.poll_seconds,
            since=services.started_at,
        )
        self._times = SaleTimes(services.store)

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        try:
            stored = list(self._stored())
        except StorageUnavailable:
            yield gauge(Name.DATABASE_UP, 0)
            return
        yield gauge(Name.DATABASE_UP, 1)
        yield from stored

    def _stored(self) -> Iterator[Metric]:
        now = self._services.clock.now()
        with self._services.store.read() as transaction:
            seen = backlog(transaction, now)
        yield gauge(Name.DELIVERIES_WAITING, seen.deliveries)
        yield gauge(Name.DELIVERY_OLDEST_SECONDS, self._lags.deliveries(seen, now).age.total_seconds())
        yield gauge(Name.LISTINGS_DUE, sum(seen.listings_due.values()))
        yield gauges(Name.LISTINGS_WAITING, (([age], count) for age, count in seen.listings_due.items()))
        yield gauges(Name.OPERATIONS_UNSETTLED, (([state.value], seen.operations.get(state, 0)) for state in UNSETTLED))
        yield gauge(Name.ALERTS_WAITING, seen.alerts)
        feed = self._lags.feed(seen, now)
        if feed is not None:
            yield gauge(Name.FEED_LAG_SECONDS, feed.age.total_seconds())
        polls = self._lags.polls(seen, now)
        yield gauges(Name.POLL_LAG_SECONDS, (([name], lag.age.total_seconds()) for name, lag in polls.items()))
        anomalies = self._services.anomalies.count_open()
        yield gauges(Name.ANOMALIES_UNRESOLVED, (([kind.value], anomalies.get(kind.value, 0)) for kind in Kind))
        holds = Counted((hold.scope.value, hold.reason.value) for hold in self._services.holds.list())
        yield gauges(Name.HOLDS, sorted(holds.items()))
        yield self._times.read(now)
