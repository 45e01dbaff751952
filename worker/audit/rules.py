"""The arithmetic of a proof: what was there, what moved it, what is there now. Pure.

A proof goes on where the last one ended. Its *base* is a total that every adjustment up to a place in the marketplace's
log leads to; the next proof adds what the log shows behind that place and compares with the total read now. A place is
a moment and the adjustments since then that are in the total already: an order among equal times is not needed.

As long as a unit is without a cause the base stays where it is, so that the next look sees it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from connectors.contract import RemoteAdjustment
from worker.audit.causes import Cause
from worker.reconcile.logs import LOG_MARGIN
from worker.store.tables import ProofState

FIRST_LOOK_BACK = timedelta(hours=1)
"""How much further back than the first read of a listing its log is read: pages of a sweep lag behind."""
PATIENCE = timedelta(minutes=10)
"""How long a cause may be on its way: feeds lag behind logs, and answers are recorded after they came."""
MOST_KEPT = 50
"""Lines without a cause that a proof keeps by name."""


@dataclass(frozen=True, slots=True)
class Sum:
    """What one cause did."""

    adjustments: int = 0
    units: int = 0
    """Net: below zero were taken."""

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.adjustments + other.adjustments, self.units + other.units)


Sums = Mapping[Cause, Sum]


@dataclass(frozen=True, slots=True)
class Base:
    """Where the next proof begins."""

    total: int
    at: datetime
    """From when on the log is read."""
    proved_at: datetime
    """When it was proved; the first time, when the listing was first met."""
    seen: frozenset[str] = frozenset()
    """Adjustments at or after `at` that are in `total` already."""
    operation: int = 0
    """The last of our writes that is in `total`, where there is no log."""
    sums: Sums = field(default_factory=dict)
    """What led to `total`, since the opening."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One change of the number, with its cause."""

    at: datetime
    units: int
    cause: Cause
    adjustment: str | None = None
    """None: no adjustment of a log shows it."""
    operation: int | None = None
    """The write of ours that it is."""
    why: str = ""
    """Of one without a cause: what is known of it."""
    waits: bool = False
    """Its cause may be on its way."""
    is_own: bool = False
    """Of one without a cause: it was made with our credentials."""


def opened(
    entries: Sequence[RemoteAdjustment], total: int, *, since: datetime, met_at: datetime, met_total: int | None
) -> tuple[Base, datetime]:
    """Where a listing's account begins, and when: `entries` lead to `total`, in order; it was met at `met_at`.

    The total it was met with is a page of a sweep's, which lags: it stands at any place of the log that is not behind
    it. Where it fits nowhere, it is believed, and what it does not lead to is a unit without a cause. A listing that
    was met without a total opens with what the log leads to.
    """
    moves = [entry.quantity for entry in entries]
    before = list(accumulate(moves, initial=total - sum(moves)))
    likely = sum(entry.at <= met_at for entry in entries)
    latest = sum(entry.at <= met_at + LOG_MARGIN for entry in entries)
    place, opening = likely, before[likely]
    if met_total is not None:
        fitting = (position for position in range(latest + 1) if before[position] == met_total)
        place = min(fitting, key=lambda position: abs(position - likely), default=likely)
        opening = met_total
    behind = entries[place].at - timedelta(microseconds=1) if place < len(entries) else met_at
    seen = frozenset(entry.adjustment_id for entry in entries[:place])
    return Base(opening, since, met_at, seen), min(met_at, behind)


def since_base(base: Base, entries: Iterable[RemoteAdjustment]) -> list[RemoteAdjustment]:
    """Of the log, what `base.total` does not hold yet."""
    return [entry for entry in entries if entry.at >= base.at and entry.adjustment_id not in base.seen]


def reaching(
    base: Base, first: Sequence[RemoteAdjustment], again: Sequence[RemoteAdjustment], total: int
) -> Sequence[RemoteAdjustment]:
    """What had happened when `total` was read, between a reading of the log and one `again` after it: what the first
    showed and, where that does not lead there, as much of the rest as does. If nothing does, what the first showed.
    """
    known = {entry.adjustment_id for entry in first}
    moved = sum(entry.quantity for entry in first)
    taken = list(first)
    for entry in again:
        if base.total + moved == total:
            break
        if entry.adjustment_id not in known:
            taken.append(entry)
            moved += entry.quantity
    return taken if base.total + moved == total else first


def added(sums: Sums, movements: Iterable[Movement]) -> Sums:
    """The sums with these movements."""
    found = dict(sums)
    for movement in movements:
        found[movement.cause] = found.get(movement.cause, Sum()) + Sum(1, movement.units)
    return found


def state_of(movements: Sequence[Movement], questions: Sequence[str]) -> ProofState:
    """What a look comes to; `questions` are writes of ours that nobody has settled."""
    if any(entry.cause is Cause.UNEXPLAINED and not entry.waits for entry in movements):
        return ProofState.UNEXPLAINED
    if questions or any(entry.waits for entry in movements):
        return ProofState.WAITING
    return ProofState.IN_PART if any(entry.cause is Cause.UNTOLD for entry in movements) else ProofState.PROVED


def advanced(
    base: Base, held: Sequence[RemoteAdjustment], movements: Sequence[Movement], *, total: int, now: datetime
) -> Base:
    """The base of the next proof, when this one left nothing open; `held` is all of the log that is in `total`.

    Some of what was seen is read again, for what the log shows late.
    """
    at = max([base.at, *(entry.at - LOG_MARGIN for entry in held)])
    seen = frozenset(entry.adjustment_id for entry in held if entry.at >= at)
    return replace(base, total=total, at=at, proved_at=now, seen=seen, sums=added(base.sums, movements))


# --- as it is stored --------------------------------------------------------------------------------------------


def account(base: Base | None, sums: Sums, without_cause: Sequence[Movement]) -> dict[str, Any]:
    """What a proof keeps, as JSON."""
    return {
        "base": None
        if base is None
        else {
            "total": base.total,
            "at": base.at.isoformat(),
            "proved_at": base.proved_at.isoformat(),
            "seen": sorted(base.seen),
            "operation": base.operation,
            "sums": _written(base.sums),
        },
        "sums": _written(sums),
        "open": [
            {"adjustment": entry.adjustment, "at": entry.at.isoformat(), "units": entry.units, "why": entry.why}
            for entry in without_cause[:MOST_KEPT]
        ],
    }


def base_of(kept: Mapping[str, Any]) -> Base | None:
    """The base that `account` kept."""
    held = kept.get("base")
    if held is None:
        return None
    return Base(
        total=held["total"],
        at=datetime.fromisoformat(held["at"]),
        proved_at=datetime.fromisoformat(held["proved_at"]),
        seen=frozenset(held["seen"]),
        operation=held["operation"],
        sums=sums_of(held),
    )


def sums_of(kept: Mapping[str, Any]) -> Sums:
    """The sums that `account` kept."""
    return {Cause(cause): Sum(*numbers) for cause, numbers in kept["sums"].items()}


def open_of(kept: Mapping[str, Any]) -> Sequence[Movement]:
    """The lines without a cause that `account` kept."""
    return [
        Movement(
            datetime.fromisoformat(entry["at"]),
            entry["units"],
            Cause.UNEXPLAINED,
            entry["adjustment"],
            why=entry["why"],
        )
        for entry in kept["open"]
    ]


def _written(sums: Sums) -> dict[str, list[int]]:
    return {cause.value: [entry.adjustments, entry.units] for cause, entry in sums.items()}
