"""Whole orders become lines and pairs: the one upsert in which webhooks and polling meet.

Everything here is idempotent: the same snapshot taken in twice changes nothing, an older one is refused, and what a
newer whole order no longer shows is committed 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import Gone, Order
from worker.alerts import Anomalies, Finding
from worker.intake import repository
from worker.intake.findings import NO_SKU, item_changed, parked_order, unlinked, unlinked_fingerprint
from worker.intake.snapshots import (
    NEVER_SEEN,
    Held,
    Judgement,
    LinkVersion,
    digest,
    in_listing_units,
    judge,
    pairs_for,
)
from worker.intake.waivers import journal_waivers, waiver
from worker.store import Transaction
from worker.store.tables import OrderState, WaiveReason

log = structlog.get_logger(__name__)

LOOKS_AFTER = (timedelta(days=1), timedelta(days=7), timedelta(days=30))
"""When an order is looked at again by its id: a deletion may never have been told."""


def next_look(placed_at: datetime | None, looks: int) -> datetime | None:
    """When an order is looked at again, after so many looks; None when it has had them all."""
    return None if placed_at is None or looks >= len(LOOKS_AFTER) else placed_at + LOOKS_AFTER[looks]


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What became of a batch of snapshots."""

    taken: int
    kept: int
    to_fetch: Sequence[str]
    """Orders that only a fetch can decide; already noted for fetching."""
    due_listings: frozenset[str]
    conflicting: Sequence[str] = ()
    """Orders of which two contents came under one revision, against the channel's promise: parked, the first counts."""


@dataclass(slots=True)
class _Accepted:
    """A snapshot that is the newest we hold, with its row."""

    row: Any
    state: OrderState
    order: Order | None
    digest: str
    fetched_at: datetime | None
    correlation: str
    """Of what brought it."""
    reason: str | None = None


@dataclass(slots=True)
class _Changes:
    """What the accepted snapshots change, gathered to be written in few statements."""

    new_lines: list[dict[str, Any]] = field(default_factory=list)
    changed_lines: dict[int, int] = field(default_factory=dict)
    """Row of an order line -> its committed units now."""
    told_by: dict[int, str] = field(default_factory=dict)
    """Row of a changed order line -> the correlation id of what told."""
    unlinked_skus: dict[str | None, int] = field(default_factory=dict)
    """Of changed lines that no listing is known for, with the units of those that more is sold of now."""
    findings: list[Finding] = field(default_factory=list)
    unparked: list[str] = field(default_factory=list)
    """Fingerprints of the anomalies of orders that are parked no longer."""
    as_first: list[str] = field(default_factory=list)
    """Fingerprints of the anomalies that lines would have if their item were not the first (any more)."""

    def change(self, line: Any, committed: int, told_by: str) -> None:
        self.changed_lines[line.id] = committed
        self.told_by[line.id] = told_by
        if not line.linked:
            more = committed if committed > line.committed else 0
            self.unlinked_skus[line.sku] = self.unlinked_skus.get(line.sku, 0) + more


class Intake:
    """Takes snapshots of orders in."""

    def __init__(self, clock: Clock, anomalies: Anomalies, *, park_older_than: timedelta) -> None:
        self._clock = clock
        self._anomalies = anomalies
        self._park_older_than = park_older_than

    def take_in(
        self,
        transaction: Transaction,
        channel: str,
        snapshots: Sequence[Order | Gone],
        correlation: str | Mapping[str, str],
        *,
        looks: Collection[str] = (),
        put_off: timedelta | None = None,
    ) -> TakenIn:
        """Take whole orders (or tombstones) of one channel in, within the caller's transaction; `looks` names orders to
        be fetched.

        Locks the orders and then the listings concerned, each in the order of their ids; so one transaction calls this
        once, and locks no order or listing besides. Listings whose pairs changed
        are due when this returns; with `put_off`, because more of the channel is about to follow, when the caller ends
        it (`repository.end_putting_off`), at the latest after that time. `correlation` is the id of what brought the
        snapshots, or of what brought each, by order id: it goes on to the marketplace call.

        Raises OverflowError, naming no order, when units exceed 64 bits: the caller then takes the orders in one by
        one and parks that one.
        """
        now = self._clock.now()
        order_ids = {snapshot.order_id for snapshot in snapshots} | set(looks)
        if not order_ids:
            return TakenIn(0, 0, (), frozenset())
        repository.share_channel(transaction, channel)
        told_by = dict.fromkeys(order_ids, correlation) if isinstance(correlation, str) else correlation
        repository.ensure_orders(transaction, channel, told_by, NEVER_SEEN, now)
        rows = repository.lock_orders(transaction, channel, order_ids)
        accepted, kept, to_fetch, conflicting = self._choose(snapshots, rows, told_by)
        changes = _Changes()
        due = self._write_lines(transaction, channel, accepted, changes, now)
        self._write_orders(transaction, accepted)
        self._park_conflicting(transaction, channel, conflicting, rows, changes)
        repository.ask_for_fetch(transaction, channel, {*to_fetch, *looks}, now)
        for told in sorted(set(due.values())):
            listings = [listing_id for listing_id, by in due.items() if by == told]
            if put_off is None:
                repository.make_due(transaction, listings, now, told)
            else:
                repository.make_due(transaction, listings, now + put_off, told, put_off_by=channel)
        self._anomalies.open_in(transaction, changes.findings)
        self._anomalies.resolve_in(transaction, changes.unparked, "a readable snapshot of it was taken in")
        self._anomalies.resolve_in(transaction, changes.as_first, "the line names its first item again, or is gone")
        return TakenIn(len(accepted), kept, to_fetch, frozenset(due), tuple(conflicting))

    def foresee(self, transaction: Transaction, channel: str, snapshots: Sequence[Order | Gone]) -> TakenIn:
        """What `take_in` would do with these, but for the listings that would be due. The caller rolls back."""
        told_by = dict.fromkeys((snapshot.order_id for snapshot in snapshots), "")
        repository.ensure_orders(transaction, channel, told_by, NEVER_SEEN, self._clock.now())
        rows = repository.lock_orders(transaction, channel, told_by)
        accepted, kept, to_fetch, conflicting = self._choose(snapshots, rows, told_by)
        return TakenIn(len(accepted), kept, to_fetch, frozenset(), tuple(conflicting))

    def _choose(
        self, snapshots: Sequence[Order | Gone], rows: dict[str, Any], told_by: Mapping[str, str]
    ) -> tuple[list[_Accepted], int, list[str], dict[str, int]]:
        """What is taken, how many are not, which orders must be fetched, and which conflict in what revision."""
        held = {order_id: Held(row.state, row.revision, row.fetched_at, row.digest) for order_id, row in rows.items()}
        accepted: dict[str, _Accepted] = {}
        to_fetch: dict[str, None] = {}
        conflicting: dict[str, int] = {}
        kept = 0
        for snapshot in snapshots:
            order_id = snapshot.order_id
            content = "" if isinstance(snapshot, Gone) else digest(snapshot)
            judgement = judge(held[order_id], snapshot, content)
            if judgement is Judgement.KEEP:
                kept += 1
            elif judgement is Judgement.FETCH:
                to_fetch[order_id] = None
            elif judgement is Judgement.CONFLICT:
                conflicting[order_id] = held[order_id].revision
            else:
                conflicting.pop(order_id, None)
                choice = self._accept(rows[order_id], snapshot, content, told_by[order_id])
                accepted[order_id] = choice
                revision = held[order_id].revision if choice.order is None else choice.order.revision
                held[order_id] = Held(choice.state, revision, snapshot.fetched_at, content)
        return list(accepted.values()), kept, list(to_fetch), conflicting

    def _accept(self, row: Any, snapshot: Order | Gone, content: str, told: str) -> _Accepted:
        at = snapshot.fetched_at
        if isinstance(snapshot, Gone):
            return _Accepted(row, OrderState.GONE, None, content, at, told, "the channel says that it does not exist")
        if snapshot.excluded is not None:
            return _Accepted(row, OrderState.EXCLUDED, snapshot, content, at, told, snapshot.excluded)
        unseen = row.state in (OrderState.UNSEEN, OrderState.PARKED) and row.accepted_by is None
        if unseen and row.first_seen_at - snapshot.placed_at > self._park_older_than:
            reason = (
                f"first seen {row.first_seen_at:%Y-%m-%d}, long after it was placed on {snapshot.placed_at:%Y-%m-%d}"
            )
            return _Accepted(row, OrderState.PARKED, snapshot, content, at, told, reason)
        return _Accepted(row, OrderState.OPEN, snapshot, content, at, told)

    def _write_orders(self, transaction: Transaction, accepted: Sequence[_Accepted]) -> None:
        values = []
        for choice in accepted:
            placed_at = None if choice.order is None else choice.order.placed_at
            values.append(
                {
                    "row": choice.row.id,
                    "new_state": choice.state,
                    "new_revision": choice.row.revision if choice.order is None else choice.order.revision,
                    "new_fetched_at": choice.fetched_at,
                    "new_digest": choice.digest,
                    "new_placed_at": placed_at,
                    "new_reason": choice.reason,
                    "new_look_at": next_look(placed_at, choice.row.looks) if choice.state is OrderState.OPEN else None,
                    "new_correlation_id": choice.correlation,
                }
            )
        repository.write_snapshots(transaction, values)

    def _park_conflicting(
        self,
        transaction: Transaction,
        channel: str,
        conflicting: Mapping[str, int],
        rows: dict[str, Any],
        changes: _Changes,
    ) -> None:
        """Which of two contents is right, only a higher revision tells; what was booked for the first stays."""
        for order_id, revision in conflicting.items():
            reason = f"revision {revision} came with two contents, and the first counts until a higher one comes"
            repository.park_order(transaction, rows[order_id].id, reason)
            finding = parked_order(channel, order_id, reason)
            changes.findings.append(finding)
            if finding.fingerprint in changes.unparked:
                changes.unparked.remove(finding.fingerprint)

    def _write_lines(
        self, transaction: Transaction, channel: str, accepted: Sequence[_Accepted], changes: _Changes, now: datetime
    ) -> dict[str, str]:
        """Write lines and pairs; returns the listings that became due, each with the correlation id of what told."""
        held_lines: dict[int, dict[str, Any]] = defaultdict(dict)
        for held in repository.lines_of(transaction, [choice.row.id for choice in accepted]):
            held_lines[held.order_row][held.line_id] = held
        for choice in accepted:
            self._compare_lines(channel, choice, held_lines[choice.row.id], changes)
        concerned = repository.pairs_of(transaction, changes.changed_lines)
        skus = {line["sku"] for line in changes.new_lines if line["sku"] is not None}
        versions: dict[str, list[LinkVersion]] = defaultdict(list)
        for link in repository.link_versions(transaction, channel, skus):
            versions[link.sku].append(LinkVersion(link.listing_id, link.units, link.from_at, link.until_at))
        for line in changes.new_lines:
            line["pairs"] = pairs_for(line["placed_at"], versions[line["sku"]]) if line["sku"] in versions else ()
            line["linked"] = bool(line["pairs"])

        touched = {pair.listing_id for pair in concerned}
        touched.update(pair.listing_id for line in changes.new_lines for pair in line["pairs"])
        repository.lock_listings(transaction, touched)
        # Units may have been waived before we had the lock.
        changed_pairs = repository.pairs_of(transaction, changes.changed_lines)
        due = self._change_pairs(transaction, changed_pairs, changes, now)
        due |= self._insert_lines(transaction, channel, changes.new_lines, now)
        self._note_unlinked(channel, changes)
        self._forget_unlinked(transaction, channel, changes.unlinked_skus)
        return due

    def _compare_lines(self, channel: str, choice: _Accepted, held: dict[str, Any], changes: _Changes) -> None:
        counts = choice.order is not None and choice.state is OrderState.OPEN
        lines = choice.order.lines if choice.order is not None and counts else ()
        missing = dict(held)
        for line in lines:
            known = missing.pop(line.line_id, None)
            if known is None:
                changes.new_lines.append(
                    {
                        "order_row": choice.row.id,
                        "channel": channel,
                        "line_id": line.line_id,
                        "item_key": line.item_key,
                        "sku": line.sku,
                        "committed": line.committed,
                        "first_committed": line.committed,
                        "placed_at": choice.order.placed_at if choice.order else None,
                        "told_by": choice.correlation,
                    }
                )
                continue
            if known.committed != line.committed:
                changes.change(known, line.committed, choice.correlation)
            another = item_changed(channel, choice.row.order_id, known, line.item_key)
            if line.item_key and known.item_key != line.item_key:
                changes.findings.append(another)
            else:
                changes.as_first.append(another.fingerprint)
        for known in missing.values():
            changes.as_first.append(item_changed(channel, choice.row.order_id, known, "").fingerprint)
            if known.committed != 0:
                changes.change(known, 0, choice.correlation)
        if choice.row.state is OrderState.PARKED and choice.state is not OrderState.PARKED:
            changes.unparked.append(parked_order(channel, choice.row.order_id, "").fingerprint)
        if choice.state is OrderState.PARKED:
            changes.findings.append(parked_order(channel, choice.row.order_id, choice.reason or ""))

    def _change_pairs(
        self, transaction: Transaction, pairs: Sequence[Any], changes: _Changes, now: datetime
    ) -> dict[str, str]:
        committed_now = changes.changed_lines
        repository.set_committed(
            transaction, [{"row": row, "units": committed} for row, committed in committed_now.items()]
        )
        changed, journal = [], []
        for pair in pairs:
            committed = in_listing_units(committed_now[pair.line_row], pair.units)
            waived = min(pair.waived, committed)
            changed.append({"row": pair.id, "new_committed": committed, "new_waived": waived})
            if waived != pair.waived:
                journal.append(waiver(pair.listing_id, pair.id, waived - pair.waived, WaiveReason.LOWERED, now))
        repository.set_pairs(transaction, changed)
        repository.write_journal(transaction, journal)
        return {pair.listing_id: changes.told_by[pair.line_row] for pair in pairs}

    def _insert_lines(
        self, transaction: Transaction, channel: str, lines: Sequence[dict[str, Any]], now: datetime
    ) -> dict[str, str]:
        if not lines:
            return {}
        wanted = {(line["order_row"], line["line_id"]): line for line in lines}
        repository.insert_lines(
            transaction,
            [{name: value for name, value in line.items() if name not in {"pairs", "told_by"}} for line in lines],
        )
        pairs: list[dict[str, Any]] = []
        due: dict[str, str] = {}
        for row in repository.lines_of(transaction, {line["order_row"] for line in lines}):
            line = wanted.get((row.order_row, row.line_id))
            if line is None:
                continue
            for pair in line["pairs"]:
                committed = in_listing_units(row.committed, pair.units)
                if committed and not pair.before_start:
                    due[pair.listing_id] = line["told_by"]
                pairs.append(
                    {
                        "line_row": row.id,
                        "listing_id": pair.listing_id,
                        "channel": channel,
                        "units": pair.units,
                        "committed": committed,
                        "applied": 0,
                        "waived": committed if pair.before_start else 0,
                        "placed_at": row.placed_at,
                    }
                )
        repository.insert_pairs(transaction, pairs)
        journal_waivers(transaction, [pair for pair in pairs if pair["waived"]], WaiveReason.BEFORE_START, now)
        return due

    def _note_unlinked(self, channel: str, changes: _Changes) -> None:
        units: dict[str, int] = defaultdict(int)
        for line in changes.new_lines:
            if not line["linked"] and line["committed"]:
                units[line["sku"] or NO_SKU] += line["committed"]
        for sku, waiting in changes.unlinked_skus.items():
            if waiting:
                units[sku or NO_SKU] += waiting
        changes.findings += [unlinked(channel, sku, waiting) for sku, waiting in sorted(units.items())]

    def _forget_unlinked(self, transaction: Transaction, channel: str, skus: Collection[str | None]) -> None:
        """SKUs of which nothing waits any more, because it was cancelled."""
        waiting = repository.unlinked_skus(transaction, channel, skus)
        done = [unlinked_fingerprint(channel, sku or NO_SKU) for sku in skus if not waiting.get(sku)]
        self._anomalies.resolve_in(transaction, done, "none of it is sold any more")
