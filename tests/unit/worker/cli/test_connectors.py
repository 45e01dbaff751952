"""What is installed, what is broken of it, and what that holds up: the broken channel, and nothing else."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import BaseModel

from connectors import registry
from tests.unit.worker.cli.conftest import Command

BROKEN = "no_such_package_anywhere:CONNECTOR"
SAID = f"the connector 'broken' ({BROKEN}) cannot be loaded: ModuleNotFoundError"
CORNER = """
[channels.corner]
connector = "broken"
any_seller = true
whatever = "it wants"
"""


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the installed connectors cannot be loaded."""
    monkeypatch.setitem(registry.BUILT_IN, "broken", BROKEN)


@pytest.fixture
def corner(trueup: Command, broken: None) -> Command:
    """A channel of the broken connector, beside one that works."""
    trueup.config.write_text(trueup.config.read_text() + CORNER)
    return trueup


def test_the_connectors_and_what_they_offer(trueup: Command) -> None:
    listed = trueup.bare("connectors", "--json")
    found = {entry["name"]: entry for entry in listed.json["connectors"]}
    assert (listed.code, listed.json["passed_over"]) == (0, [])
    assert found["sharetribe"]["marketplace"]
    assert found["shopify"]["channel"]
    assert {entry["package"] for entry in found.values()} == {"trueup"}
    assert "shopify" in trueup.bare("connectors").out


def test_a_broken_one_is_told_beside_the_others(trueup: Command, broken: None) -> None:
    listed = trueup.bare("connectors", "--json")
    found = {entry["name"]: entry for entry in listed.json["connectors"]}
    assert listed.code == 1
    assert found["broken"]["problem"].startswith(SAID)
    assert not found["broken"]["channel"]
    assert (found["shopify"]["channel"], found["shopify"]["problem"]) == (True, "")


def test_one_that_is_passed_over_is_told(trueup: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [EntryPoint("shopify", "better:CONNECTOR", registry.GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: places)
    problem = "the connector 'shopify' (better:CONNECTOR) is not used: that name is a built-in connector's"
    remedy = "rename it in its package, or remove the package"
    listed = trueup.bare("connectors")
    assert (listed.code, listed.err) == (1, f"{problem}; {remedy}\n")
    checks = trueup("doctor", "--json").json["checks"]
    (told,) = [check for check in checks if check["subject"] == "connectors"]
    assert (told["ok"], told["detail"], told["remedy"]) == (False, problem, remedy)


def test_a_channel_of_a_broken_connector_is_set_aside_and_the_rest_goes_on(corner: Command) -> None:
    assert corner("status", "--json").code == 0
    polled = {entry["channel"]: entry for entry in corner("poll", "--json").json["channels"]}
    assert polled["corner"]["error"].startswith(f"corner: {SAID}")
    # The other was asked: its vendor does not answer.
    assert "got no answer" in polled["shop"]["error"]
    anomalies = corner("anomalies", "list", "--json").json["anomalies"]
    assert [entry["channel"] for entry in anomalies if SAID in entry["message"]] == ["corner"]


def test_doctor_says_what_is_broken_and_what_to_do(corner: Command) -> None:
    ended = corner("doctor", "--json")
    found = {check["name"]: check for check in ended.json["checks"] if check["subject"] == "corner"}
    assert ended.code == 1
    assert found["connector"]["detail"].startswith(SAID)
    assert found["connector"]["remedy"] == "repair, update or remove that package, then restart trueup"


def test_a_broken_marketplace_is_a_problem_of_the_configuration(corner: Command) -> None:
    corner.config.write_text(corner.config.read_text().replace('connector = "sharetribe"', 'connector = "broken"'))
    ended = corner("status")
    assert ended.code == 2
    assert f"marketplace.connector: {SAID}" in ended.err


def test_a_new_one_is_written_and_told(trueup: Command, tmp_path: Path) -> None:
    written = trueup.bare("connectors", "new", "acorn-tills", "--to", str(tmp_path), "--json")
    folder = tmp_path / "trueup-acorn-tills"
    assert (written.code, written.json["folder"]) == (0, str(folder))
    assert (folder / "trueup_acorn_tills" / "channel.py").is_file()
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} >= set(written.json["files"])
    again = trueup.bare("connectors", "new", "acorn-tills", "--to", str(tmp_path))
    assert (again.code, again.out) == (2, "")
    assert again.err == f"{folder} is there already: choose another --to, or remove it.\n"


@pytest.mark.parametrize(
    ("flags", "roles"),
    [
        ((), {"channel"}),
        (("--channel",), {"channel"}),
        (("--marketplace",), {"marketplace"}),
        (("--marketplace", "--channel"), {"marketplace", "channel"}),
    ],
)
def test_a_new_one_has_the_roles_asked_for(
    trueup: Command, tmp_path: Path, flags: tuple[str, ...], roles: set[str]
) -> None:
    written = trueup.bare("connectors", "new", "acorn", *flags, "--to", str(tmp_path))
    assert written.code == 0
    assert {role for role in ("channel", "marketplace") if next(tmp_path.rglob(f"{role}.py"), None)} == roles


def test_a_sandbox_that_is_not_there_is_told(trueup: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN, "nowhere", "tests.unit.worker.cli.test_connectors:NOWHERE")
    ended = trueup.bare("sandbox", "nowhere")
    assert ended.code == 2
    assert "names a sandbox that is not there: no_such_package_anywhere" in ended.err


NOWHERE = registry.Connector(
    "nowhere",
    channel_settings=BaseModel,
    open_channel=lambda *_: None,  # type: ignore[arg-type]
    sandbox="no_such_package_anywhere",
)
