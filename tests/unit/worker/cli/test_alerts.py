"""`trueup alerts`, and what `doctor` says of destinations, with a real server that is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inbox import TOKEN, Inbox
from tests.servers import free_port
from tests.unit.worker.cli.conftest import Command

DESTINATIONS = """
[alerts.destinations.machine]
webhook = "env:HOOK"
webhook_secrets = ["env:HOOK_SECRET"]
[alerts.destinations.gone]
webhook = "env:NOWHERE"
webhook_secrets = ["env:HOOK_SECRET"]
severities = ["critical"]
"""


@pytest.fixture
def inbox(config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    with Inbox() as made:
        config.write_text(config.read_text() + DESTINATIONS)
        monkeypatch.setenv("HOOK", made.hook.get_secret_value())
        monkeypatch.setenv("NOWHERE", f"http://127.0.0.1:{free_port()}/{TOKEN}")
        monkeypatch.setenv("HOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        yield made


def test_a_test_says_of_each_whether_it_was_taken_and_exits_with_1_if_one_was_not(
    trueup: Command, inbox: Inbox
) -> None:
    ended = trueup("alerts", "test", "--json")

    assert ended.code == 1
    assert ended.json["tested"] == [
        {"name": "machine", "taken": True, "reason": None},
        {"name": "gone", "taken": False, "reason": "ConnectError when sending"},
    ]
    assert [message["type"] for message in inbox.messages] == ["alerts.test"]
    assert trueup("alerts", "test", "machine").code == 0
    assert len(inbox.messages) == 2
    verbs = [action["verb"] for action in trueup("operators", "log", "--json").json["actions"]]
    assert verbs == ["alerts-tested"] * 3


def test_the_list_and_doctor_show_how_each_does_and_no_address(trueup: Command, inbox: Inbox) -> None:
    trueup("alerts", "test")
    listed = trueup("alerts", "list", "--json")
    machine, gone = listed.json["destinations"]
    assert (machine["name"], machine["kind"], machine["told_of"]) == ("machine", "webhook", "critical, error, warning")
    assert (machine["failures"], gone["failures"], gone["told_of"]) == (0, 1, "critical")
    assert machine["succeeded_at"] is not None
    assert gone["error"] == "ConnectError when sending"

    examined = trueup("doctor", "--json")
    checks = {check["name"]: check for check in examined.json["checks"] if check["subject"] == "alerts"}
    assert (checks["machine"]["ok"], checks["gone"]["ok"]) == (True, False)
    assert 'trueup alerts test "gone"' in checks["gone"]["remedy"]
    assert TOKEN not in listed.out + examined.out + trueup("alerts", "list").out


def test_a_name_that_there_is_not_is_told_with_those_there_are(trueup: Command, inbox: Inbox) -> None:
    ended = trueup("alerts", "test", "machines")
    assert (ended.code, inbox.tried) == (2, 0)
    assert "There is no destination 'machines'. Known are: machine, gone." in ended.err


def test_where_nobody_is_told_it_says_so(trueup: Command) -> None:
    assert "Nobody is told" in trueup("alerts", "list").out
    assert trueup("alerts", "test").code == 1


def test_a_kind_that_there_is_not_keeps_every_command_from_starting(
    trueup: Command, config: Path, inbox: Inbox
) -> None:
    config.write_text(config.read_text() + 'kinds = ["oversolt"]\n')

    ended = trueup("alerts", "list")
    assert ended.code == 2
    assert "alerts.destinations.gone.kinds.0: 'oversolt' is no kind of anomaly. Did you mean oversold?" in ended.err
    assert inbox.tried == 0
