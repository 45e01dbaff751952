"""The running totals of listings: the feed's adjustments carry each one's anchor, and claim operations they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.clock import Clock
from connectors.contract import Author, Marketplace, StockChange, StockKind
from worker.alerts import Anomalies, Kind
from worker.alerts.anomalies import fingerprint
from worker.reconcile import adjustments
from worker.reconcile import repository as operations
from worker.reconcile.evidence import Candidate, Entry, first_fit, may_be_late
from worker.reconcile.logs import candidate_of
from worker.reconcile.settle import Settler
from worker.store import Transaction
from worker.store.totals import note_totals
from worker.upkeep import repository


@dataclass(slots=True)
class _Running:
    """A listing while a page is applied to it."""

    row: Any
    anchor_total: int | None
    anchor_adjustment: str | None
    anchor_at: datetime | None
    anchor_certain: bool
    candidates: list[Any]
    known_since: datetime | None
    """When a read began the zero episode, or made us close: of what was before that, the feed tells late."""
    was_stocked: bool = False
    """Whether stock came in and ran out again in the page: the zero episode has ended then, and another has begun."""

    def note_stretch(self, change: StockChange, total_after: int | None, fit: Candidate | None) -> None:
        """See whether a stretch of stock ends with this change, inside the zero episode that we know of.

        The feed also tells of stock before the episode, or before we closed: what had run out by then, and what we
        took ourselves, with an answer, when it began.
        """
        if total_after is None or not total_after - change.adjustment.quantity > 0 >= total_after:
            return
        answered = fit is not None and fit.answered
        self.was_stocked |= not answered and (self.known_since is None or change.adjustment.at > self.known_since)

    @property
    def tells_of_before(self) -> bool:
        """Whether the page leaves stock, but of a time of which a read has told more."""
        stocked = self.anchor_total is not None and self.anchor_total > 0
        known = self.known_since is not None and self.anchor_at is not None and self.anchor_at < self.known_since
        return stocked and known


class RunningTotals:
    """Carries totals over what a page of the feed tells."""

    def __init__(self, clock: Clock, marketplace: Marketplace, settler: Settler, anomalies: Anomalies) -> None:
        self._clock = clock
        self._marketplace = marketplace
        self._settler = settler
        self._anomalies = anomalies

    def take(self, transaction: Transaction, rows: dict[str, Any], changes: Sequence[StockChange]) -> None:
        if not changes:
            return
        known = adjustments.known_adjustments(transaction, [change.adjustment.adjustment_id for change in changes])
        candidates = operations.unclaimed(transaction, list(rows))
        closings = operations.last_closings(transaction, {name for name, row in rows.items() if row.close_done})
        running = {
            listing_id: _Running(
                row,
                row.anchor_total,
                row.anchor_adjustment,
                row.anchor_at,
                row.anchor_certain,
                candidates.get(listing_id, []),
                _known_since(row, closings.get(listing_id)),
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
                    adjustments.adjustment_values(
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
        adjustments.remember_adjustments(transaction, remembered)
        adjustments.learn_adjustments(transaction, learnt)
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
        behind: list[str] = []
        for listing in listings:
            columns: dict[str, Any] = {
                "row": listing.row.listing_id,
                "new_anchor_total": listing.anchor_total,
                "new_anchor_adjustment": listing.anchor_adjustment,
                "new_anchor_at": listing.anchor_at,
                "new_anchor_certain": listing.anchor_certain,
            }
            if listing.tells_of_before:
                # What it came to since is known better; a fresh read says how it stands.
                behind.append(listing.row.listing_id)
                updates.append(columns)
                continue
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
        repository.ask_for_look(transaction, [*unknown, *behind], now)
        self._anomalies.resolve_in(
            transaction,
            [fingerprint(Kind.NEGATIVE_STOCK, listing_id=listing_id) for listing_id in not_negative],
            "the stock is not below zero any more",
        )


def _known_since(row: Any, closing: Any) -> datetime | None:
    moments = (row.zero_since, None if closing is None else closing.prepared_at)
    return max((moment for moment in moments if moment is not None), default=None)


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
