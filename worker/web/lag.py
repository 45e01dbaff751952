"""How far our knowledge is behind, and how far it may be before somebody must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from config.settings import Settings
from worker.intake.poll import cursor_name
from worker.upkeep.repository import FEED
from worker.web.repository import Backlog

OLDEST_DELIVERY = timedelta(minutes=5)
"""Handling takes seconds; a delivery older than this says that intake does not work."""
LEAST_LIMIT = timedelta(minutes=5)
MISSED_ROUNDS = 3
"""A feed or poll may miss two of its rounds without anybody being told."""


@dataclass(frozen=True, slots=True)
class Lag:
    """One thing that can fall behind. `age` is 0 when nothing waits."""

    age: timedelta
    limit: timedelta

    @property
    def ok(self) -> bool:
        return self.age <= self.limit


class Lags:
    """The lags of one deployment, from what a read of the database saw."""

    def __init__(
        self, settings: Settings, *, has_feed: bool, poll_seconds: Mapping[str, float], since: datetime
    ) -> None:
        """`poll_seconds`: of the channels that are polled. `since`: what has never been read counts from here, the
        start of this process.
        """
        self._settings = settings
        self._has_feed = has_feed
        self._poll_seconds = poll_seconds
        self._since = since

    def deliveries(self, backlog: Backlog, now: datetime) -> Lag:
        oldest = backlog.oldest_delivery_at
        return Lag(timedelta(0) if oldest is None else _age(now, oldest), OLDEST_DELIVERY)

    def feed(self, backlog: Backlog, now: datetime) -> Lag | None:
        """None where the marketplace has no feed."""
        if not self._has_feed:
            return None
        return self._lag(backlog, FEED, self._settings.schedule.feed_seconds, now)

    def polls(self, backlog: Backlog, now: datetime) -> Mapping[str, Lag]:
        """By channel."""
        return {
            name: self._lag(backlog, cursor_name(name), seconds, now) for name, seconds in self._poll_seconds.items()
        }

    def _lag(self, backlog: Backlog, cursor: str, every_seconds: float, now: datetime) -> Lag:
        limit = max(LEAST_LIMIT, timedelta(seconds=every_seconds * MISSED_ROUNDS))
        return Lag(_age(now, backlog.current_at.get(cursor, self._since)), limit)


def _age(now: datetime, then: datetime) -> timedelta:
    # Another host's clock may be ahead of ours.
    return max(timedelta(0), now - then)
