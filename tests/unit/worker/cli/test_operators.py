"""`operators` and `holds pause`: who may sign in, and what the log keeps of commands."""

from __future__ import annotations

import re

from tests.unit.worker.cli.conftest import Command

PASSWORD = "correct horse battery"


def test_somebody_is_let_in_listed_changed_and_removed(trueup: Command) -> None:
    assert trueup("operators", "add", "ada", "--role", "operator", stdin=PASSWORD + "\n").code == 0
    (ada,) = trueup("operators", "list", "--json").json["operators"]
    assert (ada["name"], ada["role"], ada["sessions"]) == ("ada", "operator", 0)
    assert "password_hash" not in ada
    assert trueup("operators", "role", "ada", "viewer").code == 0
    assert trueup("operators", "password", "ada", stdin=PASSWORD + "!\n").code == 0
    assert trueup("operators", "remove", "ada").code == 0
    assert "Nobody may sign in" in trueup("operators", "list").out
    verbs = [entry["verb"] for entry in trueup("operators", "log", "--json").json["actions"]]
    assert verbs == ["operator-removed", "password-set", "role-set", "operator-added"]


def test_a_made_password_is_printed_once(trueup: Command) -> None:
    ended = trueup("operators", "add", "ada", "--generate")
    assert ended.code == 0
    assert re.fullmatch(r"ada may sign in, as viewer\.\n[\w-]{24}\n", ended.out)
    assert len(trueup("operators", "password", "ada", "--generate", "--json").json["password"]) == 24


def test_what_is_refused_says_why(trueup: Command) -> None:
    short = trueup("operators", "add", "ada", stdin="short\n")
    assert (short.code, "fewer than 12" in short.err) == (1, True)
    nobody = trueup("operators", "remove", "nobody")
    assert (nobody.code, "no operator nobody" in nobody.err) == (1, True)


def test_a_pause_by_command_is_kept_with_its_reason(trueup: Command) -> None:
    wrong = trueup("holds", "pause", "channel", "nowhere", "--reason", "x")
    assert (wrong.code, "no channel" in wrong.err) == (2, True)
    assert trueup("holds", "pause", "channel", "shop", "--reason", "stock-taking").code == 0
    (hold,) = trueup("holds", "list", "--json").json["holds"]
    assert (hold["reason"], hold["subject"]) == ("paused", "shop")
    assert hold["note"].startswith("stock-taking (paused by ")
    (action,) = trueup("operators", "log", "--json").json["actions"]
    assert (action["verb"], action["via"], action["reason"]) == ("paused", "command", "stock-taking")


def test_a_web_process_that_would_serve_nothing_is_refused(trueup: Command) -> None:
    ended = trueup("web", "--receiver-only", "--console-only")
    assert (ended.code, "nothing to serve" in ended.err) == (2, True)
