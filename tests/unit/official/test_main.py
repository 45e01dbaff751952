"""The exit code says whether every check was made and passed. What cannot be had keeps nothing else from being made."""

from __future__ import annotations

import sys

import pytest

from tests.official import __main__ as official
from tests.official.__main__ import FAILED, MISSING, PASSED, Outsider
from tests.official.results import Result

FAKES = {
    "good": Outsider(lambda: "good 1", lambda: [Result("it works", passed=True)], lambda: None),
    "bad": Outsider(lambda: "bad 1", lambda: [Result("it works", passed=False)], lambda: None),
    "gone": Outsider(lambda: "gone 1", lambda: pytest.fail("it is not there"), lambda: "no network"),
}


@pytest.mark.parametrize(
    ("there", "arguments", "code"),
    [
        (["good"], [], PASSED),
        (["good", "gone"], [], MISSING),
        (["gone", "good"], ["--where-possible"], PASSED),
        (["good", "gone"], ["gone", "--where-possible"], MISSING),
        (["good", "gone"], ["good"], PASSED),
        (["gone", "bad"], ["--where-possible"], FAILED),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    there: list[str],
    arguments: list[str],
    code: int,
) -> None:
    monkeypatch.setattr(official, "_outsiders", lambda specs: {name: FAKES[name] for name in there})
    monkeypatch.setattr(sys, "argv", ["official", *arguments])
    assert official.main() == code
    asked_for_gone = "gone" in there and arguments[:1] != ["good"]
    assert ("NOT RUN, nothing was checked: gone: no network" in capsys.readouterr().out) is asked_for_gone
