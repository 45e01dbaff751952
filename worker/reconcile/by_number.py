"""Judging by the number alone, where a write sets one and nothing else tells of it (`Guard.ABSOLUTE`): pure functions.

The number that a write set is there, or the one from before it, long enough after sending. Everything else is for a
person: a sale of the same size looks alike, and so does a write that was executed late.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from worker.store.tables import OperationKind, OperationState

HELD_AGAINST_FOR = timedelta(minutes=30)
"""How long after a write without a proof any number but the one expected is held against it: such writes are thought
to be executed within a quarter of an hour, and listings are looked at every few minutes.
"""


def judge_by_number(
    operation: Any, total: int, *, waited: timedelta, settle_after: timedelta
) -> tuple[OperationState, str] | None:
    """What became of an unsettled operation, and by what sign; None where the total does not tell. `waited` is how long
    after its preparation the look at the listing began.
    """
    if operation.kind is not OperationKind.STOCK or operation.state is not OperationState.UNKNOWN:
        return None
    if total == operation.new_total:
        return OperationState.APPLIED, "its number is there, though a sale of that size looks alike"
    if total == operation.expected_total and waited >= settle_after:
        return OperationState.ABSENT, "the number from before it is there"
    return None


def suspected_late(writes: Sequence[Any], total: int, *, lately: datetime) -> str | None:
    """Why a write may have been executed late: not the number that our last write has set, or was planned from where it
    was not executed, is there, but the very one of a write that no answer proves. `writes`: stock writes, newest first.

    An older one would have put back what was taken since. A newer one that was taken for absent would have taken its
    units all the same; a sale of that size looks alike, and who looks at the marketplace's sales can tell. If such a
    write was prepared after `lately`, or is one taken for absent after which nothing was written, any other number will
    do: something may have been sold since it was executed.
    """
    if not writes:
        return None
    last = writes[0]
    known = last.new_total if last.state is OperationState.APPLIED else last.expected_total
    if known == total:
        return None
    sent = next((row for row in writes if row.state is not OperationState.REJECTED), None)
    for row in writes:
        if not _is_unproved(row):
            continue
        absent = row.state is OperationState.ABSENT
        if row.new_total == total or (not row.decided and (row.prepared_at > lately or (absent and row is sent))):
            taken = "taken for absent" if absent else "which no answer proves"
            return f"{total} is there, not {known}: operation {row.id}, {taken}, may have set {row.new_total} late"
    return None


def _is_unproved(row: Any) -> bool:
    """Whether it may be executed yet, for all that is known."""
    return row.state is OperationState.ABSENT or (row.state is OperationState.APPLIED and not row.answered)


def doubted_absence(writes: Sequence[Any], total: int) -> int | None:
    """The write to ask about again: it may have been executed late, though its number is not there. A person has just
    said that the one after it was not executed, and the number from before, by which it was taken for absent, is gone.
    `writes`: as above.
    """
    if not writes or not (writes[0].decided and writes[0].state is OperationState.ABSENT):
        return None
    for row in writes[1:]:
        if row.state is OperationState.APPLIED and row.answered:
            return None
        if row.state is OperationState.ABSENT and not row.decided:
            return row.id if total not in (row.expected_total, row.new_total) else None
    return None


def overtaken(answered: Any, writes: Sequence[Any]) -> Sequence[int]:
    """The writes that one whose answer came late has overwritten: planned after it, and executed before, since it reads
    the number right before it sets its own. `writes`: as above.
    """
    return [row.id for row in writes if row.id > answered.id and row.state is OperationState.APPLIED]
