"""The full sweep: every listing, page by page, behind the feed.

Its pages may lag behind writes, so it concludes nothing: where it shows something else than we hold, the listing gets a
look of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import Feed, Listing, Marketplace, StockKind, UnreadableListing
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.holds.accounts import Accounts
from worker.reconcile import repository as operations
from worker.reconcile.findings import unreadable_fingerprint, unreadable_listing
from worker.store import Store, Transaction, cursors
from worker.store.tables import HoldScope, JournalKind
from worker.store.totals import note_totals
from worker.upkeep import repository

log = structlog.get_logger(__name__)

TOOK = "sweep-seconds"
"""In `cursors`: how long the last sweep took."""
BEHIND_A_FEED = timedelta(days=1)
"""Between two sweeps where the feed tells of every change: they only look for what it hid."""
UNMEASURED = timedelta(hours=1)
"""Between two where there is no feed, before one has come to its end."""
SOONEST, LATEST = timedelta(minutes=5), timedelta(days=1)
TIMES_AS_LONG = 10
"""As it takes: so a tenth of the account's rate goes to sweeps, whatever the catalogue's size (P7)."""


class Sweeper:
    """Reads every listing of the marketplace."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        marketplace: Marketplace,
        anomalies: Anomalies,
        accounts: Accounts,
        *,
        marketplace_name: str = "marketplace",
    ) -> None:
        self._store = store
        self._clock = clock
        self._marketplace = marketplace
        self._anomalies = anomalies
        self._accounts = accounts
        self._name = marketplace_name

    def interval(self) -> timedelta:
        """How long to wait from one sweep to the next, where nobody has said: by what the marketplace can do, and where
        a sweep is all that tells of changes, by how long the last one took.
        """
        if isinstance(self._marketplace, Feed):
            return BEHIND_A_FEED
        with self._store.read() as transaction:
            took = cursors.cursor(transaction, TOOK)
        if took is None:
            return UNMEASURED
        return min(LATEST, max(SOONEST, TIMES_AS_LONG * timedelta(seconds=float(took))))

    def sweep(self, *, on_page: Callable[[int], None] = lambda listings: None) -> int:
        """Read every listing once; returns how many. `on_page` is told the number of listings so far.

        Idempotent; each page is a transaction. Raises what the connector raises, and `Unavailable` or `Unauthorized`
        when the account rests or is stopped.
        """
        self._accounts.admit(HoldScope.MARKETPLACE, self._name)
        swept_at, began = self._clock.now(), self._clock.monotonic()
        seen = 0
        unreadable: list[Finding] = []
        pages = iter(self._marketplace.listings())
        while True:
            with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
                page = next(pages, None)
            if page is None:
                break
            seen += len(page)
            self._take_page([listing for listing in page if isinstance(listing, Listing)], swept_at)
            found = [_unreadable(entry) for entry in page if isinstance(entry, UnreadableListing)]
            if found:
                self._anomalies.open(*found)
                unreadable += found
            on_page(seen)
        with self._store.write() as transaction:
            missing = repository.unseen_by_sweep(transaction, swept_at)
            repository.ask_for_look(transaction, missing, self._clock.now())
            cursors.move_cursor(transaction, repository.SWEEP, "", swept_at, current=True)
            self._anomalies.resolve_in(
                transaction,
                [fingerprint(Kind.CURSOR_TOO_OLD), fingerprint(Kind.UNREADABLE_CHANGE)],
                "a full sweep has compared every listing",
            )
            took_seconds = self._clock.monotonic() - began
            cursors.move_cursor(transaction, TOOK, f"{took_seconds:.1f}", self._clock.now(), current=False)
        self._resolve_readable({finding.fingerprint for finding in unreadable})
        log.info("swept", listings=seen, missing=len(missing), unreadable=len(unreadable))
        return seen

    def _resolve_readable(self, unreadable: set[str]) -> None:
        """What an earlier sweep could not read, and this one could."""
        open_ones = self._anomalies.list(kind=Kind.UNREADABLE_LISTING)
        prints = {unreadable_fingerprint(view.listing_id) for view in open_ones}
        self._anomalies.resolve(sorted(prints - unreadable), "a sweep could read it")

    def _take_page(self, page: Sequence[Listing], swept_at: datetime) -> None:
        with self._store.write() as transaction:
            now = self._clock.now()
            held = repository.lock(transaction, [listing.listing_id for listing in page])
            # In one order for everybody who meets new listings.
            new = sorted(
                (listing for listing in page if listing.listing_id not in held), key=lambda listing: listing.listing_id
            )
            self._insert(transaction, new, swept_at)
            doubtful = [
                listing.listing_id
                for listing in page
                if listing.listing_id in held and _differs(listing, held[listing.listing_id])
            ]
            repository.ask_for_look(transaction, doubtful, now)
            operations.update_listings(
                transaction,
                [{"row": listing.listing_id, "new_swept_at": swept_at, "new_sku": listing.sku} for listing in page],
            )

    def _insert(self, transaction: Transaction, listings: Sequence[Listing], swept_at: datetime) -> None:
        """Listings met for the first time: here their account with us begins."""
        values: list[dict[str, Any]] = []
        journal: list[dict[str, Any]] = []
        for listing in listings:
            counted = listing.stock.kind is StockKind.COUNTED
            total = listing.stock.total if counted else None
            values.append(
                {
                    "listing_id": listing.listing_id,
                    "seller_id": listing.seller_id,
                    "title": listing.title,
                    "state": listing.state,
                    "stock_kind": listing.stock.kind,
                    "first_seen_at": swept_at,
                    "total": total,
                    "anchor_total": total,
                    "anchor_at": swept_at if counted else None,
                }
            )
            if total is not None:
                journal.append(
                    {
                        "at": swept_at,
                        "listing_id": listing.listing_id,
                        "kind": JournalKind.TOTAL,
                        "units": total,
                    }
                )
        repository.insert_listings(transaction, values)
        operations.write_journal(transaction, journal)
        note_totals(transaction, [listing.listing_id for listing in listings], self._clock.now())


def _unreadable(entry: UnreadableListing) -> Finding:
    return unreadable_listing(entry.listing_id, entry.reason)


def _differs(listing: Listing, held: Any) -> bool:
    if listing.state is not held.state or listing.stock.kind is not held.stock_kind:
        return True
    if held.next_attempt_at is not None:
        # A compare-and-set is about to tell, at no cost.
        return False
    return listing.stock.kind is StockKind.COUNTED and listing.stock.total != held.total
