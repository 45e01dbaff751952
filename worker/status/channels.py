"""How each channel is: read until when, held or not, and whether its account answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from config.settings import ChannelSettings
from connectors.clock import Clock
from worker.breaker import Breakers, account_key
from worker.breaker.rules import State
from worker.holds import Holds, HoldView
from worker.intake.poll import cursor_name
from worker.status import repository
from worker.status.overview import reading
from worker.store import Store
from worker.store.tables import HoldReason, HoldScope


class Condition(StrEnum):
    """How a channel is, the most telling first."""

    REFUSED = "credentials refused"
    NOT_ANSWERING = "does not answer"
    PAUSED = "paused"
    SHADOW = "shadow"
    PLAN_TOO_LARGE = "plan too large"
    LATE = "late"
    FINE = "fine"


@dataclass(frozen=True, slots=True)
class ChannelView:
    """One configured channel."""

    name: str
    connector: str
    seller: str
    condition: Condition
    why: str
    """What is known of the condition; empty when it is fine."""
    since: datetime | None
    poll_seconds: float | None
    """None: it is not polled."""
    read_at: datetime | None
    """Everything its account told before this moment has been read."""
    lag_seconds: float | None


class Channels:
    """Looks at all channels at once, with as many questions to the database as for one."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        holds: Holds,
        breakers: Breakers,
        configured: Mapping[str, ChannelSettings],
        poll_seconds: Mapping[str, float],
    ) -> None:
        self._store = store
        self._clock = clock
        self._holds = holds
        self._breakers = breakers
        self._configured = configured
        self._poll_seconds = poll_seconds

    def list(self) -> Sequence[ChannelView]:
        """By name."""
        at = self._clock.now()
        with self._store.read() as transaction:
            read = repository.cursors(transaction)
            breakers = self._breakers.held_in(transaction)
        held: dict[tuple[str, HoldReason], HoldView] = {
            (hold.subject, hold.reason): hold for hold in self._holds.list() if hold.scope is HoldScope.CHANNEL
        }
        views = []
        for name, settings in sorted(self._configured.items()):
            seconds = self._poll_seconds.get(name)
            seen = None if seconds is None else reading(name, read.get(cursor_name(name)), at, seconds)
            breaker = breakers.get(account_key(HoldScope.CHANNEL, name))
            condition, why, since = Condition.FINE, "", None
            if (hold := held.get((name, HoldReason.REAUTHORISATION))) is not None:
                condition, why, since = Condition.REFUSED, hold.note, hold.since
            elif breaker is not None and breaker.state(at) in (State.OPEN, State.HALF_OPEN):
                why = f"it has been left alone {breaker.pauses} times, and is tried again and again"
                condition, since = Condition.NOT_ANSWERING, breaker.failed_at
            elif (hold := held.get((name, HoldReason.PAUSED))) is not None:
                condition, why, since = Condition.PAUSED, hold.note, hold.since
            elif (hold := held.get((name, HoldReason.SHADOW))) is not None:
                condition, why, since = Condition.SHADOW, hold.note, hold.since
            elif (hold := held.get((name, HoldReason.PLAN_TOO_LARGE))) is not None:
                condition, why, since = Condition.PLAN_TOO_LARGE, hold.note, hold.since
            elif seen is not None and seen.late:
                condition, why, since = Condition.LATE, "its orders have not been read lately", seen.current_at
            views.append(
                ChannelView(
                    name=name,
                    connector=settings.connector,
                    seller=settings.seller,
                    condition=condition,
                    why=why,
                    since=since,
                    poll_seconds=seconds,
                    read_at=None if seen is None else seen.current_at,
                    lag_seconds=None if seen is None else seen.lag_seconds,
                )
            )
        return views
