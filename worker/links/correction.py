"""A correction rewrites the past of one SKU: what was counted for one listing is counted for another instead.

It is the one thing that does; importing links only ever changes what is to come. Pairs are never deleted: the pair on
the former listing is committed 0, so that its units become due to be given back; the pair on the other is made or set.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from connectors.clock import Clock
from worker.alerts import Anomalies
from worker.intake import repository as intake
from worker.intake.snapshots import in_listing_units
from worker.intake.waivers import waiver
from worker.links import repository
from worker.links.doubles import judge_doubles
from worker.links.service import listing_problem
from worker.links.versions import Shift, shifted
from worker.store import Store, Transaction
from worker.store.tables import WaiveReason

log = structlog.get_logger(__name__)


class CorrectionRefusedError(Exception):
    """The correction cannot be made; nothing was changed. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What to rewrite."""

    channel: str
    sku: str
    from_listing: str
    to_listing: str
    """May be `from_listing`, to correct its units."""
    units: int | None = None
    """Listing units per sold unit; None keeps what the lines have."""
    placed_since: datetime | None = None
    """Only lines placed at or after this; None: all."""


@dataclass(frozen=True, slots=True)
class CorrectedLine:
    """One order line before and after. All units are the listings'."""

    order_id: str
    line_id: str
    placed_at: datetime
    given_back: int
    """Units that had been taken from the former listing and become due to be given back there."""
    no_longer_owed: int
    """Units that had been waiting to be taken from the former listing."""
    taken: int
    """Units that become due to be taken from the other listing; below zero, to be given back there."""
    waived: int
    """Units of it that are not taken, because the line was placed before the link's start."""


@dataclass(frozen=True, slots=True)
class CorrectionPlan:
    """What a correction does."""

    correction: Correction
    lines: Sequence[CorrectedLine]
    links_ended: int
    links_begun: int

    @property
    def units_given_back(self) -> int:
        return sum(line.given_back for line in self.lines)

    @property
    def units_taken(self) -> int:
        return sum(line.taken for line in self.lines)


@dataclass(frozen=True, slots=True)
class _Work:
    """A plan, with what to write for it."""

    plan: CorrectionPlan
    shift: Shift
    changed: Sequence[dict[str, int]]
    created: Sequence[dict[str, Any]]
    journal: Sequence[dict[str, Any]]


class Corrections:
    """Plans corrections, and makes them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._anomalies = Anomalies(store, clock)

    def plan(self, correction: Correction) -> CorrectionPlan:
        """What the correction would do, as things are. Changes nothing. Raises `CorrectionRefusedError`."""
        with self._store.read() as transaction:
            return self._work(transaction, correction, by="", lock=False).plan

    def make(self, correction: Correction, *, by: str) -> CorrectionPlan:
        """Make the correction in one transaction, as things are then; returns what was done.

        Both listings are due when this returns. Made again, it finds nothing to do. Locks the channel, then the
        listings. Raises `CorrectionRefusedError`.
        """
        with self._store.write() as transaction:
            work = self._work(transaction, correction, by=by, lock=True)
            now = self._clock.now()
            listing_ids = [correction.from_listing, correction.to_listing]
            repository.forget(transaction, work.shift.removed)
            repository.end(transaction, work.shift.shortened)
            repository.begin(transaction, work.shift.inserted, now)
            repository.set_corrected(transaction, work.changed)
            intake.insert_pairs(transaction, work.created)
            intake.write_journal(transaction, [*work.journal, *self._journal_created(transaction, work, by, now)])
            intake.make_due(transaction, listing_ids, now, f"correction-{uuid.uuid4().hex[:16]}")
            judge_doubles(transaction, self._anomalies, correction.channel)
        log.warning(
            "links_corrected",
            channel=correction.channel,
            sku=correction.sku,
            from_listing=correction.from_listing,
            to_listing=correction.to_listing,
            lines=len(work.plan.lines),
            by=by,
        )
        return work.plan

    def _work(self, transaction: Transaction, correction: Correction, *, by: str, lock: bool) -> _Work:
        if lock:
            repository.lock_channels(transaction, [correction.channel])
            intake.lock_listings(transaction, [correction.from_listing, correction.to_listing])
        self._refuse_impossible(transaction, correction)
        versions = repository.versions(transaction, correction.channel, [correction.sku])
        shift = shifted(
            versions,
            correction.from_listing,
            correction.to_listing,
            units=correction.units,
            since=correction.placed_since,
        )
        rows = repository.corrected_lines(
            transaction,
            correction.channel,
            correction.sku,
            correction.from_listing,
            correction.to_listing,
            correction.placed_since,
        )
        if not rows and not shift.removed and not shift.shortened:
            message = (
                f"SKU {correction.sku!r} of channel {correction.channel} has neither a link to listing"
                f" {correction.from_listing} nor order lines counted for it in that time. See `trueup links export`."
            )
            raise CorrectionRefusedError(message)
        before_start = repository.before_start_units(transaction, [row.source_id for row in rows])
        note = _note(correction, by)
        now = self._clock.now()
        lines, changed, created, journal = [], [], [], []
        for row in rows:
            line, target, source = _corrected(correction, row, before_start.get(row.source_id, 0))
            lines.append(line)
            for change in (source, target):
                if change is not None and change["row"] is not None:
                    changed.append({name: value for name, value in change.items() if name != "was_waived"})
                    listing = correction.from_listing if change is source else correction.to_listing
                    moved = change["new_waived"] - change["was_waived"]
                    journal.append(_entry(listing, change["row"], moved, now, note))
            if target["row"] is None:
                created.append(
                    {
                        "line_row": row.id,
                        "listing_id": correction.to_listing,
                        "channel": correction.channel,
                        "units": target["new_units"],
                        "committed": target["new_committed"],
                        "applied": 0,
                        "waived": target["new_waived"],
                        "placed_at": row.placed_at,
                    }
                )
        ended = len(shift.removed) + len(shift.shortened)
        plan = CorrectionPlan(correction, lines, links_ended=ended, links_begun=len(shift.inserted))
        return _Work(plan, shift, changed, created, journal)

    def _refuse_impossible(self, transaction: Transaction, correction: Correction) -> None:
        channel = intake.channel(transaction, correction.channel)
        if channel is None:
            names = ", ".join(repository.channel_names(transaction)) or "none"
            message = f"There is no channel {correction.channel!r}. Known are: {names}."
            raise CorrectionRefusedError(message)
        listing = repository.listings(transaction, [correction.to_listing]).get(correction.to_listing)
        problem = listing_problem(correction.to_listing, listing, channel.seller_id)
        if problem is not None:
            what, remedy = problem
            message = f"Nothing can be counted for that listing: {what}. {remedy}."
            raise CorrectionRefusedError(message)
        if correction.from_listing == correction.to_listing and correction.units is None:
            message = "Both listings are the same: name another, or the right number of units with --units."
            raise CorrectionRefusedError(message)

    def _journal_created(
        self, transaction: Transaction, work: _Work, by: str, now: datetime
    ) -> Sequence[dict[str, Any]]:
        ids = repository.pair_ids(transaction, [pair["line_row"] for pair in work.created])
        note = _note(work.plan.correction, by)
        return [
            _entry(pair["listing_id"], ids[pair["line_row"], pair["listing_id"]], pair["waived"], now, note)
            for pair in work.created
        ]


def _corrected(
    correction: Correction, row: Any, before_start: int
) -> tuple[CorrectedLine, dict[str, Any], dict[str, Any] | None]:
    """The line, what its pair on the target becomes, and what its pair on the source becomes (None: they are one)."""
    one_pair = correction.from_listing == correction.to_listing
    counts_already = (
        row.target_id is not None
        and row.target_units > 0
        and not (row.target_applied == 0 and row.target_waived == row.target_committed)
    )
    if counts_already and correction.units is None and not one_pair:
        message = (
            f"Order {row.order_id} counts for listing {correction.to_listing} already ({row.target_units} units per"
            " sold one): say with --units how many it shall be in all."
        )
        raise CorrectionRefusedError(message)
    units = correction.units or row.source_units
    try:
        committed = in_listing_units(row.committed, units)
    except OverflowError as error:
        message = f"Order {row.order_id}, SKU {correction.sku!r}: {error}. Correct --units."
        raise CorrectionRefusedError(message) from error
    # What was not ours to take because of when it was sold is not ours to take from another listing either.
    waived = min(committed, min(before_start, max(row.source_waived, 0)) // row.source_units * units)
    applied = row.source_applied if one_pair else row.target_applied or 0
    line = CorrectedLine(
        order_id=row.order_id,
        line_id=row.line_id,
        placed_at=row.placed_at,
        given_back=0 if one_pair else row.source_applied,
        no_longer_owed=max(0, row.source_committed - row.source_waived - row.source_applied),
        taken=committed - waived - applied,
        waived=waived,
    )
    target = {
        "row": row.target_id,
        "new_units": units,
        "new_committed": committed,
        "new_waived": waived,
        "was_waived": row.target_waived or 0,
    }
    if one_pair:
        return line, target, None
    source = {
        "row": row.source_id,
        # No units per sold one: a later change of the order, which multiplies by them, leaves this pair at 0.
        "new_units": 0,
        "new_committed": 0,
        "new_waived": min(row.source_waived, 0),
        "was_waived": row.source_waived,
    }
    return line, target, source


def _note(correction: Correction, by: str) -> str:
    return f"corrected by {by}: SKU {correction.sku} from listing {correction.from_listing} to {correction.to_listing}"


def _entry(listing_id: str, pair_id: int, waived: int, now: datetime, note: str) -> dict[str, Any]:
    """Every corrected pair has an entry, also where no unit of `waived` moved: it says why its numbers changed."""
    reason = WaiveReason.LOWERED if waived < 0 else WaiveReason.BEFORE_START
    return {**waiver(listing_id, pair_id, waived, reason, now), "note": note}
