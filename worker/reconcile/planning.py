"""Planning a batch of listings inside one transaction: what is sent, what is only written down.

Everything that planning wants to write is gathered in a `Record`, so that a batch costs a handful of statements however
many listings it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.clock import Clock
from connectors.contract import Listing, ListingState, StockKind
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.holds import ActiveHolds
from worker.reconcile import findings, repository
from worker.reconcile.plan import DuePair, Plan, plan
from worker.reconcile.repository import Intent
from worker.reconcile.settle import PATIENT_LOOKS, as_read
from worker.store import Transaction
from worker.store.tables import JournalKind, OperationKind, WaiveReason
from worker.store.totals import note_totals

HELD_AGAIN_AFTER = timedelta(seconds=60)
SHORT_AGAIN_AFTER = timedelta(minutes=15)
"""A shortage is looked at again when the feed shows new stock; this is for marketplaces without one."""

FAR_AWAY = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Item:
    """One leased listing on its way through a pass."""

    listing_id: str
    look: bool = False
    """Read its log first."""
    unsettled: bool = False
    """An operation of it has an unknown outcome."""
    read: bool = False
    """Read it first."""
    fresh: Listing | None = None
    """The read of this round; facts older than a round are not fresh."""
    gone: bool = False
    intent: Intent | None = None
    plan: Plan | None = None
    operation_id: int | None = None
    again_at: datetime | None = None
    done: bool = False
    attempts: int = 0
    unanswered: bool = False
    """A call about this listing got no answer."""
    correlation_id: str = ""
    lease_until: datetime = FAR_AWAY
    """Nothing is sent after this moment."""


@dataclass(slots=True)
class Record:
    """What one transaction of a round writes, gathered."""

    listings: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    moves: list[dict[str, int]] = field(default_factory=list)
    waives: list[dict[str, int]] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    complete: list[str] = field(default_factory=list)
    """Listings with nothing pending any more."""
    short: list[str] = field(default_factory=list)
    """Listings that lack units for sales, and owe nothing else."""
    known: list[str] = field(default_factory=list)
    """Listings with an operation whose outcome had been unknown until now."""

    def listing(self, listing_id: str, **columns: Any) -> None:
        row = self.listings.setdefault(listing_id, {"row": listing_id})
        row.update({f"new_{name}": value for name, value in columns.items()})


class Planner:
    """Plans items from the rows as they are now."""

    def __init__(self, clock: Clock, anomalies: Anomalies) -> None:
        self._clock = clock
        self._anomalies = anomalies

    def plan_item(self, item: Item, row: Any, due: Sequence[Any], holds: ActiveHolds, record: Record) -> None:
        """Decide what to do about one listing: its intent, or that it is done, or that it must be read first."""
        now = self._clock.now()
        if item.fresh is not None:
            # Whether the log explains the total is for a look to say, not for a read.
            fresh_columns = as_read(item.fresh, doubted=row.doubted)
            record.listings.setdefault(item.listing_id, {"row": item.listing_id}).update(fresh_columns)
            if row.anchor_total is None and item.fresh.stock.kind is StockKind.COUNTED:
                record.listing(item.listing_id, anchor_total=item.fresh.stock.total, anchor_at=now)
        if holds.on_listing(item.listing_id) is not None:
            item.done, item.again_at = True, now + HELD_AGAIN_AFTER
            return
        if not due:
            # What may still be pending belongs to held channels; one in doubt is looked at until its log explains it.
            patient = row.doubted and row.attempts > PATIENT_LOOKS
            item.done, item.again_at = True, now + (SHORT_AGAIN_AFTER if patient else HELD_AGAIN_AFTER)
            record.complete.append(item.listing_id)
            return
        if item.gone or (item.fresh is None and row.state is ListingState.DELETED):
            self._plan_gone(item, due, record)
            return
        if item.fresh is not None and item.fresh.stock.kind is not StockKind.COUNTED:
            reason = WaiveReason(item.fresh.stock.kind.value)
            self._waive(item, due, reason, record)
            item.done = True
            record.complete.append(item.listing_id)
            return
        if item.fresh is None and (row.total is None or row.stock_kind is not StockKind.COUNTED):
            # Somebody read it as uncounted since it was leased: read it in the next round.
            item.read = True
            return
        self._plan_counted(item, row, due, record)

    def _plan_counted(self, item: Item, row: Any, due: Sequence[Any], record: Record) -> None:
        total = row.total if item.fresh is None else item.fresh.stock.total
        pairs = [DuePair(pair.id, pair.committed - pair.waived - pair.applied, pair.placed_at) for pair in due]
        planned = plan(total, pairs)
        if item.fresh is None and not planned.is_complete:
            # A shortage must not be concluded from a cached total: read in the next round.
            item.read = True
            return
        item.plan = planned
        if planned.delta == 0:
            self._move_without_call(item, planned, record)
            self.conclude(item, planned, record)
            return
        item.intent = Intent(
            listing_id=item.listing_id,
            kind=OperationKind.STOCK,
            expected_total=planned.seen,
            new_total=planned.seen + planned.delta,
            correlation_id=item.correlation_id,
            moves=[(move.pair_id, move.units) for move in planned.moves],
        )

    def _move_without_call(self, item: Item, planned: Plan, record: Record) -> None:
        """Sales and returns that cancel out need no call; each is journalled all the same."""
        now = self._clock.now()
        for move in planned.moves:
            record.moves.append({"row": move.pair_id, "moved": move.units})
            record.journal.append(_entry(item.listing_id, move.pair_id, JournalKind.OFFSET, move.units, now))

    def conclude(self, item: Item, planned: Plan, record: Record) -> None:
        """Nothing more to send for this item now: it is complete, or short."""
        item.done = True
        if planned.is_complete:
            record.complete.append(item.listing_id)
            return
        item.again_at = self._clock.now() + SHORT_AGAIN_AFTER
        total = planned.seen + planned.delta
        if not planned.waiting_units:
            record.short.append(item.listing_id)
        if planned.short_units:
            record.findings.append(findings.oversold(item.listing_id, planned.short_units, total))
        if planned.waiting_units:
            record.findings.append(findings.return_waiting(item.listing_id, planned.waiting_units, total))

    def _plan_gone(self, item: Item, due: Sequence[Any], record: Record) -> None:
        """The listing was deleted: returns owed to it are written off, sales wait for a person."""
        item.done = True
        record.listing(item.listing_id, state=ListingState.DELETED)
        returns = [pair for pair in due if pair.committed - pair.waived < pair.applied]
        sales = sum(pair.committed - pair.waived - pair.applied for pair in due if pair not in returns)
        self._waive(item, returns, WaiveReason.DELETED, record)
        if sales:
            item.again_at = self._clock.now() + SHORT_AGAIN_AFTER
            record.findings.append(findings.listing_gone(item.listing_id, sales))
        else:
            record.complete.append(item.listing_id)

    def _waive(self, item: Item, due: Sequence[Any], reason: WaiveReason, record: Record) -> None:
        """Units that are not ours to take (or to give back) here."""
        now = self._clock.now()
        for pair in due:
            units = pair.committed - pair.waived - pair.applied
            record.waives.append({"row": pair.id, "moved": units})
            record.journal.append(_entry(item.listing_id, pair.id, JournalKind.WAIVED, units, now, waive_reason=reason))

    def write(self, transaction: Transaction, record: Record) -> None:
        """Write down what was gathered."""
        repository.move_units(transaction, "applied", record.moves)
        repository.move_units(transaction, "waived", record.waives)
        repository.write_journal(transaction, record.journal)
        repository.update_listings(transaction, list(record.listings.values()))
        note_totals(transaction, list(record.listings), self._clock.now())
        self._anomalies.open_in(transaction, record.findings)
        for listing_ids, kinds, why in (
            (record.complete, findings.RESOLVED_WHEN_COMPLETE, "nothing is pending on this listing any more"),
            (record.short, findings.RESOLVED_WHEN_SHORT, "only sales that the stock does not cover are pending"),
            (record.known, (Kind.OUTCOME_UNKNOWN,), "its sender has told the outcome"),
        ):
            self._anomalies.resolve_in(
                transaction,
                [fingerprint(kind, listing_id=listing_id) for listing_id in listing_ids for kind in kinds],
                why,
            )


def _entry(
    listing_id: str,
    pair_id: int,
    kind: JournalKind,
    units: int,
    now: datetime,
    *,
    waive_reason: WaiveReason | None = None,
) -> dict[str, Any]:
    return {
        "at": now,
        "listing_id": listing_id,
        "pair_id": pair_id,
        "kind": kind,
        "units": units,
        "operation_id": None,
        "reason": waive_reason,
        "note": None,
    }
