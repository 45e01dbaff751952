"""Whom to visit next: channels whose poll is due, whose orders are to be fetched, whose webhooks need a look.

What is due is in the database, claimed there by one process at a time, the longest due first; a ring only says that it
is worth looking. A visit is short: who has more to read after `DRAIN_SECONDS` is due again at once, behind all who have
waited longer. So each channel gets its turn, whatever the others need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

import structlog

from connectors.contract import Hooks
from connectors.errors import ConnectorError, RateLimited, Unavailable
from worker import schedule
from worker.gate import Gate
from worker.housekeeping import Housekeeping
from worker.intake.fetch import vendor_asks
from worker.intake.poll import LATE_INDEX
from worker.lanes import Key, Lanes
from worker.store import StorageUnavailable
from worker.store.ticks import claim_tick, due_ticks, end_lease, ensure_ticks, lease_ticks, tick_is_due

if TYPE_CHECKING:
    from worker.doorbell import Doorbell
    from worker.services import Services

log = structlog.get_logger(__name__)

POLL, FETCH, WEBHOOKS = "poll", "fetch", "webhooks"

DRAIN_SECONDS = 20.0
"""How long one visit goes on, and how long one ring is answered."""
ROUND_SECONDS = 0.1
"""Between two looks for what may begin, while there is more than may begin at once."""
LEAST_IN_A_ROUND, PACE = 2, 2.0
"""A process begins twenty visits a second, or twice what its configuration needs where that is more: after a start all
channels are due at once, and need not all be called at once.
"""
JITTER = 0.1
"""By how much of its interval a poll may come early: what began together does not stay together."""
AGAIN = timedelta(seconds=10)
"""A channel that did not answer is tried again so soon at the latest: its breaker then tells how often."""
DAILY_WINDOW = timedelta(hours=48)


class Visits:
    """The visits that one process makes."""

    def __init__(self, services: Services, bell: Doorbell) -> None:
        self._services = services
        self._bell = bell
        self._housekeeping = Housekeeping(services)
        self._lanes = Lanes(services.settings.worker.channels, services.clock, services.visitors)
        self._gate = Gate(1)
        times = services.settings.schedule
        self._every: dict[Key, float] = {Key(POLL, name): each for name, each in services.poll_seconds.items()}
        if services.settings.web.public_url:
            self._every |= {
                Key(WEBHOOKS, name): times.subscriptions_seconds
                for name, channel in services.channels.items()
                if isinstance(channel, Hooks)
            }
        needed = sum(1 / seconds for seconds in self._every.values())
        self._most_in_a_round = max(LEAST_IN_A_ROUND, math.ceil(PACE * needed * ROUND_SECONDS))
        self._on_schedule = False

    def begin_due(self) -> None:
        """Begin what is due, for as long as there is more of it than there is room for, but not for ever."""
        clock = self._services.clock
        deadline = clock.monotonic() + DRAIN_SECONDS
        with self._gate.entered() as rounds:
            for _ in rounds:
                while self._begin_some():
                    if clock.monotonic() >= deadline:
                        self._bell.ring(schedule.POLL)
                        return
                    clock.sleep(ROUND_SECONDS)

    def _begin_some(self) -> bool:
        """Begin what there is room for; returns whether more waits for room in the quick lane."""
        accounts, now = self._services.accounts, self._services.clock.now()
        standing, stuck = accounts.standing(), accounts.stuck()
        under_way = self._lanes.under_way()
        waiting = [*self._to_fetch(standing.silent), *self._scheduled(now)]
        due = [
            key
            for _, key in sorted(waiting, key=itemgetter(0))
            if key not in under_way and key.channel not in standing.silent and key.channel not in stuck
        ]
        room = self._lanes.room(stuck)
        quick = [key for key in due if key.channel not in standing.troubled]
        slow = [key for key in due if key.channel in standing.troubled]
        now_quick = quick[: min(room.quick, self._most_in_a_round)]
        now_slow = slow[: min(room.slow, self._most_in_a_round)]
        for key, visit in self._claimed([*now_quick, *now_slow], now):
            self._lanes.begin(key, visit, slow=key.channel in standing.troubled)
        return len(quick) > len(now_quick)

    def _scheduled(self, now: datetime) -> Sequence[tuple[datetime, Key]]:
        ticks = {tick_name(key): key for key in self._every}
        if not self._on_schedule:
            with self._services.store.write() as transaction:
                ensure_ticks(transaction, dict.fromkeys(ticks, now))
            self._on_schedule = True
        with self._services.store.read() as transaction:
            return [(since, ticks[name]) for since, name in due_ticks(transaction, ticks, now)]

    def _to_fetch(self, silent: Collection[str]) -> Sequence[tuple[datetime, Key]]:
        return [(since, Key(FETCH, name)) for since, name in self._services.fetcher.channels_due(silent)]

    def _claimed(self, keys: Sequence[Key], now: datetime) -> Sequence[tuple[Key, Callable[[], None]]]:
        """Those that nobody else visits, each with its visit."""
        visits: list[tuple[Key, Callable[[], None]]] = [
            # Each order that is fetched is claimed by itself.
            (key, partial(self._fetch, key.channel))
            for key in keys
            if key.purpose == FETCH
        ]
        scheduled = {tick_name(key): key for key in keys if key.purpose != FETCH}
        if scheduled:
            lease_until = now + timedelta(seconds=self._services.settings.policy.lease_seconds)
            with self._services.store.write() as transaction:
                leased = lease_ticks(transaction, list(scheduled), now, lease_until)
            visits += [(scheduled[name], partial(self._visit, scheduled[name], now, lease_until)) for name in leased]
        return visits

    # --- one visit --------------------------------------------------------------------------------------------

    def _visit(self, key: Key, began_at: datetime, lease_until: datetime) -> None:
        every = self._every[key]
        next_at = began_at + timedelta(seconds=every * (1 - JITTER * self._services.random.random()))
        try:
            if key.purpose == WEBHOOKS:
                self._housekeeping.check_subscriptions(key.channel)
            elif not self.poll(key.channel):
                next_at = self._services.clock.now()
        except Unavailable as error:
            # Most of it at random: who failed together does not come back together.
            again = min(AGAIN, timedelta(seconds=every)) * (1 - 0.8 * self._services.random.random())
            next_at = min(next_at, self._services.clock.now() + again)
            _postponed(error)
        except RateLimited as error:
            next_at = max(next_at, self._services.clock.now() + vendor_asks(error))
            _postponed(error)
        except ConnectorError as error:
            _postponed(error)
        except StorageUnavailable as error:
            log.error("task_without_storage", error=str(error))  # noqa: TRY400  the reason is in the message
            return
        with self._services.store.write() as transaction:
            end_lease(transaction, tick_name(key), lease_until, next_at)

    def poll(self, name: str) -> bool:
        """Read one channel's changed orders, for a while; and from time to time, a little further back, ids and
        revisions. Returns whether it came to the head.
        """
        times, poller = self._services.settings.schedule, self._services.poller
        try:
            if not poller.poll(name, within=timedelta(seconds=DRAIN_SECONDS)):
                return False
            late = 0
            if self._is_time_for(f"late:{name}", times.recent_seconds):
                late += poller.late_pass(name, timedelta(seconds=times.recent_seconds) + LATE_INDEX)
            if self._is_time_for(f"daily:{name}", times.daily_pass_hours * 3600):
                late += poller.late_pass(name, DAILY_WINDOW)
            if late:
                self._bell.ring(schedule.POLL)
            return True
        finally:
            self._bell.ring(schedule.RECONCILE)

    def _fetch(self, name: str) -> None:
        clock = self._services.clock
        deadline = clock.monotonic() + DRAIN_SECONDS
        try:
            while self._services.fetcher.drain(name):
                if clock.monotonic() >= deadline:
                    self._bell.ring(schedule.POLL)
                    return
        except StorageUnavailable as error:
            log.error("task_without_storage", error=str(error))  # noqa: TRY400  the reason is in the message
        finally:
            self._bell.ring(schedule.RECONCILE)

    def _is_time_for(self, name: str, every_seconds: float) -> bool:
        """Whether this process does now what is done seldom. A channel that has just been met has nothing behind it
        yet: its first time comes at any moment of the interval, so that not all do it at once.
        """
        now, part = self._services.clock.now(), self._services.random.random()
        with self._services.store.read() as transaction:
            if not tick_is_due(transaction, name, now):
                return False
        with self._services.store.write() as transaction:
            if ensure_ticks(transaction, {name: now + timedelta(seconds=every_seconds * part)}):
                return False
            return claim_tick(transaction, name, now, timedelta(seconds=every_seconds * (1 - JITTER * part)))


def tick_name(key: Key) -> str:
    """What the visits of a purpose are called on the schedule."""
    return f"{key.purpose}:{key.channel}"


def _postponed(error: ConnectorError) -> None:
    log.warning("task_postponed", error=str(error), kind=type(error).__name__)
