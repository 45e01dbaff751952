"""Making up the accounts of a restored database.

A listing that was written while the database was not looking is held (`worker.recovery.signs`). When every channel has
been read again since, its lost adjustments are matched by net units to its order lines and booked through the same
accounts as any write: an operation, its claim, its journal entries. What does not match stays held for a person.

Each listing is one transaction: a crash leaves it held and untouched, or done.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import Evidence, Ledger, Marketplace
from connectors.errors import ConnectorError, NotFound
from worker.alerts import Anomalies, Finding, Kind
from worker.holds import Holds
from worker.holds.accounts import Accounts
from worker.intake.poll import cursor_name
from worker.reconcile import repository as operations
from worker.reconcile.repository import Intent
from worker.reconcile.settle import Settler
from worker.recovery import repository
from worker.recovery.matching import DueLine, Lost, Match, match
from worker.store import Store, Transaction, cursors
from worker.store.tables import HoldReason, HoldScope, JournalKind, OperationKind, OperationState
from worker.store.ticks import pull_tick
from worker.upkeep import repository as upkeep

log = structlog.get_logger(__name__)

LOOK_AGAIN_AFTER = timedelta(seconds=60)
RESTORED_COPY = "restored-copy"
"""The cursor that keeps, while `trueup recover` runs, from when the restored copy is."""


class Verdict(StrEnum):
    """What the recovery of one listing comes to."""

    BOOKED = "booked"
    """Every lost adjustment is accounted for by order lines."""
    NOTHING_LOST = "nothing lost"
    """Nothing of ours is missing here: what is pending is still to be written."""
    REMAINS = "remains held"
    """A person must say what the rest was."""
    LATER = "later"
    """Its log cannot be judged yet: an outcome is open, or the marketplace does not answer."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """One listing."""

    listing_id: str
    verdict: Verdict
    taken: int
    """Net units that the lost adjustments took."""
    due: int
    """Net units that its order lines owed."""
    why: str
    anonymous: bool = False
    """Whether it was matched without the marketplace saying whose the adjustments are."""


class Recovery:
    """Books what was written without this database."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        marketplace: Marketplace,
        settler: Settler,
        anomalies: Anomalies,
        holds: Holds,
        accounts: Accounts,
        channels: Collection[str],
        *,
        marketplace_name: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._marketplace = marketplace
        self._settler = settler
        self._anomalies = anomalies
        self._holds = holds
        self._accounts = accounts
        self._channels = sorted(channels)
        self._name = marketplace_name

    # --- by itself --------------------------------------------------------------------------------------------

    def drain(self) -> int:
        """Make up the accounts of the held listings, once every channel has been read again since; returns how many are
        freed. Costs one read while there are none. Idempotent, and safe to run several at once.
        """
        with self._store.read() as transaction:
            held = self._holds.active_in(transaction)
            persons = held.since_on_listings(HoldReason.ORPHAN)
            since = {
                listing_id: at
                for listing_id, at in held.since_on_listings(HoldReason.RESTORED).items()
                if listing_id not in persons
            }
            if not since:
                return 0
            lost = {row.listing_id for row in repository.own_unclaimed(transaction)}
            unread = self._unread(transaction, max(since.values()))
            fetching = repository.orders_to_fetch(transaction)
        # Where the log has told since that it was an operation of ours after all, nothing has to be matched.
        freed = sum(self._book(listing_id).verdict in FREE for listing_id in sorted(since.keys() - lost))
        if unread:
            with self._store.write() as transaction:
                for name in unread:
                    pull_tick(transaction, f"poll:{name}", self._clock.now())
        if unread or fetching:
            return freed
        return freed + sum(self._book(listing_id).verdict in FREE for listing_id in sorted(since.keys() & lost))

    def _unread(self, transaction: Transaction, since: datetime) -> Sequence[str]:
        """Channels that have not been read to their head since then."""
        read = repository.read_at(transaction, [cursor_name(name) for name in self._channels])
        return [name for name in self._channels if (at := read[cursor_name(name)]) is None or at < since]

    # --- on an operator's word --------------------------------------------------------------------------------

    def begin(self, copied_at: datetime | None) -> datetime:
        """An operator says that this database was restored: nothing is written from here on. Returns from when the copy
        is: as told, or by the last reading of the feed it knows. Begun again after a crash, it stays as it was.
        """
        with self._store.write() as transaction:
            kept = cursors.cursor(transaction, RESTORED_COPY)
            if copied_at is None and kept is not None:
                copied_at = datetime.fromisoformat(kept)
            if copied_at is None:
                copied_at = repository.read_at(transaction, [upkeep.FEED])[upkeep.FEED]
            copied_at = copied_at or self._clock.now()
            cursors.move_cursor(transaction, RESTORED_COPY, copied_at.isoformat(), self._clock.now(), current=False)
            note = f"`trueup recover` makes up the accounts since {copied_at:%Y-%m-%d %H:%M}Z"
            self._holds.place_in(transaction, HoldReason.RESTORED, HoldScope.MARKETPLACE, self._name, note)
        return copied_at

    def examine(
        self, copied_at: datetime, *, on_listing: Callable[[int, int], None] = lambda done, of: None
    ) -> Sequence[Recovered]:
        """What can be booked, listing by listing, on the operator's word that the copy is from `copied_at`: there, an
        adjustment since then that nobody owns counts as ours where it matches exactly. Books nothing.

        Reads the log and the total of every listing with pending units. Call it after feed and channels have been read.
        """
        listings = self._concerned()
        found = []
        for number, listing_id in enumerate(listings, start=1):
            found.append(self._examined(listing_id, copied_at))
            on_listing(number, len(listings))
        return found

    def finish(self, copied_at: datetime, found: Sequence[Recovered]) -> Sequence[Recovered]:
        """Book what matches, hold what does not, and let the rest be written again. Returns what was done."""
        done = [
            self._book(entry.listing_id, anonymous_after=copied_at) if entry.verdict is Verdict.BOOKED else entry
            for entry in found
        ]
        with self._store.write() as transaction:
            restored = self._holds.active_in(transaction).since_on_listings(HoldReason.RESTORED)
            for entry in done:
                if entry.verdict in FREE:
                    self._free(transaction, entry.listing_id, by_word=True)
                    continue
                self._anomalies.open_in(transaction, [_remains(entry)])
                if entry.anonymous or entry.listing_id not in restored:
                    # What nobody signs is not matched again by itself.
                    self._holds.place_in(transaction, HoldReason.ORPHAN, HoldScope.LISTING, entry.listing_id, entry.why)
            cursors.forget_cursor(transaction, RESTORED_COPY)
            self._holds.lift_in(
                transaction, HoldScope.MARKETPLACE, self._name, by="trueup recover", reason=HoldReason.RESTORED
            )
        return done

    def settle(self, listing_id: str, *, by: str, copied_at: datetime | None = None) -> Recovered:
        """A person says that the lost adjustments of this listing were ours (with `copied_at`, those since then that
        nobody owns, too), whatever its lines explain: book what they do, let the rest stand as it is on the
        marketplace, and free the listing.
        """
        done = self._book(listing_id, anonymous_after=copied_at, by=by)
        if done.verdict in FREE:
            with self._store.write() as transaction:
                self._free(transaction, listing_id, by_word=True)
        return done

    def _concerned(self) -> Sequence[str]:
        with self._store.read() as transaction:
            held = self._holds.active_in(transaction).since_on_listings(HoldReason.RESTORED)
            return sorted({*repository.listings_with_pending(transaction), *held})

    def _examined(self, listing_id: str, copied_at: datetime) -> Recovered:
        if not isinstance(self._marketplace, Ledger) or self._marketplace.evidence is Evidence.NONE:
            why = "the marketplace keeps no log that could tell whether its sales were taken already"
            return Recovered(listing_id, Verdict.REMAINS, 0, self._due(listing_id), why)
        try:
            with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
                self._settler.look(listing_id)
        except NotFound:
            return Recovered(listing_id, Verdict.NOTHING_LOST, 0, self._due(listing_id), "the listing was deleted")
        except ConnectorError as error:
            return Recovered(listing_id, Verdict.LATER, 0, self._due(listing_id), str(error))
        with self._store.read() as transaction:
            judged, _ = self._judged(transaction, listing_id, copied_at)
            if operations.facts_unlocked(transaction, listing_id).doubted:
                why = "its log does not lead to its total yet"
                judged = Recovered(listing_id, Verdict.LATER, judged.taken, judged.due, why)
            return judged

    def _due(self, listing_id: str) -> int:
        with self._store.read() as transaction:
            return sum(row.due for row in repository.lines(transaction, listing_id))

    # --- one listing ------------------------------------------------------------------------------------------

    def _judged(
        self, transaction: Transaction, listing_id: str, anonymous_after: datetime | None
    ) -> tuple[Recovered, Match]:
        rows = repository.lost(transaction, listing_id, anonymous_after=anonymous_after)
        lost = [Lost(row.adjustment_id, -row.quantity, row.total_after) for row in rows]
        lines = [
            DueLine(row.id, row.due, row.placed_at, row.cancelled) for row in repository.lines(transaction, listing_id)
        ]
        found = match(lost, lines)
        anonymous = any(row.author is None for row in rows)
        verdict, why = Verdict.BOOKED, "they match its order lines"
        known = operations.unclaimed(transaction, [listing_id]).get(listing_id, [])
        if not lost:
            verdict, why = Verdict.NOTHING_LOST, "no adjustment of ours is missing"
        elif any(operation.state is not OperationState.ABSENT for operation in known):
            # What is not claimed yet may be its adjustment.
            verdict, why = Verdict.LATER, "a write that the database knows of is not found in the log yet"
        elif any(entry.total_after is None for entry in lost):
            verdict, why = Verdict.REMAINS, "where the lost adjustments stand in the log is not known"
        elif found.remainder:
            verdict = Verdict.REMAINS
            why = f"our adjustments took {found.taken} units, its order lines explain {found.taken - found.remainder}"
        elif anonymous and found.taken != found.due:
            # Nobody says that they are ours: then only all of it, to the unit, is evidence.
            verdict = Verdict.REMAINS
            why = f"adjustments without an author took {found.taken} units, its order lines owe {found.due}"
        return Recovered(listing_id, verdict, found.taken, found.due, why, anonymous), found

    def _book(self, listing_id: str, *, anonymous_after: datetime | None = None, by: str | None = None) -> Recovered:
        with self._store.write() as transaction:
            row = operations.facts(transaction, [listing_id]).get(listing_id)
            judged, found = self._judged(transaction, listing_id, anonymous_after)
            settled = by is not None and judged.verdict is Verdict.REMAINS
            if row is None or row.doubted:
                # Its log is read first: the adjustments may be an operation's that the copy still knows.
                repository.look_later(transaction, listing_id, self._clock.now() + LOOK_AGAIN_AFTER)
                return Recovered(listing_id, Verdict.LATER, judged.taken, judged.due, "its log is not read yet")
            if judged.verdict is Verdict.BOOKED or settled:
                self._carry_out(transaction, listing_id, found, by)
                judged = Recovered(listing_id, Verdict.BOOKED, judged.taken, judged.due, judged.why, judged.anonymous)
            if judged.verdict in FREE:
                self._free(transaction, listing_id)
            elif judged.verdict is Verdict.REMAINS:
                self._anomalies.open_in(transaction, [_remains(judged)])
        log.info("listing_recovered", listing_id=listing_id, verdict=judged.verdict.value, taken=judged.taken)
        return judged

    def _carry_out(self, transaction: Transaction, listing_id: str, found: Match, by: str | None) -> None:
        """Book through the accounts of every write: an operation for each adjustment, claimed, with its journal."""
        now = self._clock.now()
        correlation = f"recovery-{uuid.uuid4().hex[:16]}"
        for booking in found.bookings:
            after = booking.lost.total_after or 0
            intent = Intent(
                listing_id,
                OperationKind.STOCK,
                expected_total=after + booking.lost.taken,
                new_total=after,
                correlation_id=correlation,
                moves=[(pair, units) for pair, units in booking.moves.items() if units],
            )
            operation = operations.prepare(transaction, [intent], now)[listing_id]
            self._settler.claim_in(transaction, {booking.lost.adjustment_id: operation})
            if by is not None:
                note = f"taken for ours by {by} after a restore; in all {found.remainder} units belong to no known line"
                operations.write_journal(transaction, [_decided(listing_id, operation, note, now)])

    def _free(self, transaction: Transaction, listing_id: str, *, by_word: bool = False) -> None:
        for reason in (HoldReason.RESTORED, HoldReason.ORPHAN) if by_word else (HoldReason.RESTORED,):
            self._holds.lift_in(transaction, HoldScope.LISTING, listing_id, by="recovery", reason=reason)
        upkeep.wake_for_reconcile(transaction, [listing_id], self._clock.now())


FREE = (Verdict.BOOKED, Verdict.NOTHING_LOST)


def _decided(listing_id: str, operation: int, note: str, now: datetime) -> dict[str, Any]:
    """Moves no unit by itself: it keeps who decided, and what."""
    return {
        "at": now,
        "listing_id": listing_id,
        "pair_id": None,
        "kind": JournalKind.APPLIED,
        "units": 0,
        "operation_id": operation,
        "reason": None,
        "note": note,
    }


def _remains(found: Recovered) -> Finding:
    if found.verdict is Verdict.REMAINS and not found.taken and found.due:
        message = (
            f"Whether the {found.due} units that are due on listing {found.listing_id} were taken already, before the"
            f" database was restored, cannot be told: {found.why}. Look at its history on the marketplace. If they"
            f" were: `trueup operations accept {found.listing_id}`. Then, or if they were not: `trueup holds lift"
            f" listing {found.listing_id}`."
        )
        return Finding(Kind.ORPHAN, message, listing_id=found.listing_id, key="restored", detail={"due": found.due})
    return Finding(
        Kind.ORPHAN,
        f"Listing {found.listing_id} was written while this database was not looking, and that cannot be booked by"
        f" itself: {found.why}. Import links that were lost with the copy, and it is matched again by itself. Else say"
        f" whose it was: `trueup recover --ours {found.listing_id}`, or, if another program's, `trueup holds lift"
        f" listing {found.listing_id}`.",
        listing_id=found.listing_id,
        key="restored",
        detail={"taken": found.taken, "due": found.due},
    )
