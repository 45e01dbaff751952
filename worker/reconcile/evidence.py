"""What a listing's adjustment log proves about operations whose answer was lost. Pure.

The log is walked with its *running totals*: an own adjustment claims the operation whose expected and new totals are
exactly the totals right before and after it, never by size alone, because totals return to former values (an abandoned
checkout does it within minutes). Answered operations claim first, in order: they certainly have an adjustment each.
Where a write adds or takes whatever the total is (a relative guard), its totals are nobody's to know, and its size and
time tell instead: which of two equal writes an entry is makes no difference to any sum.

Evidence is *closed* when the last total known for certain plus every adjustment since equals the total read now: then
no adjustment is missing, and an operation without one was not executed. Not yet: a request may still be executed late,
which is why the caller waits `settle_after` before it believes an absence, and why an absence can be revoked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import accumulate

from connectors.contract import Author


@dataclass(frozen=True, slots=True)
class Entry:
    """One adjustment of the log, in the marketplace's order."""

    adjustment_id: str
    quantity: int
    author: Author | None
    by_reservation: bool
    claimed: bool
    at: datetime

    @property
    def may_be_ours(self) -> bool:
        """Not yet claimed, not caused by a marketplace transaction, and nobody said that it is another's."""
        return not self.claimed and not self.by_reservation and self.author is not Author.OTHER


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operation that no adjustment is claimed for yet."""

    operation_id: int
    expected_total: int
    new_total: int
    answered: bool
    waiting: bool = False
    """Its sender still waits for the answer."""
    absent: bool = False
    """The log was complete without it, once; it may have been executed late."""
    decided: bool = False
    """A person has settled it, knowing the marketplace's history."""
    made_before: datetime | None = None
    """Of one that was answered: its adjustment was there by then, give or take the clocks."""
    executed_within: tuple[datetime, datetime] | None = None
    """Of a write under a relative guard: when its adjustment can have been made. None where the totals tell."""

    def rank(self, entry: Entry) -> tuple[bool, bool, bool, int]:
        """Who claims `entry` first. An answered operation certainly has an adjustment, but not one made after its
        answer: that may be a later one's, when nobody said at the time whose the earlier was. An absent one comes last:
        should a later one with the same totals get its answer late after all, it must not find its adjustment claimed.
        """
        after_its_answer = self.made_before is not None and entry.at > self.made_before
        return (after_its_answer, not self.answered, self.absent, self.operation_id)

    def fits(self, entry: Entry, before: int, after: int) -> bool:
        """Whether `entry`, which led from `before` to `after`, can be this operation's."""
        if self.executed_within is not None:
            earliest, latest = self.executed_within
            return entry.quantity == self.new_total - self.expected_total and earliest <= entry.at <= latest
        return self.expected_total == before and self.new_total == after


class Verdict(StrEnum):
    """How far a log can be trusted."""

    CLOSED = "closed"
    """Every adjustment is accounted for; what has no adjustment was not executed."""
    OPEN = "open"
    """The log and the total do not meet yet: look again."""
    UNATTRIBUTED = "unattributed"
    """They meet, but an adjustment that could be ours has no author yet."""


@dataclass(frozen=True, slots=True)
class Match:
    """This adjustment is that operation's."""

    adjustment_id: str
    operation_id: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the log says."""

    verdict: Verdict
    matches: Sequence[Match]
    orphans: Sequence[str]
    """Own adjustments that fit no operation, while the evidence is closed."""
    without_trace: Sequence[int]
    """Operations without an answer for which this closed evidence shows no adjustment."""
    totals_after: dict[str, int]
    """The running total right after each entry; empty while the evidence is open."""
    doubtful: Sequence[int] = ()
    """Operations taken for absent that an entry without an author fits: it may be theirs, executed late."""


def first_fit(candidates: Sequence[Candidate], entry: Entry, before: int, after: int) -> Candidate | None:
    """The operation that `entry`, from `before` to `after`, is claimed for, by rank.

    An entry without an author can only be an answered operation's: that one certainly happened, and it fits. It proves
    nothing for an operation whose answer was lost. Nor does any entry while the answer of another operation it fits
    is still to come: a write that repeats an absent one is like it, and may be seen in the feed before its answer.
    """
    if entry.claimed or entry.by_reservation or entry.author is Author.OTHER:
        return None
    fitting = [
        candidate
        for candidate in candidates
        if candidate.fits(entry, before, after) and (candidate.answered or entry.author is Author.OURS)
    ]
    first = min(fitting, key=lambda candidate: candidate.rank(entry), default=None)
    if first is not None and not first.answered and any(candidate.waiting for candidate in fitting):
        return None
    return first


def may_be_late(candidates: Sequence[Candidate], entry: Entry, before: int, after: int) -> Candidate | None:
    """The operation taken for absent that `entry`, from `before` to `after`, may be after all: nobody says whose it is.

    Such an entry proves nothing, but an absence it contradicts; only who knows more can tell. Once a person has said
    that the operation was not executed, that stands.
    """
    if not entry.may_be_ours:
        return None
    fitting = (each for each in candidates if each.absent and not each.decided and each.fits(entry, before, after))
    return min(fitting, key=lambda candidate: candidate.rank(entry), default=None)


def contradicted(
    candidates: Sequence[Candidate], entries: Sequence[Entry], totals_after: Mapping[str, int]
) -> Sequence[int]:
    """Operations taken for absent that an entry without an author fits, by running totals known from before. For a
    listing that has no number now, so that no evidence about it can be closed.
    """
    left = list(candidates)
    doubtful: list[int] = []
    total: int | None = None
    for entry in entries:
        total = totals_after.get(entry.adjustment_id, None if total is None else total + entry.quantity)
        if total is None:
            continue
        before = total - entry.quantity
        fit = first_fit(left, entry, before, total)
        late = may_be_late(left, entry, before, total) if fit is None else None
        if late is not None:
            doubtful.append(late.operation_id)
        left = [each for each in left if each not in (fit, late)]
    return doubtful


def examine(
    anchor_total: int,
    anchor_positions: Sequence[int],
    entries: Sequence[Entry],
    candidates: Sequence[Candidate],
    total_now: int,
) -> Evidence:
    """Judge the log of one listing.

    `anchor_total` was the total right before `entries[position:]`, for one position of `anchor_positions`: one when the
    anchor is an adjustment of this log, several when it is a read whose exact place in the log is not known.
    `total_now` was read after the log.
    """
    movements = [0, *accumulate(entry.quantity for entry in entries)]
    opening = total_now - movements[-1]
    if not any(opening + movements[position] == anchor_total for position in anchor_positions):
        return Evidence(Verdict.OPEN, (), (), (), {})
    totals_after: dict[str, int] = {}
    matches: list[Match] = []
    orphans: list[str] = []
    doubtful: list[int] = []
    unattributed = False
    left = list(candidates)
    by_totals = any(candidate.executed_within is None for candidate in candidates) or not candidates
    for entry, movement in zip(entries, movements[1:], strict=True):
        after = opening + movement
        totals_after[entry.adjustment_id] = after
        fit = first_fit(left, entry, after - entry.quantity, after)
        if fit is not None:
            matches.append(Match(entry.adjustment_id, fit.operation_id))
            left.remove(fit)
        elif entry.author is Author.OURS and not entry.claimed:
            orphans.append(entry.adjustment_id)
        elif entry.may_be_ours:
            before = after - entry.quantity
            # What a person or another program did leaves no question about a write that it cannot be.
            unattributed |= by_totals or any(not each.absent and each.fits(entry, before, after) for each in left)
            late = may_be_late(left, entry, before, after)
            if late is not None:
                doubtful.append(late.operation_id)
                left.remove(late)
    if unattributed or any(candidate.answered for candidate in left):
        return Evidence(Verdict.UNATTRIBUTED, tuple(matches), (), (), totals_after, tuple(doubtful))
    return Evidence(
        verdict=Verdict.CLOSED,
        matches=tuple(matches),
        orphans=tuple(orphans),
        without_trace=tuple(candidate.operation_id for candidate in left),
        totals_after=totals_after,
        doubtful=tuple(doubtful),
    )
