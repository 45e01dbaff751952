"""A plan that would change many listings at once, in a way that trade does not, waits for a person.

Trade lowers a listing by what was sold just now, a little at a time; however much of it there is, it is written. What
is counted is what else a channel asks for: sales of more than a day ago (a link whose start is wrong, an old file of
orders), units that come back (every order cancelled by one click, or by a broken answer), half of a listing's number or
more at once. See docs/operations/large-plans.md.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from connectors.clock import Clock
from worker.alerts import Anomalies, Finding, Kind
from worker.holds import ActiveHolds, Holds
from worker.reconcile import changes
from worker.reconcile.size import AT_ONCE, FRESH, LET_THROUGH, Limits, PlanSize
from worker.store import Transaction
from worker.store.tables import HoldReason, HoldScope


class LargePlans:
    """Holds channels whose plan is too large."""

    def __init__(self, clock: Clock, holds: Holds, anomalies: Anomalies, limits: Limits) -> None:
        self._clock = clock
        self._holds = holds
        self._anomalies = anomalies
        self._limits = limits

    def judge_in(self, transaction: Transaction, listing_ids: Collection[str], holds: ActiveHolds) -> ActiveHolds:
        """Hold every channel whose plan is too large, among those with something unusual on these listings, and return
        the holds that are in force then.

        To be asked in the transaction that writes the intents down, after it has read what is due: so what it counts
        holds all that these intents could be for, whoever else is at work, and nothing of a plan that is too large is
        sent. Operations that others have under way count too: their units are pending until they are answered.
        """
        now = self._clock.now()
        suspects = changes.unusual_channels(transaction, listing_ids, now - FRESH) - holds.held_channels()
        placed = [channel for channel in sorted(suspects) if self._is_too_large(transaction, channel, now)]
        for channel in placed:
            self._hold(transaction, channel)
        return self._holds.active_in(transaction) if placed else holds

    def _is_too_large(self, transaction: Transaction, channel: str, now: datetime) -> bool:
        since, let_through = now - AT_ONCE, 0
        passed = self._holds.let_through_in(transaction, channel)
        if passed is not None:
            until = passed.at + LET_THROUGH
            since = passed.at if now < until else max(since, until)
            let_through = passed.listings if now < until else 0
        unusual = changes.unusual_listings(transaction, channel, now - FRESH, since) - let_through
        if unusual < self._limits.least:
            return False
        return unusual >= self._limits.of(changes.linked_listings(transaction, channel))

    def _hold(self, transaction: Transaction, channel: str) -> None:
        size = changes.pending(transaction, channel)
        look = f"look at `trueup plan --channel {channel}`, then confirm with `trueup holds lift channel {channel}`"
        note = f"more at once than trade asks for, {size}: {look}"
        self._holds.place_in(transaction, HoldReason.PLAN_TOO_LARGE, HoldScope.CHANNEL, channel, note)
        self._anomalies.open_in(
            transaction,
            [
                Finding(
                    Kind.PLAN_TOO_LARGE,
                    f"The plan of the channel {channel} changes more at once than trade asks for: {size}. Nothing is"
                    f" written for it until a person has seen it: {look}.",
                    channel=channel,
                    detail={
                        "listings": size.listings,
                        "units_to_take": size.to_take,
                        "units_to_give_back": size.to_give_back,
                    },
                )
            ],
        )

    def size_in(self, transaction: Transaction, channel: str) -> PlanSize:
        """All that waits to be written for a channel."""
        return changes.pending(transaction, channel)
