"""What is measured: every name and label there is, and where the values come from.

Counters are of this process since it started; gauges are read from the database when somebody asks, so every process
shows the same. No label holds an id of a listing, an order or a delivery: their number has no bound.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from connectors.contract import Feed
from worker.alerts import Kind
from worker.services import Services
from worker.store import StorageUnavailable
from worker.store.tables import UNSETTLED
from worker.web.cached import Cached
from worker.web.lag import Lags
from worker.web.repository import Backlog, backlog

KEPT_SECONDS = 2.0
WITHIN_SECONDS = 8.0
"""Less than a scraper's usual patience of ten seconds."""


class Name(StrEnum):
    """Every metric."""

    DELIVERIES = "trueup_deliveries"
    DELIVERIES_REPEATED = "trueup_deliveries_repeated"
    DELIVERIES_WAITING = "trueup_deliveries_waiting"
    DELIVERY_OLDEST_SECONDS = "trueup_delivery_oldest_seconds"
    LISTINGS_DUE = "trueup_listings_due"
    OPERATIONS_UNSETTLED = "trueup_operations_unsettled"
    ANOMALIES_UNRESOLVED = "trueup_anomalies_unresolved"
    ALERTS_WAITING = "trueup_alerts_waiting"
    HOLDS = "trueup_holds"
    FEED_LAG_SECONDS = "trueup_feed_lag_seconds"
    POLL_LAG_SECONDS = "trueup_poll_lag_seconds"
    CALLS = "trueup_calls"
    CALL_SECONDS = "trueup_call_seconds"
    RECONCILER = "trueup_reconciler"
    DATABASE_UP = "trueup_database_up"


class Label(StrEnum):
    """Every label."""

    CHANNEL = "channel"
    OUTCOME = "outcome"
    STATE = "state"
    KIND = "kind"
    SCOPE = "scope"
    REASON = "reason"
    ACCOUNT = "account"
    EVENT = "event"


class Outcome(StrEnum):
    """What became of a request to a hook."""

    STORED = "stored"
    """Committed and answered with 200; a repeated one too."""
    UNKNOWN_CHANNEL = "unknown_channel"
    WRONG_METHOD = "wrong_method"
    REFUSED = "refused"
    """Not signed by its sender."""
    TOO_LARGE = "too_large"
    INCOMPLETE = "incomplete"
    """The sender went away, or was too slow, before the body's end."""
    OVERLOADED = "overloaded"
    NOT_STORED = "not_stored"
    """The database is down, or did not take it."""
    FAILED = "failed"
    """The connector broke its contract."""


NO_CHANNEL = ""
"""The label for channels that do not exist: their names come from outside."""


class Meters:
    """The receiver's counters, ready made for each channel and outcome."""

    def __init__(self, registry: CollectorRegistry, channels: Iterable[str]) -> None:
        deliveries = Counter(
            Name.DELIVERIES,
            "Requests to hooks, by channel and what became of them.",
            [Label.CHANNEL, Label.OUTCOME],
            registry=registry,
        )
        self._deliveries = {
            (channel, outcome): deliveries.labels(channel, outcome)
            for channel in (*channels, NO_CHANNEL)
            for outcome in Outcome
            if (channel == NO_CHANNEL) == (outcome is Outcome.UNKNOWN_CHANNEL)
        }
        self._repeated = Counter(
            Name.DELIVERIES_REPEATED, "Stored deliveries that had been stored before.", registry=registry
        )

    def count(self, channel: str, outcome: Outcome) -> None:
        self._deliveries[channel, outcome].inc()

    def count_repeated(self, deliveries: int) -> None:
        self._repeated.inc(deliveries)


class StateCollector(Collector):
    """What lives in the database and in other rooms, read when somebody asks."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lags = Lags(
            services.settings,
            has_feed=isinstance(services.marketplace, Feed),
            poll_seconds=services.poll_seconds,
            since=services.started_at,
        )

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._calls()
        up = GaugeMetricFamily(Name.DATABASE_UP, "Whether the database could be read for these values.")
        try:
            stored = list(self._stored())
        except StorageUnavailable:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from stored

    def _calls(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            Name.CALLS, "Calls to vendors, by how they ended.", labels=[Label.ACCOUNT, Label.OUTCOME]
        )
        sums: dict[tuple[str, str], int] = {}
        for key, count in self._services.calls.counts().items():
            sums[key.account, key.outcome] = sums.get((key.account, key.outcome), 0) + count
        for (account, outcome), count in sorted(sums.items()):
            calls.add_metric([account, outcome], count)
        yield calls
        seconds = CounterMetricFamily(
            Name.CALL_SECONDS, "Seconds spent waiting for vendors' answers.", labels=[Label.ACCOUNT]
        )
        for account, spent in sorted(self._services.calls.seconds().items()):
            seconds.add_metric([account], spent)
        yield seconds
        events = CounterMetricFamily(Name.RECONCILER, "What this process's reconciler has done.", labels=[Label.EVENT])
        for event, count in asdict(self._services.reconciler.counts).items():
            events.add_metric([event], count)
        yield events

    def _stored(self) -> Iterator[Metric]:
        now = self._services.clock.now()
        with self._services.store.read() as transaction:
            seen = backlog(transaction, now)
        yield _gauge(Name.DELIVERIES_WAITING, "Deliveries stored and not handled yet.", seen.deliveries)
        yield _gauge(
            Name.DELIVERY_OLDEST_SECONDS,
            "Age of the oldest of them; 0 when there is none.",
            self._lags.deliveries(seen, now).age.total_seconds(),
        )
        yield _gauge(Name.LISTINGS_DUE, "Listings waiting to be reconciled.", seen.listings_due)
        operations = GaugeMetricFamily(
            Name.OPERATIONS_UNSETTLED, "Writes under way, or with an unknown outcome.", labels=[Label.STATE]
        )
        for state in UNSETTLED:
            operations.add_metric([state.value], seen.operations.get(state, 0))
        yield operations
        yield _gauge(Name.ALERTS_WAITING, "Changes of anomalies that nobody was told of yet.", seen.alerts)
        yield from self._lagging(seen, now)
        yield from self._for_people()

    def _lagging(self, seen: Backlog, now: datetime) -> Iterator[Metric]:
        feed = self._lags.feed(seen, now)
        if feed is not None:
            yield _gauge(
                Name.FEED_LAG_SECONDS, "Since the change feed was last read to its head.", feed.age.total_seconds()
            )
        polls = GaugeMetricFamily(
            Name.POLL_LAG_SECONDS, "Since a channel's orders were last read to their head.", labels=[Label.CHANNEL]
        )
        for channel, lag in self._lags.polls(seen, now).items():
            polls.add_metric([channel], lag.age.total_seconds())
        yield polls

    def _for_people(self) -> Iterator[Metric]:
        anomalies = GaugeMetricFamily(
            Name.ANOMALIES_UNRESOLVED, "Anomalies that are open or acknowledged.", labels=[Label.KIND]
        )
        counts = self._services.anomalies.count_open()
        for kind in Kind:
            anomalies.add_metric([kind.value], counts.get(kind.value, 0))
        yield anomalies
        holds = GaugeMetricFamily(Name.HOLDS, "Active holds.", labels=[Label.SCOPE, Label.REASON])
        active = Counted((hold.scope.value, hold.reason.value) for hold in self._services.holds.list())
        for (scope, reason), count in sorted(active.items()):
            holds.add_metric([scope, reason], count)
        yield holds


def _gauge(name: Name, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)


class Metrics:
    """`GET /metrics`, in Prometheus's text format."""

    def __init__(self, services: Services, registry: CollectorRegistry) -> None:
        registry.register(StateCollector(services))
        self._text = Cached(
            lambda: generate_latest(registry),
            services.clock,
            for_seconds=KEPT_SECONDS,
            within_seconds=WITHIN_SECONDS,
        )

    async def show(self, _request: Request) -> Response:
        """The values, two seconds old at most; 503 when the database gives no answer in time."""
        try:
            return Response(await self._text.get(), media_type=CONTENT_TYPE_LATEST)
        except TimeoutError:
            return PlainTextResponse("the database gives no answer\n", status_code=503)
