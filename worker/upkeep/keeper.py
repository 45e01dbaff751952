"""Looks at the listings that need a look: closes, opens, flags negative stock, fills in what is not known.

A look reads the listing first, because nothing here may be concluded from a cached total. Closings and openings are
operations too: written down before they are sent, and settled by the marketplace's records when their answer is lost.
A batch of looks shares its transactions; its calls go out side by side, with no transaction open.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from connectors.clock import Clock
from connectors.contract import Author, Closable, Feed, Listing, ListingState, Marketplace, Stock, StockKind
from connectors.errors import (
    ConnectorError,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.holds import ActiveHolds, Holds
from worker.holds.accounts import Accounts
from worker.reconcile import repository as operations
from worker.reconcile.findings import outcome_unknown, unreadable_fingerprint, unreadable_listing
from worker.reconcile.logs import LATE_FOR
from worker.reconcile.repository import Intent
from worker.reconcile.settle import as_read
from worker.store import Store, Transaction
from worker.store.tables import HoldScope, OperationKind, OperationState
from worker.store.totals import note_totals
from worker.upkeep import repository
from worker.upkeep.closing import Action, ClosingPolicy, Episode, decide, waits_until
from worker.upkeep.diagnosis import Diagnosis
from worker.upkeep.unsold import is_unsold, kept_closed

log = structlog.get_logger(__name__)

R = TypeVar("R")

BATCH_LISTINGS = 50
READ_WITHIN = timedelta(seconds=30)
"""Nothing is closed or opened for a read that began longer ago."""
AGAIN_SOON = timedelta(seconds=5)
AGAIN_LATER = timedelta(minutes=1)
TROUBLE_AGAIN_AFTER = timedelta(minutes=15)


@dataclass(slots=True)
class _Look:
    """One listing while it is looked at."""

    row: Any
    episode: Episode
    operation: Any
    """Its unsettled operation, if there is one."""
    next_at: datetime | None = None
    """When to look again; None when there is nothing to wait for."""
    reads: bool = True
    read_at: datetime | None = None
    """When its read began."""
    listing: Listing | None = None
    kind: OperationKind = OperationKind.CLOSE
    operation_id: int | None = None
    """Of the closing or opening that this look prepared."""

    @property
    def listing_id(self) -> str:
        listing_id: str = self.row.listing_id
        return listing_id

    @property
    def concerned(self) -> set[str]:
        """The listing, and those that are closed and opened with it."""
        return {self.listing_id, *(() if self.listing is None else self.listing.closed_with)}


class Keeper:
    """Upkeep of single listings."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        marketplace: Marketplace,
        anomalies: Anomalies,
        holds: Holds,
        accounts: Accounts,
        executor: Executor,
        policy: ClosingPolicy,
        *,
        settle_after: timedelta,
        lease: timedelta,
        marketplace_name: str = "marketplace",
    ) -> None:
        self._store = store
        self._clock = clock
        self._marketplace = marketplace
        self._anomalies = anomalies
        self._holds = holds
        self._accounts = accounts
        self._executor = executor
        self._policy = policy
        self._settle_after = settle_after
        self._lease = lease
        self._name = marketplace_name
        self._diagnosis = Diagnosis(marketplace, clock)

    def drain(self) -> int:
        """Look at one batch of listings; returns how many. Safe to run several at once and to repeat."""
        now = self._clock.now()
        with self._store.read() as transaction:
            if not repository.any_upkeep_due(transaction, now):
                return 0
        granted = self._accounts.grant(HoldScope.MARKETPLACE, self._name, BATCH_LISTINGS)
        if not granted:
            return 0
        lease_until = now + self._lease
        looks, held, channels = self._begin(now, lease_until, granted)
        reading = [look for look in looks if look.reads]
        for look, answer in self._side_by_side(self._read, reading):
            self._answered(look, answer)
        with self._store.write() as transaction:
            self._take_reads(transaction, [look for look in reading if look.listing is not None], held, channels)
        self._name_negative_stock(reading)
        changing = [look for look in reading if look.operation_id is not None]
        answers = self._side_by_side(self._change_state, changing)
        with self._store.write() as transaction:
            # All at once, in the one order: what is recorded first may be the last of the batch.
            repository.lock(transaction, set().union(*(look.concerned for look in looks)))
            self._record_changes(transaction, answers)
            repository.end_upkeep(transaction, lease_until, {look.listing_id: look.next_at for look in looks})
        return len(looks)

    def _begin(
        self, now: datetime, lease_until: datetime, limit: int
    ) -> tuple[list[_Look], ActiveHolds, frozenset[str]]:
        """Lease a batch, and say of each whether it must be read."""
        with self._store.write() as transaction:
            rows = repository.claim_upkeep(transaction, now, lease_until, limit)
            names = [row.listing_id for row in rows]
            unsettled = operations.unsettled(transaction, names)
            linked = repository.linked(transaction, names) if self._policy.linked_only else frozenset()
            held = self._holds.active_in(transaction)
            channels = repository.channel_names(transaction)
        looks = []
        for row in rows:
            episode = Episode(
                zero_since=row.zero_since,
                close_done=row.close_done,
                closed_by_us=row.closed_by_us_at is not None,
                linked=row.listing_id in linked,
                undone=row.closed_by_us_at is not None
                and row.state is ListingState.PUBLISHED
                and row.state_author is Author.OURS,
            )
            look = _Look(row, episode, unsettled.get(row.listing_id))
            ripe_at = waits_until(episode, self._policy, row.total)
            if look.operation is not None and look.operation.kind is OperationKind.STOCK:
                look.reads, look.next_at = False, now + AGAIN_SOON
            elif look.operation is None and row.total == 0 and ripe_at is not None and ripe_at > now:
                # Where a feed would tell of stock there is nothing to read yet. Without one, a sweep may just have
                # shown some, which must not wait until closing is due.
                look.reads, look.next_at = not isinstance(self._marketplace, Feed), ripe_at
            looks.append(look)
        return looks, held, channels

    def _side_by_side(self, call: Callable[[_Look], R], looks: Sequence[_Look]) -> list[tuple[_Look, R | Exception]]:
        def attempt(look: _Look) -> R | Exception:
            try:
                with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
                    return call(look)
            except Exception as error:
                if not isinstance(error, ConnectorError):
                    log.exception("upkeep_failed_unexpectedly", listing_id=look.listing_id)
                return error

        return list(zip(looks, self._executor.map(attempt, looks), strict=True))

    # --- reading ----------------------------------------------------------------------------------------------

    def _read(self, look: _Look) -> Listing:
        look.read_at = self._clock.now()
        return self._marketplace.listing(look.listing_id)

    def _answered(self, look: _Look, answer: Listing | Exception) -> None:
        now = self._clock.now()
        if isinstance(answer, Listing):
            look.listing = answer
        elif isinstance(answer, NotFound):
            with self._store.write() as transaction:
                operations.update_listings(transaction, [{"row": look.listing_id, "new_state": ListingState.DELETED}])
                repository.wake_for_reconcile(transaction, [look.listing_id], now)
                if look.operation is not None:
                    look.kind = look.operation.kind
                    self._end(transaction, look, look.operation.id, OperationState.ABSENT, "the listing was deleted")
        elif isinstance(answer, Unreadable):
            look.next_at = now + TROUBLE_AGAIN_AFTER
            self._anomalies.open(unreadable_listing(look.listing_id, str(answer)))
        else:
            look.next_at = now + AGAIN_LATER
            log.warning("upkeep_postponed", listing_id=look.listing_id, error=str(answer))

    def _take_reads(
        self, transaction: Transaction, looks: Sequence[_Look], held: ActiveHolds, channels: frozenset[str]
    ) -> None:
        """Keep the reads, draw what follows from them, and write down the closings and openings to be sent."""
        now = self._clock.now()
        rows = repository.lock(transaction, set().union(*(look.concerned for look in looks)))
        since = operations.late_since(transaction, now, LATE_FOR)
        late = operations.may_be_late(transaction, [look.listing_id for look in looks], since)
        closings = operations.last_closings(transaction, [look.listing_id for look in looks if is_unsold(look.listing)])
        updates, well, intents, unsold = [], [], {}, []
        for look in looks:
            listing = look.listing
            assert listing is not None  # noqa: S101  only those that were read are handed over
            assert look.read_at is not None  # noqa: S101  it was read
            if _state_moved(look.row, rows[look.listing_id]) or now - look.read_at > READ_WITHIN:
                # Another look or the feed was here while we read, and may know better; or the read is so old by now,
                # because this process stood still, that stock may long have come in. Look again.
                look.next_at = now
                continue
            well.append(unreadable_fingerprint(look.listing_id))
            columns = self._columns(listing, look.row, rows[look.listing_id], now, late=look.listing_id in late)
            updates.append(columns)
            if listing.stock.kind is not StockKind.COUNTED or listing.stock.total > 0:
                look.next_at = None
            if listing.stock.kind is StockKind.COUNTED and listing.stock.total < 0:
                look.next_at = now + TROUBLE_AGAIN_AFTER
            else:
                well.append(fingerprint(Kind.NEGATIVE_STOCK, listing_id=look.listing_id))
            if look.operation is not None:
                if not self._settle(transaction, look, listing):
                    # The feed's last word on the state, which has an author, is what settles it: no read overwrites it.
                    columns.pop("new_state", None)
                continue
            action = decide(listing.state, listing.stock, look.episode, self._policy, now)
            told = kept_closed(listing, look.row, action, held, closings.get(look.listing_id), now)
            if told is None:
                well.append(fingerprint(Kind.CLOSED_WITH_STOCK, listing_id=look.listing_id))
            else:
                unsold.append(told)
            if action is Action.UNMARK:
                columns["new_closed_by_us_at"] = None
            if action in (Action.UNMARK, Action.NOTHING):
                well.append(fingerprint(Kind.CLOSE_REFUSED, listing_id=look.listing_id))
                begins = listing.state is ListingState.PUBLISHED and look.episode.zero_since is None
                if begins and look.next_at is None and listing.stock == Stock.counted(0) and self._policy.enabled:
                    # This read is the first to show it: nobody else wakes us for the closing.
                    look.next_at = now + self._policy.close_after
            elif held.on_listing(look.listing_id) is not None or held.all_in_shadow(channels):
                look.next_at = now + AGAIN_LATER
            elif isinstance(self._marketplace, Closable):
                look.kind = OperationKind.CLOSE if action is Action.CLOSE else OperationKind.OPEN
                intents[look.listing_id] = self._intent(listing, look.kind)
        operations.update_listings(transaction, updates)
        self._share_marks(transaction, looks, rows, now)
        # Not waking: this look is the one that would be woken.
        note_totals(transaction, [look.listing_id for look in looks], now, wake=False)
        self._anomalies.open_seldom_in(transaction, unsold)
        self._anomalies.resolve_in(transaction, well, "a fresh read of the listing shows it well")
        prepared = operations.prepare(transaction, list(intents.values()), now)
        for look in looks:
            look.operation_id = prepared.get(look.listing_id)
            if look.listing_id in intents and look.operation_id is None:
                look.next_at = now + AGAIN_SOON

    def _share_marks(
        self, transaction: Transaction, looks: Sequence[_Look], rows: dict[str, Any], now: datetime
    ) -> None:
        """What the marketplace closes by one switch, we have closed with the listing that we closed: whichever of it is
        stocked again opens it.
        """
        marked: set[str] = set()
        for look in looks:
            row, listing = rows[look.listing_id], look.listing
            closed = listing is not None and listing.state is ListingState.CLOSED
            if closed and row.closed_by_us_at is not None and not _state_moved(look.row, row):
                marked |= look.concerned
        marked = {name for name in marked if name in rows and rows[name].closed_by_us_at is None}
        operations.update_listings(
            transaction,
            [
                {
                    "row": name,
                    "new_state": ListingState.CLOSED,
                    "new_closed_by_us_at": now,
                    "new_close_done": True,
                }
                for name in marked
            ],
        )
        note_totals(transaction, marked, now)

    def _columns(self, listing: Listing, before: Any, held: Any, now: datetime, *, late: bool) -> dict[str, Any]:
        """What to keep of a read, given the row as it was before it and as it is now; `late`: see `may_be_late`."""
        columns: dict[str, Any] = {
            "row": listing.listing_id,
            "new_seller_id": listing.seller_id,
            "new_title": listing.title,
        }
        if held.total != before.total or held.stock_kind is not before.stock_kind:
            # An answer or the feed brought another total while we read: which is the later cannot be told.
            return columns
        columns |= as_read(listing, doubted=held.doubted)
        if listing.stock.kind is not StockKind.COUNTED:
            return columns
        if held.anchor_total is None:
            columns |= {"new_anchor_total": listing.stock.total, "new_anchor_at": now}
        at_zero = held.zero_since is not None or held.closed_by_us_at is not None
        if held.total is not None and held.total != listing.stock.total and (not at_zero or late):
            # The sweep saw a difference and so do we: the log tells. (Around zero the feed is simply a moment behind,
            # unless a write that was taken for absent may have been executed since.)
            columns |= {"new_doubted": True, "new_next_attempt_at": now}
        return columns

    def _intent(self, listing: Listing, kind: OperationKind) -> Intent:
        total = listing.stock.total
        return Intent(listing.listing_id, kind, total, total, f"upkeep-{uuid.uuid4().hex[:16]}")

    def _name_negative_stock(self, looks: Sequence[_Look]) -> None:
        for look in looks:
            listing = look.listing
            if listing is None or listing.stock.kind is not StockKind.COUNTED or listing.stock.total >= 0:
                continue
            try:
                with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
                    finding = self._diagnosis.of(listing)
                self._anomalies.open(finding)
            except ConnectorError as error:
                log.warning("diagnosis_postponed", listing_id=look.listing_id, error=str(error))
                look.next_at = self._clock.now() + AGAIN_LATER

    # --- closing and opening ----------------------------------------------------------------------------------

    def _change_state(self, look: _Look) -> None:
        assert isinstance(self._marketplace, Closable)  # noqa: S101  an intent is only written for one that is
        if look.kind is OperationKind.CLOSE:
            self._marketplace.close(look.listing_id)
        else:
            self._marketplace.open(look.listing_id)

    def _record_changes(self, transaction: Transaction, answers: Sequence[tuple[_Look, Exception | None]]) -> None:
        now = self._clock.now()
        repository.lock(transaction, [look.listing_id for look, _ in answers])
        for look, error in answers:
            assert look.operation_id is not None  # noqa: S101  only prepared changes are sent
            if error is None:
                self._end(transaction, look, look.operation_id, OperationState.APPLIED, None)
                # Stock may have come in while we closed: the next look, at once, reads it and opens again.
                look.next_at = now if look.kind is OperationKind.CLOSE else None
            elif isinstance(error, OutcomeUnknown) or not isinstance(error, ConnectorError):
                self._end(transaction, look, look.operation_id, OperationState.UNKNOWN, str(error)[:500])
                look.next_at = now + AGAIN_SOON
            elif isinstance(error, Unauthorized | RateLimited | Unavailable):
                self._end(transaction, look, look.operation_id, OperationState.REJECTED, str(error))
                look.next_at = now + AGAIN_LATER
            else:
                self._end(transaction, look, look.operation_id, OperationState.REJECTED, str(error))
                self._anomalies.open_in(transaction, [_refused(look.listing_id, look.kind, str(error))])
                look.next_at = now + TROUBLE_AGAIN_AFTER
        # The total may have moved while we sent: with the new state that may call for another look.
        note_totals(transaction, [look.listing_id for look, error in answers if error is None], now)

    def _end(
        self, transaction: Transaction, look: _Look, operation_id: int, state: OperationState, outcome: str | None
    ) -> None:
        """Settle a closing or opening; an applied one leaves or lifts our mark."""
        now = self._clock.now()
        settled = operations.settle(
            transaction,
            [operation_id],
            state,
            now=now,
            from_states=(OperationState.PREPARED, OperationState.UNKNOWN),
            answered=state is OperationState.APPLIED,
            outcome=outcome,
        )
        if not settled or state is OperationState.UNKNOWN:
            return
        known = [fingerprint(Kind.OUTCOME_UNKNOWN, listing_id=look.listing_id)]
        if state is OperationState.APPLIED:
            closing = look.kind is OperationKind.CLOSE
            columns: dict[str, Any] = {
                "row": look.listing_id,
                "new_state": ListingState.CLOSED if closing else ListingState.PUBLISHED,
                "new_closed_by_us_at": now if closing else None,
            }
            if closing:
                columns["new_close_done"] = True
            operations.update_listings(transaction, [columns])
            if not closing:
                # One switch for all of them: nobody's mark is left.
                beside = look.concerned - {look.listing_id}
                operations.update_listings(transaction, [{**columns, "row": name} for name in beside])
            known.append(fingerprint(Kind.CLOSE_REFUSED, listing_id=look.listing_id))
        self._anomalies.resolve_in(transaction, known, "its outcome is known")

    def _settle(self, transaction: Transaction, look: _Look, listing: Listing) -> bool:
        """A closing or opening whose answer was lost (or whose sender stopped): who changed the state tells, as soon as
        the feed has told of the change to the state that is there. Returns whether it is settled.
        """
        now = self._clock.now()
        operation, row = look.operation, look.row
        look.kind = operation.kind
        look.next_at = now
        there = listing.state is (
            ListingState.CLOSED if operation.kind is OperationKind.CLOSE else ListingState.PUBLISHED
        )
        told = row.state is listing.state and row.state_changed_at is not None
        since = told and row.state_changed_at >= operation.prepared_at
        age = now - operation.prepared_at
        if there and since and row.state_author is Author.OURS:
            self._end(transaction, look, operation.id, OperationState.APPLIED, "found in the feed")
        elif there and since and row.state_author is Author.OTHER:
            self._end(transaction, look, operation.id, OperationState.REJECTED, "somebody else did it")
        elif not there and age >= self._settle_after:
            self._end(transaction, look, operation.id, OperationState.ABSENT, "the state is not what we asked for")
        else:
            look.next_at = now + AGAIN_SOON
            if age > 5 * self._settle_after:
                self._anomalies.open_in(transaction, [outcome_unknown(look.listing_id, operation)])
            return False
        return True


def _state_moved(before: Any, now: Any) -> bool:
    """Whether somebody wrote another state, or our mark, into the row since `before`."""
    return any(
        getattr(before, name) != getattr(now, name)
        for name in ("state", "state_changed_at", "close_done", "closed_by_us_at")
    )


def _refused(listing_id: str, kind: OperationKind, error: str) -> Finding:
    return Finding(
        Kind.CLOSE_REFUSED,
        f"The marketplace refuses to {kind.value} listing {listing_id}: {error}. It is tried again from time to time.",
        listing_id=listing_id,
        detail={"error": error},
    )
