"""The change feed: what the marketplace says happened, in its order.

Each page and the cursor behind it are one transaction that holds the cursor, so pages are applied once and in order,
however many follow. Every adjustment is kept once, by its id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from worker.alerts.anomalies import fingerprint
from worker.holds import Holds
from worker.holds.accounts import Accounts
from worker.reconcile import repository as operations
from worker.reconcile.evidence import Candidate, Entry, first_fit, may_be_late
from worker.reconcile.settle import Settler, candidate_of
from worker.recovery.signs import Signs
from worker.store import Store, Transaction
from worker.store.cursors import move_cursor
from worker.store.tables import HoldScope, OperationState
from worker.store.ticks import pull_tick
from worker.store.totals import note_totals
from worker.upkeep import repository

log = structlog.get_logger(__name__)

CLOCKS_APART = timedelta(seconds=30)
"""By how much the marketplace's clock and those of our hosts may disagree about what came first."""

SILENT_ANSWER_AFTER = timedelta(minutes=10)
"""How long the feed may fail to show an answered write of ours before its listing's log is read."""


@dataclass(slots=True)
class _Running:
    """A listing while a page is applied to it."""

    row: Any
    anchor_total: int | None
    anchor_adjustment: str | None
    anchor_at: datetime | None
    anchor_certain: bool
    candidates: list[Any]
    was_stocked: bool = False
    """Whether stock came in and ran out again in the page: the zero episode has ended then, and another has begun."""

    def note_stretch(self, change: StockChange, total_after: int | None, fit: Candidate | None) -> None:
        """See whether a stretch of stock ends with this change, inside the zero episode that we know of.

        The feed also tells of stock before the episode: what ran out before it began, and what we took ourselves, with
        an answer, when it began.
        """
        if total_after is None or not total_after - change.adjustment.quantity > 0 >= total_after:
            return
        answered = fit is not None and fit.answered
        since = self.row.zero_since
        self.was_stocked |= not answered and (since is None or change.adjustment.at > since)


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
        self._take_listing_changes(transaction, rows, listing_changes, is_first=is_first)
        self._take_adjustments(transaction, rows, changes)
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

    def _take_listing_changes(
        self, transaction: Transaction, rows: dict[str, Any], changes: Sequence[ListingChange], *, is_first: bool
    ) -> None:
        now = self._clock.now()
        updates: dict[str, dict[str, Any]] = {}
        late: list[int] = []
        turned = {change.listing_id for change in changes if change.state_changed}
        closings = operations.last_closings(transaction, turned)
        closed_by_others = {
            name
            for name, closing in closings.items()
            if rows[name].state is ListingState.CLOSED
            and rows[name].state_author is Author.OTHER
            and rows[name].state_changed_at >= closing.prepared_at - CLOCKS_APART
        }
        for change in changes:
            columns = updates.setdefault(change.listing_id, {"row": change.listing_id})
            columns["new_state"] = change.state
            if change.title:
                columns["new_title"] = change.title
            if change.seller_id:
                columns["new_seller_id"] = change.seller_id
            if not change.state_changed:
                continue
            columns["new_state_author"] = change.author
            columns["new_state_changed_at"] = now
            if change.author is Author.OTHER or (
                change.author is None and not self._may_be_our_close(rows[change.listing_id], change)
            ):
                columns["new_closed_by_us_at"] = None
            elif is_first and change.author is Author.OURS:
                # Of a closing or opening that the database may have lost in a restore, the mark is learnt again.
                closed = change.state is ListingState.CLOSED
                columns["new_closed_by_us_at"] = now if closed else None
                if closed:
                    columns["new_close_done"] = True
            closing = closings.get(change.listing_id)
            undone = _undoes_closing(change, closing) and change.listing_id not in closed_by_others
            if undone or _shows_closing(change, closing):
                # Should it be open again when that closing is looked at, or have been, somebody has reopened it.
                columns["new_close_done"] = True
            if closing is not None and _was_late(change, closing):
                columns["new_closed_by_us_at"] = now
                late.append(closing.id)
            if change.state is ListingState.CLOSED and change.author is Author.OTHER:
                closed_by_others.add(change.listing_id)
        operations.update_listings(transaction, list(updates.values()))
        operations.settle(
            transaction,
            late,
            OperationState.APPLIED,
            now=now,
            from_states=(OperationState.ABSENT,),
            outcome="executed late: the feed shows it, after it had been taken for absent",
        )
        note_totals(transaction, list(updates), now)
        # An opening of ours whose request came late, it may be, after we had closed the listing again.
        reopened = {
            change.listing_id
            for change in changes
            if change.state_changed
            and change.author is Author.OURS
            and change.state is ListingState.PUBLISHED
            and rows[change.listing_id].closed_by_us_at is not None
        }
        repository.ask_for_look(transaction, reopened, now)
        repository.wake_for_reconcile(
            transaction,
            [change.listing_id for change in changes if change.state is ListingState.DELETED],
            now,
        )

    def _may_be_our_close(self, row: Any, change: ListingChange) -> bool:
        """A change without an author keeps our mark only if it leads where our own last operation led."""
        return row.closed_by_us_at is not None and change.state is ListingState.CLOSED

    def _take_adjustments(self, transaction: Transaction, rows: dict[str, Any], changes: Sequence[StockChange]) -> None:
        if not changes:
            return
        known = operations.known_adjustments(transaction, [change.adjustment.adjustment_id for change in changes])
        candidates = operations.unclaimed(transaction, list(rows))
        running = {
            listing_id: _Running(
                row,
                row.anchor_total,
                row.anchor_adjustment,
                row.anchor_at,
                row.anchor_certain,
                candidates.get(listing_id, []),
            )
            for listing_id, row in rows.items()
        }
        remembered: list[dict[str, Any]] = []
        learnt: list[dict[str, Any]] = []
        matches: dict[str, int] = {}
        moved: set[str] = set()
        doubtful: set[str] = set()
        for change in changes:
            adjustment = change.adjustment
            listing = running[adjustment.listing_id]
            kept = known.get(adjustment.adjustment_id)
            if kept is not None and kept.sequence is not None:
                continue
            if kept is None:
                total_after = self._move_anchor(listing, change)
                moved.add(adjustment.listing_id)
                fit = self._match(listing, change, total_after)
                listing.note_stretch(change, total_after, fit)
                if fit is None and any(row.answered for row in listing.candidates):
                    # Our answered write may have come before this one, in a feed that does not show it.
                    listing.anchor_certain = False
                if fit is None and self._may_be_late(listing, change, total_after):
                    doubtful.add(adjustment.listing_id)
                remembered.append(
                    operations.adjustment_values(
                        adjustment,
                        sequence=change.sequence,
                        total_after=total_after,
                        claimed=fit is not None,
                    )
                )
            else:
                claimed = kept.operation_id is not None
                fit = None if claimed else self._match(listing, change, kept.total_after)
                learnt.append(
                    {
                        "row": adjustment.adjustment_id,
                        "new_author": adjustment.author,
                        "new_sequence": change.sequence,
                        "new_open_claim": adjustment.author is Author.OURS and not claimed and fit is None,
                    }
                )
            if fit is not None:
                matches[adjustment.adjustment_id] = fit.operation_id
        operations.remember_adjustments(transaction, remembered)
        operations.learn_adjustments(transaction, learnt)
        due = self._settler.claim_in(transaction, matches)
        self._write_anchors(transaction, [running[listing_id] for listing_id in sorted(moved)])
        now = self._clock.now()
        # Units that came in may serve what waits for them. Our own writes are no news: what a backlog still puts off
        # must not be written early because of them.
        stocked = [change.adjustment for change in changes if change.adjustment.quantity > 0]
        repository.wake_for_reconcile(
            transaction, {entry.listing_id for entry in stocked if entry.adjustment_id not in matches}, now
        )
        repository.wake_for_evidence(transaction, {change.adjustment.listing_id for change in changes}, now)
        repository.wake(transaction, due, now)
        repository.doubt(transaction, doubtful, now)

    def _move_anchor(self, listing: _Running, change: StockChange) -> int | None:
        """Carry the running total over one adjustment; returns the total after it, where it is known."""
        adjustment = change.adjustment
        if listing.anchor_total is None:
            return None
        only_read = listing.anchor_adjustment is None and not listing.anchor_certain
        if only_read and listing.anchor_at is not None and adjustment.at <= listing.anchor_at:
            # The anchor is a read made after this adjustment: it is in there already.
            return None
        listing.anchor_total += adjustment.quantity
        listing.anchor_adjustment = adjustment.adjustment_id
        listing.anchor_at = adjustment.at
        return listing.anchor_total

    def _may_be_late(self, listing: _Running, change: StockChange, total_after: int | None) -> bool:
        """Whether nobody says that this is another's, and it fits a write of ours that had been taken for absent."""
        if total_after is None:
            return False
        candidates = [candidate_of(row) for row in listing.candidates]
        before = total_after - change.adjustment.quantity
        return may_be_late(candidates, _entry(change), before, total_after) is not None

    def _match(self, listing: _Running, change: StockChange, total_after: int | None) -> Candidate | None:
        """The operation that this adjustment is claimed for, if the running totals fit one whose sender is not still
        waiting for its answer.
        """
        if total_after is None:
            return None
        candidates = [candidate_of(row) for row in listing.candidates]
        fit = first_fit(candidates, _entry(change), total_after - change.adjustment.quantity, total_after)
        if fit is None:
            return None
        listing.candidates = [row for row in listing.candidates if row.id != fit.operation_id]
        if fit.answered:
            # Its answer proved the total right before and right after it.
            listing.anchor_certain = True
        return fit

    def _write_anchors(self, transaction: Transaction, listings: Sequence[_Running]) -> None:
        unlimited_from = self._marketplace.unlimited_from
        updates: list[dict[str, Any]] = []
        not_negative: list[str] = []
        for listing in listings:
            columns: dict[str, Any] = {
                "row": listing.row.listing_id,
                "new_anchor_total": listing.anchor_total,
                "new_anchor_adjustment": listing.anchor_adjustment,
                "new_anchor_at": listing.anchor_at,
                "new_anchor_certain": listing.anchor_certain,
            }
            if listing.was_stocked:
                columns |= {"new_zero_since": None, "new_close_done": False}
            answered_ahead = any(row.answered for row in listing.candidates)
            total = listing.anchor_total
            if total is not None and unlimited_from is not None and total >= unlimited_from:
                columns |= {"new_stock_kind": StockKind.UNLIMITED, "new_total": None}
            elif total is not None and not answered_ahead:
                # An answer of ours that the feed has not shown yet is ahead of the feed: its total stands.
                columns |= {"new_stock_kind": StockKind.COUNTED, "new_total": total}
                if total >= 0:
                    not_negative.append(listing.row.listing_id)
            updates.append(columns)
        operations.update_listings(transaction, updates)
        now = self._clock.now()
        note_totals(transaction, [listing.row.listing_id for listing in listings], now)
        unknown = [listing.row.listing_id for listing in listings if listing.anchor_total is None]
        repository.ask_for_look(transaction, unknown, now)
        self._anomalies.resolve_in(
            transaction,
            [fingerprint(Kind.NEGATIVE_STOCK, listing_id=listing_id) for listing_id in not_negative],
            "the stock is not below zero any more",
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
        for listing_id, adjustments in waiting.items():
            rows = candidates.get(listing_id, [])
            left = [candidate_of(row) for row in rows]
            for adjustment in adjustments:
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


def _shows_closing(change: ListingChange, closing: Any) -> bool:
    """Whether this change is the closing whose answer we have not got. It may have been taken for absent: what undid it
    was seen before this feed told of either.
    """
    return _concerns(change, closing) and change.state is ListingState.CLOSED and change.author is not Author.OTHER


def _was_late(change: ListingChange, closing: Any) -> bool:
    """Whether this change is a closing of ours that had been taken for absent. It is ours all the same, so that the
    listing is opened again where there is stock.
    """
    return _shows_closing(change, closing) and change.author is Author.OURS and closing.state is OperationState.ABSENT


def _undoes_closing(change: ListingChange, closing: Any) -> bool:
    """Whether somebody opened what nobody else had closed, so that it was our closing, which this feed hides."""
    return _concerns(change, closing) and change.state is ListingState.PUBLISHED and change.author is Author.OTHER


def _concerns(change: ListingChange, closing: Any) -> bool:
    return (
        closing is not None
        and closing.state is not OperationState.APPLIED
        and change.at >= closing.prepared_at - CLOCKS_APART
    )


def _entry(change: StockChange) -> Entry:
    adjustment = change.adjustment
    return Entry(
        adjustment.adjustment_id,
        adjustment.quantity,
        adjustment.author,
        by_reservation=adjustment.reservation is not None,
        claimed=False,
        at=adjustment.at,
    )


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
