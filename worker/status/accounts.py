"""How each vendor account does: the marketplace's first, then the channels'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from worker.breaker.service import account_key
from worker.holds import HoldView
from worker.status import repository
from worker.status.overview import Reading, Status
from worker.store import Store
from worker.store.tables import HoldReason, HoldScope
from worker.upkeep.repository import FEED


class Condition(StrEnum):
    """How an account does, the worst that is true of it."""

    REFUSED = "credentials refused"
    SILENT = "does not answer"
    LATE = "not read lately"
    PAUSED = "paused"
    HELD = "held"
    PLAN_TOO_LARGE = "plan too large"
    SHADOW = "in shadow"
    WELL = "well"


@dataclass(frozen=True, slots=True)
class AccountHealth:
    """One account."""

    scope: HoldScope
    name: str
    connector: str
    condition: Condition
    last_event_at: datetime | None
    """When its last webhook came; None when none ever did, or it sends none."""
    reading: Reading | None
    """How far its feed or its orders have been read; None where there is nothing to read."""
    rests_until: datetime | None
    """Nobody calls it before then, because it does not answer."""
    failures: int
    """Calls in a row that got no answer."""
    holds: Sequence[HoldView]

    @property
    def is_paused(self) -> bool:
        return any(hold.reason is HoldReason.PAUSED for hold in self.holds)


class AccountsHealth:
    """Puts together what rooms know about accounts; calls nobody."""

    def __init__(self, store: Store, marketplace: tuple[str, str], channels: Mapping[str, str]) -> None:
        """The marketplace's name and connector; each channel's connector by its name."""
        self._store = store
        self._marketplace = marketplace
        self._channels = channels

    def now(self, status: Status) -> Sequence[AccountHealth]:
        """As of `status`."""
        with self._store.read() as transaction:
            events = repository.last_deliveries(transaction)
            breakers = repository.breakers(transaction)
        readings = {reading.name: reading for reading in status.readings}
        accounts = [(HoldScope.MARKETPLACE, *self._marketplace, FEED)]
        accounts += [(HoldScope.CHANNEL, name, kind, name) for name, kind in sorted(self._channels.items())]
        found = []
        for scope, name, kind, read_as in accounts:
            breaker = breakers.get(account_key(scope, name))
            rests_until = None if breaker is None else breaker.open_until
            holds = [hold for hold in status.holds if (hold.scope, hold.subject) == (scope, name)]
            reading = readings.get(read_as)
            found.append(
                AccountHealth(
                    scope=scope,
                    name=name,
                    connector=kind,
                    condition=_condition(holds, reading, rests_until),
                    last_event_at=events.get(name) if scope is HoldScope.CHANNEL else None,
                    reading=reading,
                    rests_until=rests_until,
                    failures=0 if breaker is None else breaker.failures,
                    holds=holds,
                )
            )
        return found


def _condition(holds: Sequence[HoldView], reading: Reading | None, rests_until: datetime | None) -> Condition:
    reasons = {hold.reason for hold in holds}
    said = (
        (HoldReason.REAUTHORISATION in reasons, Condition.REFUSED),
        (rests_until is not None or HoldReason.BREAKER in reasons, Condition.SILENT),
        (reading is not None and reading.late, Condition.LATE),
        (HoldReason.PAUSED in reasons, Condition.PAUSED),
        (HoldReason.PLAN_TOO_LARGE in reasons, Condition.PLAN_TOO_LARGE),
        (HoldReason.SHADOW in reasons, Condition.SHADOW),
        (bool(reasons), Condition.HELD),
    )
    return next((condition for so, condition in said if so), Condition.WELL)
