"""Looks at the listings that need a look: closes, opens, flags negative stock, fills in what is not known.

A look reads the listing first, because nothing here may be concluded from a cached total. Closings and openings are
operations too: written down before they are sent, and settled by the marketplace's records when their answer is lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import (
    Author,
    Closable,
    Ledger,
    Listing,
    ListingState,
    Marketplace,
    StockKind,
    Trail,
)
from connectors.errors import ConnectorError, NotFound, OutcomeUnknown, Unauthorized
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.holds import Holds
from worker.holds.accounts import Accounts
from worker.reconcile import repository as operations
from worker.reconcile.findings import outcome_unknown
from worker.reconcile.repository import Intent
from worker.reconcile.settle import as_read
from worker.store import Store, Transaction
from worker.store.tables import HoldScope, OperationKind, OperationState
from worker.store.totals import note_totals
from worker.upkeep import repository
from worker.upkeep.closing import Action, ClosingPolicy, Episode, decide, waits_until
from worker.upkeep.negative import Suspect, suspects, with_trail

log = structlog.get_logger(__name__)

BATCH_LISTINGS = 20
LEASE = timedelta(minutes=2)
AGAIN_SOON = timedelta(seconds=5)
AGAIN_LATER = timedelta(minutes=1)
NEGATIVE_AGAIN_AFTER = timedelta(minutes=15)
DIAGNOSIS_WINDOW = timedelta(days=90)


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
        policy: ClosingPolicy,
        *,
        settle_after: timedelta,
        marketplace_name: str = "marketplace",
    ) -> None:
        self._store = store
        self._clock = clock
        self._marketplace = marketplace
        self._anomalies = anomalies
        self._holds = holds
        self._accounts = accounts
        self._policy = policy
        self._settle_after = settle_after
        self._name = marketplace_name

    def drain(self) -> int:
        """Look at one batch of listings; returns how many. Safe to run several at once and to repeat."""
        now = self._clock.now()
        lease_until = now + LEASE
        with self._store.write() as transaction:
            rows = repository.claim_upkeep(transaction, now, lease_until, BATCH_LISTINGS)
        for row in rows:
            next_at: datetime | None = now + AGAIN_LATER
            try:
                next_at = self._look(row)
            except Unauthorized as error:
                self._accounts.refused(HoldScope.MARKETPLACE, self._name, error)
            except ConnectorError as error:
                log.warning("upkeep_postponed", listing_id=row.listing_id, error=str(error))
            finally:
                with self._store.write() as transaction:
                    repository.end_upkeep(transaction, row.listing_id, lease_until, next_at)
        return len(rows)

    def _look(self, row: Any) -> datetime | None:
        """One look; returns when to look again."""
        now = self._clock.now()
        with self._store.read() as transaction:
            operation = operations.unsettled(transaction, [row.listing_id]).get(row.listing_id)
            held = self._holds.active_in(transaction)
            episode = self._episode(transaction, row)
            channels = repository.channel_names(transaction)
        if operation is not None and operation.kind is OperationKind.STOCK:
            return now + AGAIN_SOON
        if operation is not None:
            return self._settle_state_change(row, operation)
        ripe_at = waits_until(episode, self._policy, row.total)
        nothing_else = row.total is not None and row.total == 0 and not episode.closed_by_us
        if ripe_at is not None and ripe_at > now and nothing_else:
            return ripe_at
        listing = self._read(row.listing_id)
        if listing is None:
            return None
        self._judge_total(listing)
        action = decide(listing.state, listing.stock, episode, self._policy, now)
        if action is Action.UNMARK:
            self._unmark(row.listing_id)
        elif action is not Action.NOTHING:
            if held.on_listing(row.listing_id) is not None or held.all_in_shadow(channels):
                return now + AGAIN_LATER
            return self._change_state(listing, action)
        if listing.stock.kind is StockKind.COUNTED and listing.stock.total < 0:
            return now + NEGATIVE_AGAIN_AFTER
        return ripe_at if ripe_at is not None and ripe_at > now else None

    def _episode(self, transaction: Transaction, row: Any) -> Episode:
        return Episode(
            zero_since=row.zero_since,
            close_done=row.close_done,
            closed_by_us=row.closed_by_us_at is not None,
            linked=self._policy.linked_only and repository.is_linked(transaction, row.listing_id),
        )

    # --- reading ----------------------------------------------------------------------------------------------

    def _read(self, listing_id: str) -> Listing | None:
        """A fresh read, kept; None when the listing is gone."""
        now = self._clock.now()
        try:
            listing = self._marketplace.listing(listing_id)
        except NotFound:
            with self._store.write() as transaction:
                operations.update_listings(transaction, [{"row": listing_id, "new_state": ListingState.DELETED}])
                repository.wake_for_reconcile(transaction, [listing_id], now)
            return None
        with self._store.write() as transaction:
            held = repository.lock(transaction, [listing_id])[listing_id]
            columns = as_read(listing, doubted=False)
            del columns["new_doubted"]
            columns["new_seller_id"] = listing.seller_id
            columns["new_title"] = listing.title
            counted = listing.stock.kind is StockKind.COUNTED
            if counted and held.anchor_total is None:
                columns |= {"new_anchor_total": listing.stock.total, "new_anchor_at": now}
            if counted and held.total is not None and held.total != listing.stock.total:
                # The feed may just be behind; the log tells.
                columns["new_doubted"] = True
                columns["new_next_attempt_at"] = now
            operations.update_listings(transaction, [columns])
            note_totals(transaction, [listing_id], now)
        return listing

    def _judge_total(self, listing: Listing) -> None:
        negative = fingerprint(Kind.NEGATIVE_STOCK, listing_id=listing.listing_id)
        if listing.stock.kind is StockKind.COUNTED and listing.stock.total < 0:
            self._anomalies.open(self._diagnose(listing))
        else:
            self._anomalies.resolve([negative], "the stock is not below zero any more")

    # --- negative stock ---------------------------------------------------------------------------------------

    def _diagnose(self, listing: Listing) -> Finding:
        """Name the reservation and transaction whose release did not hold, as far as the records tell."""
        found: Sequence[Suspect] = ()
        if isinstance(self._marketplace, Ledger):
            ledger = self._marketplace.adjustments(listing.listing_id, since=self._clock.now() - DIAGNOSIS_WINDOW)
            found = [self._confirm(suspect) for suspect in suspects(listing.stock.total, ledger)]
        # The sort is stable: of two equally certain suspects the one that crossed zero stays first.
        found = sorted(found, key=lambda suspect: not suspect.certain)
        if found:
            first = found[0]
            cause = (
                f"Reservation {first.reservation_id} of transaction {first.transaction_id} is the likely cause:"
                f" {first.why}. Look at that transaction on the marketplace."
            )
        else:
            cause = (
                "No reservation contradicts its state: look at the listing's stock history for another's adjustment."
            )
        return Finding(
            Kind.NEGATIVE_STOCK,
            f"The stock of listing {listing.listing_id} is {listing.stock.total}, which should be impossible. {cause}",
            listing_id=listing.listing_id,
            detail={
                "total": listing.stock.total,
                "suspects": [
                    {
                        "reservation": suspect.reservation_id,
                        "transaction": suspect.transaction_id,
                        "why": suspect.why,
                        "certain": suspect.certain,
                    }
                    for suspect in found
                ],
            },
        )

    def _confirm(self, suspect: Suspect) -> Suspect:
        if suspect.transaction_id is None or not isinstance(self._marketplace, Trail):
            return suspect
        return with_trail(suspect, self._marketplace.trail(suspect.transaction_id))

    # --- closing and opening ----------------------------------------------------------------------------------

    def _unmark(self, listing_id: str) -> None:
        with self._store.write() as transaction:
            operations.update_listings(transaction, [{"row": listing_id, "new_closed_by_us_at": None}])

    def _change_state(self, listing: Listing, action: Action) -> datetime | None:
        """Close or open: intent, call, record, then read what came of it."""
        if not isinstance(self._marketplace, Closable):
            return None
        kind = OperationKind.CLOSE if action is Action.CLOSE else OperationKind.OPEN
        operation_id = self._intend(listing, kind)
        now = self._clock.now()
        if operation_id is None:
            return now + AGAIN_SOON
        try:
            if kind is OperationKind.CLOSE:
                self._marketplace.close(listing.listing_id)
            else:
                self._marketplace.open(listing.listing_id)
        except OutcomeUnknown as error:
            self._record(listing.listing_id, operation_id, OperationState.UNKNOWN, kind, str(error))
            return now + AGAIN_SOON
        except ConnectorError as error:
            self._record(listing.listing_id, operation_id, OperationState.REJECTED, kind, str(error))
            self._anomalies.open(_refused(listing.listing_id, kind, str(error)))
            return now + NEGATIVE_AGAIN_AFTER
        self._record(listing.listing_id, operation_id, OperationState.APPLIED, kind, None)
        # Stock may have come in while we closed: the next look, at once, reads it and opens again.
        return now if kind is OperationKind.CLOSE else None

    def _intend(self, listing: Listing, kind: OperationKind) -> int | None:
        total = listing.stock.total
        intent = Intent(listing.listing_id, kind, total, total, f"upkeep-{uuid.uuid4().hex[:16]}")
        with self._store.write() as transaction:
            repository.lock(transaction, [listing.listing_id])
            return operations.prepare(transaction, [intent], self._clock.now()).get(listing.listing_id)

    def _record(
        self, listing_id: str, operation_id: int, state: OperationState, kind: OperationKind, outcome: str | None
    ) -> None:
        now = self._clock.now()
        with self._store.write() as transaction:
            repository.lock(transaction, [listing_id])
            settled = operations.settle(
                transaction,
                [operation_id],
                state,
                now=now,
                from_states=(OperationState.PREPARED, OperationState.UNKNOWN),
                answered=state is OperationState.APPLIED,
                outcome=outcome,
            )
            if settled and state is OperationState.APPLIED:
                self._mark(transaction, listing_id, kind, now)
            if settled and state is not OperationState.UNKNOWN:
                self._anomalies.resolve_in(
                    transaction, [fingerprint(Kind.OUTCOME_UNKNOWN, listing_id=listing_id)], "its outcome is known"
                )

    def _mark(self, transaction: Transaction, listing_id: str, kind: OperationKind, now: datetime) -> None:
        closing = kind is OperationKind.CLOSE
        columns: dict[str, Any] = {
            "row": listing_id,
            "new_state": ListingState.CLOSED if closing else ListingState.PUBLISHED,
            "new_closed_by_us_at": now if closing else None,
        }
        if closing:
            columns["new_close_done"] = True
        operations.update_listings(transaction, [columns])
        self._anomalies.resolve_in(
            transaction, [fingerprint(Kind.CLOSE_REFUSED, listing_id=listing_id)], "its state was changed after all"
        )

    def _settle_state_change(self, row: Any, operation: Any) -> datetime | None:
        """A closing or opening whose answer was lost (or whose sender stopped): who changed the state tells."""
        now = self._clock.now()
        listing = self._marketplace.listing(row.listing_id)
        wanted = ListingState.CLOSED if operation.kind is OperationKind.CLOSE else ListingState.PUBLISHED
        ours = row.state_changed_at is not None and row.state_changed_at >= operation.prepared_at
        age = now - operation.prepared_at
        if listing.state is wanted and ours and row.state_author is Author.OURS:
            self._record(row.listing_id, operation.id, OperationState.APPLIED, operation.kind, "found in the feed")
            return now
        if listing.state is wanted and ours and row.state_author is Author.OTHER:
            self._record(row.listing_id, operation.id, OperationState.REJECTED, operation.kind, "another did it")
            return now
        if listing.state is not wanted and age >= self._settle_after:
            self._record(
                row.listing_id, operation.id, OperationState.ABSENT, operation.kind, "the state did not change"
            )
            return now
        if age > 5 * self._settle_after:
            self._anomalies.open(outcome_unknown(row.listing_id, operation))
        return now + AGAIN_SOON


def _refused(listing_id: str, kind: OperationKind, error: str) -> Finding:
    return Finding(
        Kind.CLOSE_REFUSED,
        f"The marketplace refuses to {kind.value} listing {listing_id}: {error}. It is tried again from time to time.",
        listing_id=listing_id,
        detail={"error": error},
    )
