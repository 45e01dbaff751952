"""A client's script counts as passed only when it checked something and came to its end."""

from __future__ import annotations

from tests.official.results import Result, told

ENDED = '{"ended": true}'


def test_what_a_script_checked() -> None:
    lines = ['{"check": "reads", "passed": true}', '{"check": "writes", "passed": false, "detail": "404"}', ENDED]
    assert list(told(lines, trouble="it talks")) == [Result("reads", passed=True), Result("writes", False, "404")]


def test_a_script_that_dies_has_not_passed() -> None:
    *_, last = told(['{"check": "reads", "passed": true}'], trouble="out of memory\n")
    assert last == Result("the script comes to its end", passed=False, detail="out of memory")


def test_a_script_that_checks_nothing_has_not_passed() -> None:
    assert [result.passed for result in told([ENDED], trouble="")] == [False]
