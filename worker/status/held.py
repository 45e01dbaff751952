"""What keeps writes back, what lifts it, and the plans that wait for a person's word. Never writes, calls nobody."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.breaker import Breakers
from worker.holds import CONFIRMED_BY_A_PERSON, Holds, HoldView
from worker.holds.explained import explain
from worker.reconcile.size import PlanSize
from worker.status import repository
from worker.store import Store
from worker.store.tables import HoldReason, HoldScope


@dataclass(frozen=True, slots=True)
class WaitingPlan:
    """The plan of one channel, which nothing is written of until somebody confirms it."""

    channel: str
    reasons: Sequence[HoldReason]
    since: datetime
    note: str
    size: PlanSize


@dataclass(frozen=True, slots=True)
class Resting:
    """An account that did not answer, and is left alone or tried by one call."""

    scope: HoldScope
    name: str
    until: datetime
    """When it is tried again; in the past where that is under way."""


@dataclass(frozen=True, slots=True)
class Held:
    """One hold in force, and what lifts it."""

    hold: HoldView
    title: str
    lifted: str
    by_a_word: bool


class HeldWork:
    """Gathers them."""

    def __init__(self, store: Store, holds: Holds, breakers: Breakers) -> None:
        self._store = store
        self._holds = holds
        self._breakers = breakers

    def holds(
        self,
        *,
        reasons: Collection[HoldReason] = tuple(HoldReason),
        scope: HoldScope | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> Sequence[Held]:
        """See `Holds.find`."""
        found = self._holds.find(reasons=reasons, scope=scope, after=after, limit=limit)
        return [
            Held(hold, meaning.title, meaning.lifted, meaning.by_a_word)
            for hold, meaning in ((hold, explain(hold)) for hold in found)
        ]

    def plans(self) -> Sequence[WaitingPlan]:
        """By channel: every one that waits for somebody to see its plan."""
        found: dict[str, list[HoldView]] = {}
        for hold in self._holds.find(reasons=CONFIRMED_BY_A_PERSON, scope=HoldScope.CHANNEL):
            found.setdefault(hold.subject, []).append(hold)
        sizes = self._sizes()
        return [
            WaitingPlan(
                channel,
                [hold.reason for hold in holds],
                min(hold.since for hold in holds),
                holds[-1].note,
                sizes.get(channel, PlanSize()),
            )
            for channel, holds in sorted(found.items())
        ]

    def size(self, channel: str) -> PlanSize:
        """Of what waits to be written for a channel, whether it is held or not."""
        return self._sizes().get(channel, PlanSize())

    def _sizes(self) -> Mapping[str, PlanSize]:
        with self._store.read() as transaction:
            rows = repository.pending_by_channel(transaction)
        return {channel: PlanSize(listings, int(take), int(back)) for channel, take, back, listings in rows}

    def resting(self) -> Sequence[Resting]:
        """By account: every one that does not answer."""
        with self._store.read() as transaction:
            held = self._breakers.held_in(transaction)
        return [
            Resting(HoldScope(scope), name, breaker.open_until)
            for (scope, _, name), breaker in sorted((account.partition(":"), held[account]) for account in held)
            if breaker.open_until is not None
        ]
