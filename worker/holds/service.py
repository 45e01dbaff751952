"""Placing, asking for and lifting holds.

A hold stops writes, never knowledge: deliveries, polls, feed and sweep go on, and what is held stays pending.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from connectors.clock import Clock
from worker.alerts import Anomalies, Kind
from worker.alerts.anomalies import fingerprint
from worker.holds import repository
from worker.store import AnyRow, Store, Transaction
from worker.store.tables import HoldReason, HoldScope

log = structlog.get_logger(__name__)

CONFIRMED_BY_A_PERSON = (HoldReason.SHADOW, HoldReason.PLAN_TOO_LARGE)
"""These hold a channel until somebody has seen its plan."""
AS_CONFIGURED = "paused in the configuration"
"""The note of a pause that ends when the configuration no longer asks for it."""


@dataclass(frozen=True, slots=True)
class LetThrough:
    """What waited for a channel when a hold was lifted from it: that much is written without asking again."""

    listings: int
    at: datetime


@dataclass(frozen=True, slots=True)
class HoldView:
    """One active hold."""

    id: int
    reason: HoldReason
    scope: HoldScope
    subject: str
    note: str
    since: datetime
    until: datetime | None


class ActiveHolds:
    """The holds in force at one moment, for asking about many listings and channels."""

    def __init__(self, holds: Sequence[HoldView]) -> None:
        self._holds = holds
        self._by_subject: dict[tuple[HoldScope, str], HoldView] = {}
        for hold in holds:
            self._by_subject.setdefault((hold.scope, hold.subject), hold)
        self._marketplace = next((hold for hold in holds if hold.scope is HoldScope.MARKETPLACE), None)

    @property
    def marketplace(self) -> HoldView | None:
        """A deployment has one marketplace: any hold of that scope stops every write."""
        return self._marketplace

    def on_channel(self, channel: str) -> HoldView | None:
        return self._by_subject.get((HoldScope.CHANNEL, channel))

    def on_listing(self, listing_id: str) -> HoldView | None:
        return self._marketplace or self._by_subject.get((HoldScope.LISTING, listing_id))

    def held_channels(self) -> frozenset[str]:
        return frozenset(subject for scope, subject in self._by_subject if scope is HoldScope.CHANNEL)

    def all_in_shadow(self, channels: frozenset[str]) -> bool:
        """Whether there are channels and every one is still in shadow: then nothing at all is written yet."""
        shadowed = {
            hold.subject for hold in self._holds if hold.scope is HoldScope.CHANNEL and hold.reason is HoldReason.SHADOW
        }
        return bool(channels) and channels <= shadowed

    def has(self, reason: HoldReason, scope: HoldScope, subject: str) -> bool:
        return any(hold.reason is reason and hold.scope is scope and hold.subject == subject for hold in self._holds)

    def reasons_on(self, scope: HoldScope, subject: str) -> Sequence[HoldReason]:
        """Why this very subject is held, oldest first."""
        return [hold.reason for hold in self._holds if (hold.scope, hold.subject) == (scope, subject)]

    def since_on_listings(self, reason: HoldReason) -> dict[str, datetime]:
        """The listings held for this reason, with since when."""
        return {
            hold.subject: hold.since
            for hold in self._holds
            if hold.reason is reason and hold.scope is HoldScope.LISTING
        }

    def refused_accounts(self) -> frozenset[tuple[HoldScope, str]]:
        """The accounts that refuse our credentials."""
        return frozenset(
            (hold.scope, hold.subject) for hold in self._holds if hold.reason is HoldReason.REAUTHORISATION
        )

    def unauthorised_channels(self) -> frozenset[str]:
        """Channels that must not even be read: their credentials are refused."""
        return frozenset(name for scope, name in self.refused_accounts() if scope is HoldScope.CHANNEL)


class Holds:
    """The rules of holds."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._anomalies = Anomalies(store, clock)

    def active_in(self, transaction: Transaction) -> ActiveHolds:
        return ActiveHolds(self._views(transaction))

    def list(self) -> Sequence[HoldView]:
        with self._store.read() as transaction:
            return self._views(transaction)

    def find(
        self,
        *,
        reasons: Collection[HoldReason] = tuple(HoldReason),
        scope: HoldScope | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> Sequence[HoldView]:
        """Those in force for one of these reasons, by id, behind the one with the id `after`."""
        with self._store.read() as transaction:
            return _viewed(
                repository.find(transaction, self._clock.now(), reasons=reasons, scope=scope, after=after, limit=limit)
            )

    def _views(self, transaction: Transaction) -> Sequence[HoldView]:
        return _viewed(repository.active(transaction, self._clock.now()))

    def place_in(
        self,
        transaction: Transaction,
        reason: HoldReason,
        scope: HoldScope,
        subject: str,
        note: str,
        *,
        until: datetime | None = None,
    ) -> None:
        """Place a hold, or renew the same one. Idempotent."""
        now = self._clock.now()
        is_new = repository.place(
            transaction, reason=reason, scope=scope, subject=subject, note=note, now=now, until=until
        )
        if is_new:
            log.warning("hold_placed", reason=reason.value, scope=scope.value, subject=subject, note=note)

    def place(self, reason: HoldReason, scope: HoldScope, subject: str, note: str) -> None:
        """`place_in` in a transaction of its own."""
        with self._store.write() as transaction:
            self.place_in(transaction, reason, scope, subject, note)

    def lift_in(
        self,
        transaction: Transaction,
        scope: HoldScope,
        subject: str,
        *,
        by: str,
        reason: HoldReason | None = None,
        note: str | None = None,
    ) -> int:
        """Lift the holds on a subject (all, or those of one reason, or with this very note) and wake what waited.
        Returns how many.
        """
        if not repository.is_held(transaction, reason=reason, scope=scope, subject=subject, note=note):
            return 0
        now = self._clock.now()
        # Listings before holds: a look that finds an orphan has its listing when it places the hold.
        waiting = repository.lock_waiting(transaction, scope=scope, subject=subject)
        lifted = repository.lift(transaction, reason=reason, scope=scope, subject=subject, note=note, by=by, now=now)
        if lifted:
            if scope is HoldScope.LISTING and reason in {None, HoldReason.ORPHAN, HoldReason.RESTORED}:
                self._let_stand(transaction, subject, by)
            if scope is HoldScope.CHANNEL:
                repository.let_through(transaction, subject, len(waiting), now)
                if reason in {None, HoldReason.PLAN_TOO_LARGE}:
                    self._anomalies.resolve_in(
                        transaction,
                        [fingerprint(Kind.PLAN_TOO_LARGE, channel=subject)],
                        f"the plan was confirmed by {by}",
                    )
            repository.wake(transaction, waiting, now)
            log.info("hold_lifted", scope=scope.value, subject=subject, by=by)
        return lifted

    def let_through_in(self, transaction: Transaction, channel: str) -> LetThrough | None:
        """What was let through when a hold was last lifted from the channel; None when none ever was."""
        row = repository.last_let_through(transaction, channel)
        return None if row is None else LetThrough(int(row.value), row.moved_at)

    def _let_stand(self, transaction: Transaction, listing_id: str, by: str) -> None:
        """Adjustments that fit no operation were the reason, and somebody has looked at them: they stand as they are,
        and are no reason any more.
        """
        names = repository.own_unclaimed(transaction, listing_id)
        repository.let_stand(transaction, listing_id)
        self._anomalies.resolve_in(
            transaction,
            [fingerprint(Kind.ORPHAN, listing_id=listing_id, key=key) for key in (*names, "restored")],
            f"the hold was lifted by {by}",
        )
        if not repository.any_on_listings(transaction, HoldReason.RESTORED):
            self._anomalies.resolve_in(
                transaction, [fingerprint(Kind.RESTORED)], "the account of every listing is made up again"
            )

    # --- pauses -----------------------------------------------------------------------------------------------

    def pause_in(self, transaction: Transaction, scope: HoldScope, subject: str, why: str, *, by: str) -> None:
        """Write nothing for it until somebody lifts the hold. What is sold is taken in all the same. Idempotent."""
        self.place_in(transaction, HoldReason.PAUSED, scope, subject, f"{why} (paused by {by})")

    def pause_as_configured_in(self, transaction: Transaction, channels: Collection[str]) -> None:
        """Pause these, and let go on whom the configuration paused before. A person's pause is a person's to end."""
        paused = {
            hold.subject: hold.note
            for hold in self._views(transaction)
            if hold.reason is HoldReason.PAUSED and hold.scope is HoldScope.CHANNEL
        }
        for name in sorted(set(channels) - paused.keys()):
            self.place_in(transaction, HoldReason.PAUSED, HoldScope.CHANNEL, name, AS_CONFIGURED)
        for name in sorted(name for name, note in paused.items() if note == AS_CONFIGURED and name not in channels):
            self.lift_in(transaction, HoldScope.CHANNEL, name, by="the configuration", reason=HoldReason.PAUSED)

    def lift(self, scope: HoldScope, subject: str, *, by: str, reason: HoldReason | None = None) -> int:
        """`lift_in` in a transaction of its own."""
        with self._store.write() as transaction:
            return self.lift_in(transaction, scope, subject, by=by, reason=reason)


def _viewed(rows: Sequence[AnyRow]) -> Sequence[HoldView]:
    return [HoldView(**row._mapping) for row in rows]  # noqa: SLF001  public, whatever its name
