"""`trueup import orders`: every line is taken or told, and doing it twice changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.connectors.standard.vendor import csv, line, order, row
from tests.unit.worker.cli.conftest import Command
from worker.store import Store

TILL = """
[channels.till]
connector = "standard"
any_seller = true
counted_from = 2026-11-01T00:00:00Z
"""


@pytest.fixture
def till(trueup: Command) -> Command:
    trueup.config.write_text(trueup.config.read_text() + TILL)
    return trueup


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sales.csv"
    path.write_bytes(csv(row("S-1"), row("S-1", "2", "B"), row("S-2")))
    return path


def counts(found: Any) -> tuple[int, int, int, int]:
    return found["orders"], found["taken"], found["unchanged"], found["not_taken"]


def test_a_file_is_taken_in_and_doing_it_twice_changes_nothing(till: Command, file: Path) -> None:
    ended = till("import", "orders", str(file), "--channel", "till")
    assert ended.code == 0
    assert ended.out == "2 orders read: 2 taken in, 0 known already.\n"
    assert till("status", "--json").json["unlinked_units"] == 9
    found = till("import", "orders", str(file), "--channel", "till", "--json").json
    assert counts(found) == (2, 0, 2, 0)
    assert till("status", "--json").json["unlinked_units"] == 9


def test_a_dry_run_changes_nothing(till: Command, file: Path) -> None:
    ended = till("import", "orders", str(file), "--channel", "till", "--dry-run")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "2 orders read: 2 would be taken in, 0 known already.\nNothing was changed.\n"
    found = till("import", "orders", str(file), "--channel", "till", "--dry-run", "--json").json
    assert (counts(found), found["imported"]) == ((2, 2, 0, 0), False)
    assert till("status", "--json").json["unlinked_units"] == 0


def test_what_is_wrong_is_told_with_its_line_and_the_rest_is_taken(till: Command, file: Path) -> None:
    file.write_bytes(csv(row("S-1"), row("S-2", quantity="x"), row("S-3")))
    ended = till("import", "orders", str(file), "--channel", "till")
    assert ended.code == 1
    assert "quantity is not a whole number" in ended.out
    assert "2 orders read: 2 taken in" in ended.out
    assert "Mend them and import the file again" in ended.err
    found = till("import", "orders", str(file), "--channel", "till", "--json")
    assert found.code == 1
    assert found.json["problems"] == [
        {"line": 3, "order_id": "S-2", "problem": "line 3: quantity is not a whole number from 0 on"}
    ]
    file.write_bytes(csv(row("S-1"), row("S-2"), row("S-3")))
    assert counts(till("import", "orders", str(file), "--channel", "till", "--json").json) == (3, 1, 2, 0)


def test_many_wrong_lines_are_counted(till: Command, file: Path) -> None:
    file.write_bytes(csv(*(row(f"S-{number}", quantity="x") for number in range(30))))
    ended = till("import", "orders", str(file), "--channel", "till")
    assert ended.code == 1
    assert "… and 10 more (--json has them)." in ended.out


def test_another_content_of_a_version_is_told_and_the_first_counts(till: Command, file: Path) -> None:
    till("import", "orders", str(file), "--channel", "till")
    file.write_bytes(csv(row("S-1"), row("S-2", quantity=9)))
    for options in (("--dry-run",), ()):
        found = till("import", "orders", str(file), "--channel", "till", "--json", *options)
        assert found.code == 1
        assert [(one["line"], one["order_id"]) for one in found.json["problems"]] == [(2, "S-1"), (3, "S-2")]
        assert "higher" in found.json["problems"][0]["problem"]
    assert till("status", "--json").json["unlinked_units"] == 9
    parked = till("deliveries", "list", "--json").json["parked_orders"]
    assert {one["order_id"] for one in parked} == {"S-1", "S-2"}


def test_an_order_that_a_person_accepts_waits_to_come_again(till: Command, file: Path) -> None:
    file.write_bytes(csv("S-1,1,2020-01-01T00:00:00Z,1,A,1"))
    assert till("import", "orders", str(file), "--channel", "till").code == 0
    ended = till("deliveries", "replay", "--order", "till/S-1")
    assert ended.code == 0
    assert "count when sent or imported once more: till/S-1" in ended.err
    assert till("status", "--json").json["unlinked_units"] == 0
    till("import", "orders", str(file), "--channel", "till")
    assert till("status", "--json").json["unlinked_units"] == 1


def test_standard_input_and_json_lines(till: Command) -> None:
    text = json.dumps(order("S-1", line(quantity=2))) + "\n\n" + json.dumps(order("S-2")) + "\n"
    found = till("import", "orders", "-", "--channel", "till", "--json", stdin=text)
    assert counts(found.json) == (2, 2, 0, 0)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"hello\n", "has no column order_id"), (b"[]", "one order a line"), (b"\xff\xfea\x00", "UTF-16")],
)
def test_what_is_no_file_of_orders_is_refused(till: Command, file: Path, content: bytes, why: str) -> None:
    file.write_bytes(content)
    ended = till("import", "orders", str(file), "--channel", "till")
    assert (ended.code, ended.out) == (2, "")
    assert why in ended.err


def test_what_is_not_there_is_refused(till: Command, file: Path) -> None:
    for arguments, why in (
        ((str(file), "--channel", "nobody"), "no channel 'nobody'"),
        ((str(file), "--channel", "shop"), "reads no files of orders"),
        ((f"{file}.gone", "--channel", "till"), "cannot be read: No such file"),
        ((str(file.parent), "--channel", "till"), "cannot be read: Is a directory"),
    ):
        ended = till("import", "orders", *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert why in ended.err


def test_a_channel_that_only_sends_cannot_be_polled(till: Command, store: Store) -> None:
    ended = till("poll", "till")
    assert ended.code == 2
    assert "cannot be polled" in ended.err
    assert [one["channel"] for one in till("poll", "--json").json["channels"]] == ["shop"]
