"""What an adjustment log proves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Author
from worker.reconcile.evidence import Candidate, Entry, Match, Verdict, examine

OURS, OTHER = Author.OURS, Author.OTHER
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(
    name: str, quantity: int, author: Author | None = OURS, *, reserved: bool = False, claimed: bool = False
) -> Entry:
    return Entry(name, quantity, author, reserved, claimed, NOW)


def unknown(operation: int, expected: int, new: int) -> Candidate:
    return Candidate(operation, expected, new, answered=False)


def answered(operation: int, expected: int, new: int) -> Candidate:
    return Candidate(operation, expected, new, answered=True)


def test_an_own_adjustment_that_fits_claims_the_operation() -> None:
    evidence = examine(10, [0], [entry("a", -3)], [unknown(1, 10, 7)], 7)
    assert (evidence.verdict, evidence.matches) == (Verdict.CLOSED, (Match("a", 1),))


def test_size_alone_never_claims() -> None:
    evidence = examine(12, [0], [entry("a", -3)], [unknown(1, 10, 7)], 9)
    assert evidence.matches == ()
    assert evidence.orphans == ("a",)
    assert evidence.without_trace == (1,)


@pytest.mark.parametrize("before", [8, 10])
def test_one_total_alone_never_claims(before: int) -> None:
    """The write was from 10 to 7: neither what ends at 7 nor what begins at 10 is it."""
    evidence = examine(before, [0], [entry("a", -1)], [unknown(1, 10, 7)], before - 1)
    assert (evidence.matches, evidence.orphans) == ((), ("a",))


def test_evidence_is_open_while_log_and_total_do_not_meet() -> None:
    evidence = examine(10, [0], [], [unknown(1, 10, 7)], 7)
    assert evidence.verdict is Verdict.OPEN
    assert evidence.without_trace == ()


def test_closed_evidence_without_a_trace_shows_an_absence() -> None:
    evidence = examine(10, [0], [entry("b", -2, OTHER, reserved=True)], [unknown(1, 10, 7)], 8)
    assert (evidence.verdict, evidence.without_trace) == (Verdict.CLOSED, (1,))


def test_an_adjustment_without_author_keeps_the_question_open() -> None:
    evidence = examine(10, [0], [entry("a", -3, None)], [unknown(1, 10, 7)], 7)
    assert (evidence.verdict, evidence.matches, evidence.without_trace) == (Verdict.UNATTRIBUTED, (), ())


def test_an_adjustment_by_a_reservation_is_never_ours() -> None:
    evidence = examine(10, [0], [entry("a", -3, None, reserved=True)], [unknown(1, 10, 7)], 7)
    assert (evidence.verdict, evidence.without_trace) == (Verdict.CLOSED, (1,))


def test_what_was_made_after_an_answer_is_rather_a_later_operations() -> None:
    """Nobody said whose the first adjustment was; the second fits both, and only one of them can have made it."""
    first = replace(answered(1, 3, 0), made_before=NOW - timedelta(minutes=7))
    evidence = examine(0, [0], [entry("b", 3, OTHER), entry("c", -3)], [first, unknown(2, 3, 0)], 0)
    assert evidence.matches == (Match("c", 2),)


def test_one_that_alone_fits_claims_though_the_clocks_disagree() -> None:
    first = replace(answered(1, 10, 7), made_before=NOW - timedelta(minutes=7))
    evidence = examine(10, [0], [entry("a", -3)], [first, unknown(2, 9, 7)], 7)
    assert evidence.matches == (Match("a", 1),)


def test_answered_operations_claim_first() -> None:
    evidence = examine(10, [0], [entry("a", -3)], [unknown(1, 10, 7), answered(2, 10, 7)], 7)
    assert evidence.matches == (Match("a", 2),)
    assert evidence.without_trace == (1,)


def test_an_absent_operation_claims_after_one_that_repeats_it() -> None:
    absent = Candidate(1, 10, 7, answered=False, absent=True)
    evidence = examine(10, [0], [entry("a", -3)], [absent, unknown(2, 10, 7)], 7)
    assert evidence.matches == (Match("a", 2),)


def test_an_answered_operation_may_claim_an_adjustment_without_author() -> None:
    evidence = examine(10, [0], [entry("a", -3, None)], [answered(2, 10, 7)], 7)
    assert evidence.matches == (Match("a", 2),)


def test_no_absence_while_an_answered_operation_is_unclaimed() -> None:
    evidence = examine(10, [0], [], [answered(1, 10, 7), unknown(2, 7, 6)], 10)
    assert (evidence.verdict, evidence.without_trace) == (Verdict.UNATTRIBUTED, ())


def test_totals_that_return_tell_two_equal_writes_apart() -> None:
    log = [entry("a", -1), entry("b", 1, OTHER, reserved=True), entry("c", -1)]
    evidence = examine(10, [0], log, [answered(1, 10, 9), unknown(2, 10, 9)], 9)
    assert evidence.matches == (Match("a", 1), Match("c", 2))


def test_a_read_may_stand_anywhere_in_the_log() -> None:
    log = [entry("x", -4, OTHER), entry("a", -3)]
    assert examine(10, [0, 1, 2], log, [unknown(1, 10, 7)], 7).matches == (Match("a", 1),)
    assert examine(10, [0], log, [unknown(1, 10, 7)], 7).verdict is Verdict.OPEN


def test_claimed_adjustments_are_left_alone() -> None:
    evidence = examine(10, [0], [entry("a", -3, claimed=True)], [unknown(1, 10, 7)], 7)
    assert (evidence.matches, evidence.orphans, evidence.without_trace) == ((), (), (1,))


@given(
    opening=st.integers(0, 50),
    steps=st.lists(st.tuples(st.integers(-5, 5).filter(bool), st.sampled_from(["ours", "lost", "buyer"])), max_size=12),
)
def test_whatever_happened_is_found_and_nothing_else(opening: int, steps: list[tuple[int, str]]) -> None:
    """Every own adjustment claims exactly one operation with its very totals; one that was not sent stays without."""
    total, log, candidates = opening, [], []
    for number, (quantity, what) in enumerate(steps):
        if what == "buyer":
            log.append(entry(f"a{number}", quantity, OTHER, reserved=True))
        else:
            log.append(entry(f"a{number}", quantity))
            candidates.append(Candidate(number, total, total + quantity, answered=what == "ours"))
        total += quantity
    candidates.append(unknown(99, total, total + 1))
    evidence = examine(opening, [0], log, candidates, total)
    claimed = {match.operation_id: match.adjustment_id for match in evidence.matches}
    assert len(claimed) == len(evidence.matches) == len(candidates) - 1
    assert evidence.verdict is Verdict.CLOSED
    assert evidence.without_trace == (99,)
    by_id = {candidate.operation_id: candidate for candidate in candidates}
    for operation, adjustment in claimed.items():
        assert evidence.totals_after[adjustment] == by_id[operation].new_total


def relative(operation: int, delta: int, *, absent: bool = False) -> Candidate:
    """A write that takes or adds, whatever the total; its plan was made from another total than it met."""
    around = (NOW - timedelta(minutes=2), NOW + timedelta(hours=1))
    return Candidate(operation, 100, 100 + delta, answered=False, absent=absent, executed_within=around)


def test_a_relative_write_is_known_by_its_size_and_time_whatever_the_totals() -> None:
    evidence = examine(10, [0], [entry("a", -1, OTHER), entry("b", -3)], [relative(1, -3)], 6)
    assert (evidence.verdict, evidence.matches) == (Verdict.CLOSED, (Match("b", 1),))


@pytest.mark.parametrize("at", [NOW - timedelta(minutes=3), NOW + timedelta(hours=2)])
def test_a_relative_write_is_nothing_made_at_another_time(at: datetime) -> None:
    evidence = examine(10, [0], [replace(entry("a", -3), at=at)], [relative(1, -3)], 7)
    assert (evidence.matches, evidence.orphans, evidence.without_trace) == ((), ("a",), (1,))


def test_of_two_equal_relative_writes_the_one_not_taken_for_absent_claims_first() -> None:
    evidence = examine(10, [0], [entry("a", -3)], [relative(1, -3, absent=True), relative(2, -3)], 7)
    assert evidence.matches == (Match("a", 2),)
    assert evidence.without_trace == (1,)


def test_without_authors_only_an_entry_of_its_size_keeps_a_relative_write_open() -> None:
    other_size = examine(10, [0], [entry("a", -2, None)], [relative(1, -3)], 8)
    assert (other_size.verdict, other_size.without_trace) == (Verdict.CLOSED, (1,))
    same_size = examine(10, [0], [entry("a", -3, None)], [relative(1, -3)], 7)
    assert (same_size.verdict, same_size.matches, same_size.without_trace) == (Verdict.UNATTRIBUTED, (), ())


def test_an_entry_without_author_puts_an_absent_relative_write_in_doubt() -> None:
    evidence = examine(10, [0], [entry("a", -3, None)], [relative(1, -3, absent=True)], 7)
    assert evidence.doubtful == (1,)


def test_what_may_be_an_absent_relative_write_leaves_no_question_about_another() -> None:
    evidence = examine(10, [0], [entry("a", -3, None)], [relative(1, -3, absent=True), relative(2, -1)], 7)
    assert (evidence.verdict, evidence.doubtful, evidence.without_trace) == (Verdict.CLOSED, (1,), (2,))
