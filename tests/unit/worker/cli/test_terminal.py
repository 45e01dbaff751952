"""What the command line does on a terminal, and leaves out where there is none."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from connectors.clock import SystemClock
from tests.simulation import command as simulation
from tests.unit.worker.cli.conftest import Command
from worker.alerts import Kind
from worker.alerts.anomalies import SEVERITIES
from worker.cli import output
from worker.cli.imports import _lines_of
from worker.cli.output import Marked, Mood, laid_out, mood_of
from worker.holds import Holds
from worker.store import Store
from worker.store.tables import HoldReason, HoldScope, Severity

RED = "\x1b[1;31m"


def printed(what: RenderableType, *, terminal: bool = True, width: int = 60) -> str:
    said = io.StringIO()
    Console(file=said, force_terminal=terminal, width=width, highlight=False).print(what)
    return said.getvalue()


# --- colours and widths -----------------------------------------------------------------------------------------


def test_a_colour_marks_what_the_word_says_and_is_left_out_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    table = laid_out(("What", "Is"), [("feed", Marked("late", Mood.BAD))])
    assert RED in printed(table)
    assert "\x1b" not in printed(table, terminal=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in printed(table)
    assert "late" in printed(table)


def test_no_anomaly_that_is_more_than_a_warning_is_merely_odd() -> None:
    for kind in Kind:
        assert (mood_of(kind) is Mood.ODD) is (SEVERITIES[kind] is Severity.WARNING)
    assert mood_of("of a newer version") is Mood.BAD


def test_a_table_fits_a_narrow_terminal_and_loses_no_word() -> None:
    table = laid_out(("Scope", "Why"), [("channel", "a new channel: look at its plan and confirm it then")])
    lines = printed(table, terminal=False, width=30).splitlines()
    assert max(map(len, lines)) <= 30
    assert "confirm" in "".join(lines)


# --- progress ---------------------------------------------------------------------------------------------------


def test_a_file_is_counted_and_then_read_from_its_beginning() -> None:
    file = io.BytesIO(b"a\nb\nc")
    assert (_lines_of(file), file.read()) == (3, b"a\nb\nc")


@pytest.mark.parametrize(("total", "told"), [(10, True), (None, False)])
def test_the_time_left_is_told_where_the_end_is_known(total: int | None, told: bool) -> None:
    names = [type(column).__name__ for column in output.progress_columns(knows_its_end=total is not None)]
    assert ("TimeRemainingColumn" in names) is told


# --- the live view ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["--json", "--check"])
def test_a_live_view_goes_with_nothing_that_ends(trueup: Command, other: str) -> None:
    ended = trueup("status", "--watch", other)
    assert (ended.code, ended.out) == (2, "")
    assert "leave out --json and --check" in ended.err


def test_a_live_view_needs_a_terminal(trueup: Command) -> None:
    ended = trueup("status", "--watch")
    assert ended.code == 2
    assert "trueup status --json" in ended.err


# --- completion, and errors that name the fix -------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_completion_for_each_shell(trueup: Command, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_TRUEUP_COMPLETE", f"source_{shell}")
    ended = trueup.bare()
    assert ended.code == 0
    assert f"complete_{shell}" in ended.out


def test_commands_and_the_words_they_take_are_completed(trueup: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TRUEUP_COMPLETE", "complete_bash")
    for line, word, expected in (("trueup hol", 1, "holds"), ("trueup holds lift cha", 3, "channel")):
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(word))
        assert trueup.bare().out.split() == [expected]


def test_a_pairing_that_is_none_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        simulation.main(["--pairing", "WRONG"])
    assert "'WRONG' is not MARKETPLACE+SHOP; known are sharetribe" in capsys.readouterr().err


def test_holds_are_listed_with_what_lifts_them_and_the_plans_that_wait(trueup: Command, store: Store) -> None:
    Holds(store, SystemClock()).place(HoldReason.SHADOW, HoldScope.CHANNEL, "shop", "a new channel")
    listed = trueup("holds", "list", "--json").json
    assert [hold["lifted"].startswith("An operator who has seen") for hold in listed["holds"]] == [True]
    assert [(plan["channel"], plan["size"]["listings"]) for plan in listed["plans"]] == [("shop", 0)]
    assert listed["resting"] == []
    assert "Plans that wait for a word" in trueup("holds", "list").out
