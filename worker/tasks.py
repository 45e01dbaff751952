"""The tasks: thin, one call each into a room. Each drains what is due, for a bounded time.

A task may run twice, at once, or never, without harm. What goes wrong at a vendor is in the rows by then (a hold, a
later `next_attempt_at`, an anomaly), so nothing is retried by Celery.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps

import structlog
from celery import Celery

from connectors.errors import ConnectorError
from worker import schedule
from worker.doorbell import Doorbell
from worker.gate import Gate
from worker.housekeeping import Housekeeping
from worker.services import Services
from worker.store import StorageUnavailable
from worker.store.tables import HoldScope
from worker.store.ticks import claim_tick, pull_tick, tick_is_due
from worker.visits import Visits

log = structlog.get_logger(__name__)

AT_ONCE = {schedule.INTAKE: 1, schedule.RECONCILE: 2, schedule.UPKEEP: 1}
"""How many threads of a process drain the same at once; each drains batches, and its calls go out side by side."""

DRAIN_SECONDS = 20.0
"""How long one task drains before it rings again and gives its thread back."""
SWEEP_AGAIN_AFTER = timedelta(minutes=5)
"""When a sweep that a vendor's failure cut short is begun anew."""
AUDIT_AGAIN_AFTER = timedelta(minutes=5)
"""When an audit that a vendor's failure cut short goes on."""
AUDIT_WAITING_AFTER = timedelta(hours=1)
"""When listings are looked at again of which a cause was still on its way."""
WATCH_SECONDS = 3600.0
"""How often one looks for what shows in hours: a channel that is quiet, a reservation that never ends."""
RETENTION_SECONDS = 3600.0
"""How often what need not be kept is dropped: its days are counted in days."""


class Tasks:
    """What a worker process does when it is rung."""

    def __init__(self, services: Services, bell: Doorbell) -> None:
        self._services = services
        self._bell = bell
        self._housekeeping = Housekeeping(services)
        self._visits = Visits(services, bell)
        self._gates = {name: Gate(most) for name, most in AT_ONCE.items()}

    def intake(self) -> None:
        """Handle waiting deliveries, then see to it that the orders are fetched that somebody asked for."""
        self._drain(self._take_in, schedule.INTAKE)
        if self._services.fetcher.channels_due(()):
            self._visits.begin_due()

    def _take_in(self) -> int:
        handled = self._services.inbox.drain()
        if handled:
            self._bell.ring(schedule.RECONCILE)
        return handled

    def reconcile(self) -> None:
        """Write what is due to the marketplace; never before the feed has been read to its head since we started."""
        self._read_feed_first()
        self._drain(self._services.reconciler.drain, schedule.RECONCILE)
        if self._services.recovery.drain():
            self._bell.ring(schedule.RECONCILE)

    def feed(self) -> None:
        """Follow the marketplace's change feed to its head."""
        if not self._market_may_be_called():
            return
        if self._claims("feed", self._services.settings.schedule.feed_seconds) and self._services.feed.follow():
            self._bell.ring(schedule.RECONCILE)
            self._bell.ring(schedule.UPKEEP)

    def upkeep(self) -> None:
        """Close, open and examine the listings that need it; look for sales that our writes may have overwritten. Never
        before the feed has been read either: what happened while we were down ends a zero episode, or our mark.
        """
        self._read_feed_first()
        self._drain(self._services.keeper.drain, schedule.UPKEEP)
        self._services.overwrites.look()

    def sweep(self) -> None:
        """Compare every listing, when its time has come: with what the feed has told up to now."""
        if not self._market_may_be_called():
            return
        configured, sweeper = self._services.settings.schedule.sweep_seconds, self._services.sweeper
        if self._claims("sweep", configured or sweeper.interval().total_seconds()):
            try:
                self._services.feed.follow()
                sweeper.sweep()
            except ConnectorError:
                self._come_back("sweep", SWEEP_AGAIN_AFTER)
                raise
            if configured is None:
                # It is known better now how long one takes.
                self._come_back("sweep", sweeper.interval())
            self._bell.ring(schedule.UPKEEP)

    def audit(self) -> None:
        """Prove the numbers that may have moved, when the time has come: for a while, then ring again and go on."""
        if not self._market_may_be_called():
            return
        interval = self._services.settings.schedule.audit_seconds
        if not self._claims("audit", interval):
            return
        clock = self._services.clock
        deadline = clock.monotonic() + DRAIN_SECONDS
        try:
            found = self._services.auditor.go_on(keep_going=lambda: clock.monotonic() < deadline)
        except ConnectorError:
            self._come_back("audit", AUDIT_AGAIN_AFTER)
            raise
        if found is None:
            self._come_back("audit", timedelta(0))
            self._bell.ring(schedule.AUDIT)
        elif found.waits:
            self._come_back("audit", AUDIT_WAITING_AFTER)

    def poll(self) -> None:
        """Visit the channels whose time has come: to poll them, to fetch orders, to look after their webhooks."""
        self._visits.begin_due()

    def housekeeping(self) -> None:
        """Late looks, webhook registrations, and what may be forgotten."""
        if self._claims("housekeeping", 60):
            self._housekeeping.look_again()
            self._housekeeping.check_clocks()
            self._housekeeping.judge()
        if self._claims("retention", RETENTION_SECONDS):
            self._housekeeping.forget()
        self._bell.ring(schedule.POLL)
        if self._claims("watch", WATCH_SECONDS):
            self._housekeeping.look_seldom()

    def alerts(self) -> None:
        """Send the messages that are owed."""
        self._services.alerts.send_due()

    def _read_feed_first(self) -> None:
        if not self._services.feed.is_current():
            self._services.feed.follow()

    def _drain(self, drain: Callable[[], int], task: str) -> None:
        """Call `drain` until nothing is left; ring `task` again when the time is up before that."""
        clock = self._services.clock
        deadline = clock.monotonic() + DRAIN_SECONDS
        with self._gates[task].entered() as rounds:
            for _ in rounds:
                while drain():
                    if clock.monotonic() >= deadline:
                        self._bell.ring(task)
                        return

    def _market_may_be_called(self) -> bool:
        """Else its schedule stands still: it refuses our credentials, or does not answer."""
        return self._services.accounts.may_be_called(HoldScope.MARKETPLACE, self._services.marketplace_name)

    def _come_back(self, name: str, after: timedelta) -> None:
        """What was begun and not finished is begun again sooner than its schedule says."""
        with self._services.store.write() as transaction:
            pull_tick(transaction, name, self._services.clock.now() + after)

    def _claims(self, name: str, every_seconds: float) -> bool:
        """Whether this process may run `name` now: two beats, or ten workers, make no second run."""
        now = self._services.clock.now()
        interval = timedelta(seconds=every_seconds * schedule.EARLY)
        with self._services.store.read() as transaction:
            if not tick_is_due(transaction, name, now):
                return False
        with self._services.store.write() as transaction:
            return claim_tick(transaction, name, now, interval)


def register(app: Celery, tasks: Tasks) -> None:
    """Give the application its tasks, bound to this process's services."""
    runs: dict[str, Callable[[], None]] = {
        schedule.INTAKE: tasks.intake,
        schedule.RECONCILE: tasks.reconcile,
        schedule.FEED: tasks.feed,
        schedule.UPKEEP: tasks.upkeep,
        schedule.SWEEP: tasks.sweep,
        schedule.POLL: tasks.poll,
        schedule.HOUSEKEEPING: tasks.housekeeping,
        schedule.ALERTS: tasks.alerts,
        schedule.AUDIT: tasks.audit,
    }
    # Celery brings tasks of its own that run others, as often as their message says.
    for name in [name for name in app.tasks if name.startswith("celery.")]:
        app.tasks.unregister(name)
    for name, run in runs.items():
        # They belong to these services, not to every application of the process.
        app.task(_quietly(run), name=name, ignore_result=True, shared=False)


def _quietly(run: Callable[[], None]) -> Callable[[], None]:
    """What a vendor or the database refuses is one log line; the schedule looks again."""

    @wraps(run)
    def wrapped() -> None:
        try:
            run()
        except ConnectorError as error:
            log.warning("task_postponed", error=str(error), kind=type(error).__name__)
        except StorageUnavailable as error:
            log.error("task_without_storage", error=str(error))  # noqa: TRY400  the reason is in the message

    return wrapped
