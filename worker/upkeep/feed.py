"""The change feed: what the marketplace says happened, in its order.

Each page and the cursor behind it are one transaction that holds the cursor, so pages are applied once and in order,
however many follow. Every adjustment is kept once, by its id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import (
    Author,
    ChangePage,
    Feed,
    ListingChange,
    ListingState,
    Marketplace,
    StockChange,
    StockKind,
    UnreadableChange,
)
from connectors.errors import CursorTooOld
from worker.alerts import Anomalies, Finding, Kind
from worker.holds import Holds
from worker.holds.accounts import Accounts
from worker.reconcile import repository as operations
from worker.reconcile.evidence import Entry, first_fit
from worker.reconcile.logs import candidate_of
from worker.reconcile.settle import Settler
from worker.recovery.signs import Signs
from worker.store import Store, Transaction
from worker.store.cursors import move_cursor
from worker.store.tables import HoldScope, OperationState
from worker.store.ticks import pull_tick
from worker.upkeep import repository
from worker.upkeep.running import RunningTotals
from worker.upkeep.states import take_listing_changes

log = structlog.get_logger(__name__)


SILENT_ANSWER_AFTER = timedelta(minutes=10)
"""How long the feed may fail to show an answered write of ours before its listing's log is read."""


class FeedFollower:
    """Reads the feed to its head and draws the consequences."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        marketplace: Marketplace,
        settler: Settler,
        anomalies: Anomalies,
        holds: Holds,
        accounts: Accounts,
        signs: Signs,
        *,
        marketplace_name: str = "marketplace",
    ) -> None:
        self._store = store
        self._clock = clock
        self._marketplace = marketplace
        self._settler = settler
        self._anomalies = anomalies
        self._holds = holds
        self._accounts = accounts
        self._signs = signs
        self._totals = RunningTotals(clock, marketplace, settler, anomalies)
        self._name = marketplace_name

    def is_current(self) -> bool:
        """Whether the feed has been read to its head since this process began; always so where there is no feed."""
        if not isinstance(self._marketplace, Feed):
            return True
        with self._store.read() as transaction:
            held = repository.cursor(transaction)
        return self._signs.is_current(None if held is None else held.current_at)

    def follow(self, *, keep_going: Callable[[], bool] = lambda: True) -> int:
        """Read the feed to its head (or until `keep_going` says no); returns how many changes there were.

        Safe to run several at once and to repeat: each page is applied by one of them, in the feed's order. Raises what
        the connector raises, and `Unavailable` or `Unauthorized` when the account rests or is stopped.
        """
        if not isinstance(self._marketplace, Feed):
            return 0
        self._accounts.admit(HoldScope.MARKETPLACE, self._name)
        read = 0
        while True:
            started_at = self._clock.now()
            with self._store.read() as transaction:
                held = repository.cursor(transaction)
            read_at = None if held is None else held.current_at
            is_first = not self._signs.is_current(read_at)
            try:
                with self._accounts.reading(HoldScope.MARKETPLACE, self._name):
                    page = self._marketplace.changes(None if held is None else held.value)
            except CursorTooOld as error:
                self._start_anew(error)
                continue
            with self._store.write() as transaction:
                if repository.lock_cursor(transaction) != (None if held is None else held.value):
                    # Somebody else took this page, and maybe later ones: what it says is not the newest any more.
                    continue
                self._take_page(transaction, page, is_first=is_first)
                if is_first and not page.more:
                    self._signs.hold_in(transaction, read_at)
                move_cursor(transaction, repository.FEED, page.cursor, started_at, current=not page.more)
            read += len(page.changes)
            if not page.more:
                self._look_around()
            if not page.more or not keep_going():
                return read

    def _start_anew(self, error: CursorTooOld) -> None:
        """Changes were lost for good: begin again at the head, and let a full sweep find what we missed."""
        now = self._clock.now()
        with self._store.write() as transaction:
            repository.forget_cursor(transaction, now)
            closed = repository.end_marks(transaction)
            pull_tick(transaction, "sweep", now)
            self._anomalies.open_in(
                transaction,
                [
                    Finding(
                        Kind.CURSOR_TOO_OLD,
                        f"The change feed was not read for so long that the marketplace no longer keeps what came after"
                        f" our place in it ({error}). A full sweep compares every listing instead. Who closed what"
                        f" meanwhile is not known: {len(closed)} listings that we had closed stay as they are until"
                        " somebody opens them.",
                        detail={"closed": closed[:100]},
                    )
                ],
            )

    # --- one page ---------------------------------------------------------------------------------------------

    def _take_page(self, transaction: Transaction, page: ChangePage, *, is_first: bool = False) -> None:
        changes = [change for change in page.changes if isinstance(change, StockChange)]
        listing_changes = [change for change in page.changes if isinstance(change, ListingChange)]
        concerned = {change.adjustment.listing_id for change in changes}
        concerned.update(change.listing_id for change in listing_changes)
        concerned.update(entry.listing_id for entry in page.unreadable if entry.listing_id is not None)
        rows = repository.lock(transaction, concerned)
        if unknown := concerned - rows.keys():
            self._insert_unknown(transaction, unknown, listing_changes)
            rows |= repository.lock(transaction, unknown)
        self._take_unreadable(transaction, rows, page.unreadable)
        take_listing_changes(transaction, rows, listing_changes, is_first=is_first, now=self._clock.now())
        self._totals.take(transaction, rows, changes)
        self._note_unknown_types(transaction, page.unknown_types)

    def _take_unreadable(
        self, transaction: Transaction, rows: dict[str, Any], unreadable: Sequence[UnreadableChange]
    ) -> None:
        """Nothing is known any more about where these listings stand: their logs and the listings themselves tell. Of a
        change that names no listing, a full sweep does.
        """
        if not unreadable:
            return
        now = self._clock.now()
        named = {entry.listing_id for entry in unreadable if entry.listing_id is not None}
        operations.update_listings(
            transaction,
            [
                {"row": name, "new_anchor_total": None, "new_anchor_adjustment": None, "new_anchor_certain": False}
                for name in named
            ],
        )
        repository.doubt(transaction, named, now)
        repository.ask_for_look(transaction, named, now)
        rows |= repository.lock(transaction, named)
        if len(named) < len(unreadable):
            pull_tick(transaction, "sweep", now)
        self._anomalies.open_in(transaction, [_unreadable(entry) for entry in unreadable])

    def _insert_unknown(self, transaction: Transaction, unknown: set[str], changes: Sequence[ListingChange]) -> None:
        """A listing that we meet for the first time is read by upkeep before anything is concluded about it."""
        now = self._clock.now()
        described = {change.listing_id: change for change in changes}
        repository.insert_listings(
            transaction,
            [
                {
                    "listing_id": listing_id,
                    "seller_id": described[listing_id].seller_id if listing_id in described else "",
                    "title": described[listing_id].title if listing_id in described else "",
                    "state": described[listing_id].state if listing_id in described else ListingState.DRAFT,
                    "stock_kind": StockKind.UNDEFINED,
                    "first_seen_at": now,
                    "next_upkeep_at": now,
                }
                for listing_id in sorted(unknown)
            ],
        )

    def _note_unknown_types(self, transaction: Transaction, types: Sequence[str]) -> None:
        self._anomalies.open_in(
            transaction,
            [
                Finding(
                    Kind.UNKNOWN_CHANGE_TYPE,
                    f"The marketplace's feed carries changes of type {name!r}, which this version of trueup does not"
                    " know and skips. Look whether an upgrade knows it.",
                    key=name,
                )
                for name in sorted(set(types))
            ],
        )

    # --- at the head ------------------------------------------------------------------------------------------

    def _look_around(self) -> None:
        """What the feed may only tell at its head, in a transaction that locks the listings concerned and no others."""
        silent_before = self._clock.now() - SILENT_ANSWER_AFTER
        with self._store.read() as transaction:
            concerned = {row.listing_id for row in repository.open_own_adjustments(transaction)}
            silent = repository.silent_answers(transaction, silent_before)
        if not concerned and not silent:
            return
        with self._store.write() as transaction:
            repository.lock(transaction, concerned.union(silent))
            self._claim_open(transaction, concerned)
            repository.doubt(transaction, silent, self._clock.now())

    def _claim_open(self, transaction: Transaction, concerned: Collection[str]) -> None:
        """Own adjustments that fitted nothing when they were seen: the answer may have been recorded since. Where no
        sender is waiting any more, the listing's log is read.
        """
        waiting: dict[str, list[Any]] = defaultdict(list)
        for row in repository.open_own_adjustments(transaction):
            if row.listing_id in concerned:
                waiting[row.listing_id].append(row)
        if not waiting:
            return
        candidates = operations.unclaimed(transaction, list(waiting))
        matches: dict[str, int] = {}
        doubtful: list[str] = []
        for listing_id, entries in waiting.items():
            rows = candidates.get(listing_id, [])
            left = [candidate_of(row) for row in rows]
            for adjustment in entries:
                entry = Entry(adjustment.adjustment_id, adjustment.quantity, Author.OURS, False, False, adjustment.at)
                after = adjustment.total_after
                fit = None if after is None else first_fit(left, entry, after - adjustment.quantity, after)
                if fit is not None:
                    matches[adjustment.adjustment_id] = fit.operation_id
                    left.remove(fit)
                elif all(row.state is not OperationState.PREPARED for row in rows):
                    doubtful.append(listing_id)
        due = self._settler.claim_in(transaction, matches)
        now = self._clock.now()
        repository.wake(transaction, due, now)
        # A held listing has been looked at: its orphan waits for a person, not for another look.
        held = self._holds.active_in(transaction)
        repository.doubt(transaction, [name for name in doubtful if held.on_listing(name) is None], now)


def _unreadable(entry: UnreadableChange) -> Finding:
    about = f"listing {entry.listing_id}" if entry.listing_id is not None else "a listing that it does not name"
    found_out = "The listing's own log" if entry.listing_id is not None else "A full sweep"
    return Finding(
        Kind.UNREADABLE_CHANGE,
        f"Event {entry.name} of the marketplace's feed, about {about}, cannot be read: {entry.reason}. {found_out} is"
        " read instead; see whether an upgrade of trueup knows this shape.",
        listing_id=entry.listing_id,
        detail={"event": entry.name, "reason": entry.reason},
    )
