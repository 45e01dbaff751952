"""The arithmetic of a proof."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import Author, RemoteAdjustment
from worker.audit.causes import Cause, cause_of
from worker.audit.rules import (
    Base,
    Movement,
    Sum,
    account,
    advanced,
    base_of,
    open_of,
    opened,
    reaching,
    since_base,
    state_of,
    sums_of,
)
from worker.store.tables import ProofState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def entry(name: str, quantity: int, minutes: float = 0) -> RemoteAdjustment:
    return RemoteAdjustment(name, "L", NOON + timedelta(minutes=minutes), quantity)


LOG = [entry("a", 10, -30), entry("b", -4, -1), entry("c", 1, 5)]


@pytest.mark.parametrize(
    ("met_total", "opening", "left"),
    [
        (6, 6, ["c"]),
        (10, 10, ["b", "c"]),
        (0, 0, ["a", "b", "c"]),
        (None, 6, ["c"]),
        # Fits nowhere in the log: believed as it was read.
        (5, 5, ["c"]),
        # Five minutes after it was met is too late for what was read then.
        (7, 7, ["c"]),
    ],
)
def test_an_account_opens_where_the_log_leads_to_what_was_met(
    met_total: int | None, opening: int, left: list[str]
) -> None:
    base, opened_at = opened(LOG, 7, since=NOON - timedelta(hours=1), met_at=NOON, met_total=met_total)
    assert base.total == opening
    assert [each.adjustment_id for each in since_base(base, LOG)] == left
    behind = [each.adjustment_id for each in LOG if each.at > opened_at]
    assert behind == left


def test_what_was_proved_is_not_counted_again_however_late_the_log_shows_the_rest() -> None:
    base = Base(10, NOON - timedelta(hours=1), NOON)
    proved = [entry("b", -4, 1), entry("c", 1, 5)]
    after = advanced(base, proved, [Movement(NOON, -3, Cause.OURS)], total=7, now=NOON)
    assert (after.total, after.at) == (7, NOON + timedelta(minutes=3))
    assert after.sums == {Cause.OURS: Sum(1, -3)}
    late = entry("d", -1, 4)
    assert since_base(after, [*proved, late]) == [late]


def test_a_number_read_between_two_looks_at_the_log_takes_as_much_of_it_as_leads_there() -> None:
    base = Base(10, NOON, NOON)
    first = [entry("a", -1)]
    again = [entry("a", -1), entry("b", -2, 1), entry("c", -3, 2)]
    assert [each.adjustment_id for each in reaching(base, first, again, 7)] == ["a", "b"]
    assert [each.adjustment_id for each in reaching(base, first, again, 9)] == ["a"]
    # It leads nowhere: what is missing is not made up for by what came later.
    assert reaching(base, first, again, 8) == first


@pytest.mark.parametrize(
    ("movements", "questions", "state"),
    [
        ([], [], ProofState.PROVED),
        ([Movement(NOON, 1, Cause.UNTOLD)], [], ProofState.IN_PART),
        ([Movement(NOON, 1, Cause.OURS)], ["write 1 is not settled yet"], ProofState.WAITING),
        ([Movement(NOON, 1, Cause.UNEXPLAINED, waits=True)], [], ProofState.WAITING),
        ([Movement(NOON, 1, Cause.UNEXPLAINED)], ["write 1 is not settled yet"], ProofState.UNEXPLAINED),
        ([Movement(NOON, 1, Cause.ACCEPTED)], [], ProofState.PROVED),
    ],
)
def test_what_a_look_comes_to(movements: list[Movement], questions: list[str], state: ProofState) -> None:
    assert state_of(movements, questions) is state


@pytest.mark.parametrize(
    ("operation", "by_purchase", "author", "open_claim", "tells", "cause"),
    [
        (7, False, None, False, True, Cause.OURS),
        (None, True, None, False, True, Cause.MARKETPLACE),
        (None, False, Author.OTHER, False, True, Cause.PROVIDER),
        (None, False, Author.OURS, True, True, Cause.UNEXPLAINED),
        (None, False, Author.OURS, False, True, Cause.ACCEPTED),
        (None, False, None, False, True, Cause.UNEXPLAINED),
        (None, False, None, False, False, Cause.UNTOLD),
    ],
)
def test_each_cause(
    operation: int | None, by_purchase: bool, author: Author | None, open_claim: bool, tells: bool, cause: Cause
) -> None:
    found = cause_of(
        operation=operation, by_purchase=by_purchase, author=author, open_claim=open_claim, tells_authors=tells
    )
    assert found is cause


def test_what_is_kept_is_read_again_as_it_was() -> None:
    base = Base(7, NOON, NOON, frozenset({"a", "b"}), 3, {Cause.OURS: Sum(2, -3)})
    without = [Movement(NOON, -1, Cause.UNEXPLAINED, "d", why="nobody says who made it")]
    kept = account(base, {Cause.OURS: Sum(2, -3)}, without)
    assert (base_of(kept), sums_of(kept), open_of(kept)) == (base, {Cause.OURS: Sum(2, -3)}, without)
    assert base_of(account(None, {}, ())) is None
