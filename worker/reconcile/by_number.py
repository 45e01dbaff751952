"""Judging by the number alone, where a write sets one and nothing else tells of it (`Guard.ABSOLUTE`): pure functions.

The number that a write set is there, or the one from before it, long enough after sending. Everything else is for a
person: a sale of the same size looks alike, and so does a write that was executed late.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from worker.store.tables import OperationKind, OperationState


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


def suspected_late(writes: Sequence[Any], total: int) -> str | None:
    """Why a write may have been executed late, putting back what was taken since: not the number of our last write is
    there, but the very one of an earlier that was taken for absent. `writes`: stock writes, newest first.
    """
    last = next((row for row in writes if row.state is OperationState.APPLIED), None)
    if last is None or last.new_total == total:
        return None
    for row in writes:
        if row.state is OperationState.ABSENT and row.new_total == total and row.id < last.id:
            return f"{total} is there, not {last.new_total}: the number of operation {row.id}, taken for absent"
    return None
