"""A watched directory: every file is read once it rests, again when it changes, and nothing else ever is."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest

from connectors.contract import Askable, Channel, Order, OrderPage, Polled, UnreadableOrder
from connectors.errors import Rejected, Unavailable
from connectors.sandbox.clock import VirtualClock
from connectors.standard import DirectoryChannel, StandardSettings, directory, files
from connectors.standard.directory import Cursor
from tests.unit.connectors.standard.vendor import committed, csv, row, toolbox

START = datetime.now(UTC)
LONG_AGO = START - timedelta(days=1)


class Folder:
    """A directory and a channel that watches it; its clock stands still, a minute after everything in there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = VirtualClock(START)
        self.channel = self.open()
        self.cursor = self.channel.cursor_at(LONG_AGO)

    def open(self, **changes: Any) -> DirectoryChannel:
        options = {"orders_directory": self.path, "page_size": 100, **changes}
        return DirectoryChannel("till", StandardSettings.model_validate(options), toolbox(self.clock))

    def put(self, name: str, *rows: str, age_seconds: float = 60.0) -> Path:
        return self.put_raw(name, csv(*rows), age_seconds=age_seconds)

    def put_raw(self, name: str, content: bytes, age_seconds: float = 60.0) -> Path:
        path = self.path / name
        path.write_bytes(content)
        self.age(path, age_seconds)
        return path

    def age(self, path: Path, seconds: float) -> None:
        moment = self.clock.now().timestamp() - seconds
        os.utime(path, (moment, moment))

    def page(self) -> OrderPage:
        page = self.channel.orders(self.cursor)
        self.cursor = page.cursor
        return page

    def read(self) -> tuple[list[str], list[UnreadableOrder]]:
        """Everything until no more is waiting: order ids, and what is told."""
        orders: list[Order] = []
        told: list[UnreadableOrder] = []
        for _ in range(1000):
            page = self.page()
            orders += page.orders
            told += page.unreadable
            if not page.more:
                return [order.order_id for order in orders], told
        raise AssertionError("there is always more")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / "sales"
    path.mkdir()
    return Folder(path)


def test_it_is_polled_and_cannot_be_asked(folder: Folder) -> None:
    assert isinstance(folder.channel, Channel)
    assert isinstance(folder.channel, Polled)
    assert not isinstance(folder.channel, Askable)


def test_files_are_read_oldest_first_and_once(folder: Folder) -> None:
    folder.put("b.csv", row("S-1"), age_seconds=90)
    folder.put("a.csv", row("S-2"), row("S-3"), age_seconds=80)
    folder.put_raw("c.JSONL", b"")
    assert folder.read() == (["S-1", "S-2", "S-3"], [])
    assert folder.read() == ([], [])
    folder.put("d.tsv", row("S-4"))
    assert folder.read() == (["S-4"], [])


def test_the_same_cursor_reads_the_same(folder: Folder) -> None:
    folder.put("a.csv", row("S-1"))
    once, again = folder.channel.orders(folder.cursor), folder.channel.orders(folder.cursor)
    assert (once.orders, once.more) == (again.orders, again.more)
    assert committed(once.orders[0]) == {"1": 3}


def test_a_file_that_changes_is_read_again_whole(folder: Folder) -> None:
    folder.put("a.csv", row("S-1"))
    folder.read()
    folder.put("a.csv", row("S-1"), row("S-2"))
    assert folder.read() == (["S-1", "S-2"], [])


def test_a_file_that_went_and_came_back_is_read_again(folder: Folder) -> None:
    path = folder.put("a.csv", row("S-1"))
    folder.read()
    path.unlink()
    assert folder.read() == ([], [])
    assert msgspec.json.decode(folder.cursor, type=Cursor).read == {}
    folder.put("a.csv", row("S-1"))
    assert folder.read() == (["S-1"], [])


@pytest.mark.parametrize(("age_seconds", "rests"), [(0, False), (29, False), (31, True), (-29, False), (-3600, True)])
def test_a_file_is_left_until_it_rests(folder: Folder, age_seconds: float, rests: bool) -> None:
    """A writer's clock that is ahead must not keep its files waiting for ever."""
    folder.put("a.csv", row("S-1"), age_seconds=age_seconds)
    assert folder.read()[0] == (["S-1"] if rests else [])
    folder.clock.advance(4000)
    assert folder.read()[0] == ([] if rests else ["S-1"])


def test_what_is_written_while_it_is_read_does_not_count(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder.put("a.csv", row("S-1"), row("S-2"))
    read = DirectoryChannel._read

    def meddled(channel: DirectoryChannel, *arguments: Any) -> Any:
        found = read(channel, *arguments)
        with path.open("ab") as file:
            file.write(csv(row("S-3")))
        return found

    with monkeypatch.context() as meddling:
        meddling.setattr(DirectoryChannel, "_read", meddled)
        page = folder.page()
        assert (page.orders, page.unreadable, page.more) == ((), (), False)
    folder.put("a.csv", row("S-1"), row("S-2"), row("S-3"))
    assert folder.read() == (["S-1", "S-2", "S-3"], [])


def test_what_goes_between_being_found_and_being_opened_is_left(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("a.csv", row("S-1"))
    found = directory._files

    def vanish(handle: int) -> Any:
        there = found(handle)
        (folder.path / "a.csv").unlink(missing_ok=True)
        return there

    monkeypatch.setattr(directory, "_files", vanish)
    assert folder.read() == ([], [])


def test_what_was_there_before_the_channel_is_none_of_it(folder: Folder) -> None:
    folder.put("a.csv", row("S-1"))
    later = folder.channel.cursor_at(datetime.now(UTC) + timedelta(seconds=1))
    assert folder.channel.orders(later).orders == ()
    # A copy may keep the time of what it is a copy of: it has arrived now all the same.
    folder.put("b.csv", row("S-2"), age_seconds=30 * 86_400)
    folder.cursor = folder.channel.cursor_at(START - timedelta(seconds=5))
    assert folder.read()[0] == ["S-2", "S-1"]


# Large ones -------------------------------------------------------------------------------------------------------


def test_a_large_file_is_read_a_page_at_a_time_by_any_process(folder: Folder) -> None:
    numbers = range(25)
    folder.put("a.csv", *(text for number in numbers for text in (row(f"S-{number}"), row(f"S-{number}", "2"))))
    sizes = []
    while True:
        # Another process goes on where this one stopped.
        folder.channel = folder.open(page_size=10)
        page = folder.page()
        sizes.append(len(page.orders))
        assert all(committed(order) == {"1": 3, "2": 3} for order in page.orders)
        if not page.more:
            break
    assert sizes == [10, 10, 5, 0]


def test_a_file_that_changes_between_two_pages_is_begun_anew(folder: Folder) -> None:
    folder.channel = folder.open(page_size=1)
    folder.put("a.csv", row("S-1"), row("S-2"))
    assert [order.order_id for order in folder.page().orders] == ["S-1"]
    folder.put("a.csv", row("S-0"), row("S-1"), row("S-2"))
    assert folder.read()[0] == ["S-0", "S-1", "S-2"]


def test_a_file_of_many_pages_is_looked_over_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[BinaryIO] = []
    surveyed = files._surveyed

    def look(stream: BinaryIO) -> files.Survey:
        looked.append(stream)
        return surveyed(stream)

    monkeypatch.setattr(files, "_surveyed", look)
    folder.channel = folder.open(page_size=1)
    folder.put("a.csv", *(row(f"S-{number}") for number in range(8)), row("S-1", "2"))
    ids, told = folder.read()
    assert (len(ids), [one.order_id for one in told]) == (7, ["S-1", "S-1"])
    assert len(looked) == 1


# What cannot be read ----------------------------------------------------------------------------------------------


def test_a_wrong_order_is_told_by_its_name_and_the_rest_is_taken(folder: Folder) -> None:
    folder.put("a.csv", row("S-1"), row("S-2", quantity="x"), row("S-3"))
    ids, (told,) = folder.read()
    assert ids == ["S-1", "S-3"]
    assert told.order_id == "S-2"
    assert told.reason.startswith("a.csv, line 3: line 3: quantity is not")


def test_what_nobody_can_be_named_for_is_told_of_the_file_until_it_can_be_read(folder: Folder) -> None:
    folder.put("a.csv", row("S-1"), ",,,,,1", ",,,,,2", row("S-4"), row("S-5"))
    ids, told = folder.read()
    assert ids == ["S-5"]
    assert [one.order_id for one in told] == ["S-1", "S-4", "file a.csv"]
    assert told[-1].reason == "line 3: line 3 names no order (and 1 more like it)"
    folder.put("a.csv", row("S-1"), ",,,,,1")
    assert folder.read()[1][-1].order_id == "file a.csv"
    folder.put("a.csv", row("S-1"))
    page = folder.page()
    assert [(order.order_id, bool(order.excluded)) for order in page.orders] == [("S-1", False), ("file a.csv", True)]
    folder.put("a.csv", row("S-1", version=8))
    assert folder.read() == (["S-1"], [])


def test_trouble_on_one_page_of_many_is_remembered_to_the_end(folder: Folder) -> None:
    folder.channel = folder.open(page_size=2)
    rows = [row(f"S-{number}") for number in range(8)]
    folder.put("a.csv", *rows[:2], ",,,,,1", *rows[2:])
    assert [one.order_id for one in folder.read()[1]] == ["S-1", "S-2", "file a.csv"]
    folder.put("a.csv", *rows)
    ids, told = folder.read()
    assert (ids[-1], told) == ("file a.csv", [])
    assert ids.count("file a.csv") == 1


@pytest.mark.parametrize(("content", "why"), [(b"hello", "no column"), (b"[]", "one order a line")])
def test_a_file_of_something_else_is_told_once_and_the_others_are_read(
    folder: Folder, content: bytes, why: str
) -> None:
    folder.put_raw("a.csv", content, age_seconds=90)
    folder.put("b.csv", row("S-1"))
    ids, (told,) = folder.read()
    assert (ids, told.order_id) == (["S-1"], "file a.csv")
    assert why in told.reason
    assert folder.read() == ([], [])


def test_a_file_that_may_not_be_read_is_told_until_it_may(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder.put("a.csv", row("S-1"))
    opened = os.open

    def forbidden(name: Any, *arguments: Any, **named: Any) -> int:
        if name == "a.csv":
            raise PermissionError(13, "Permission denied")
        return opened(name, *arguments, **named)

    with monkeypatch.context() as forbidding:
        forbidding.setattr(os, "open", forbidden)
        assert [one.reason for one in folder.read()[1]] == ["it cannot be read: Permission denied"]
    assert folder.read() == ([], [])
    path.chmod(0o640)
    assert folder.read()[0] == ["S-1", "file a.csv"]


def test_a_file_whose_reading_fails_is_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("a.csv", row("S-1"))

    def broken(*_arguments: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(DirectoryChannel, "_read", broken)
    assert [one.reason for one in folder.read()[1]] == ["it cannot be read: Input/output error"]


# What is none of it -----------------------------------------------------------------------------------------------


def secret_elsewhere(folder: Folder) -> Path:
    path = folder.path.parent / "elsewhere.csv"
    path.write_bytes(csv(row("SECRET")))
    folder.age(path, 60)
    return path


def a_link(folder: Folder) -> None:
    (folder.path / "a.csv").symlink_to(secret_elsewhere(folder))


def a_folder(folder: Folder) -> None:
    (folder.path / "a.csv").mkdir()
    (folder.path / "a.csv" / "b.csv").write_bytes(csv(row("S-1")))


def a_pipe(folder: Folder) -> None:
    os.mkfifo(folder.path / "a.csv")


def a_hidden_file(folder: Folder) -> None:
    folder.put(".a.csv", row("S-1"))


def a_file_that_is_still_named_otherwise(folder: Folder) -> None:
    folder.put("a.csv.part", row("S-1"))


def a_name_that_moves_the_cursor(folder: Folder) -> None:
    folder.put("a\x1b[2J.csv", row("S-1"))


def a_name_that_is_no_text(folder: Folder) -> None:
    folder.put(os.fsdecode(b"\xff.csv"), row("S-1"))


def a_very_long_name(folder: Folder) -> None:
    folder.put("x" * 200 + ".csv", row("S-1"))


@pytest.mark.parametrize(
    "make",
    [
        a_link,
        a_folder,
        a_pipe,
        a_hidden_file,
        a_file_that_is_still_named_otherwise,
        a_name_that_moves_the_cursor,
        a_name_that_is_no_text,
        a_very_long_name,
    ],
)
def test_only_plain_files_right_in_the_directory_are_read(folder: Folder, make: Callable[[Folder], None]) -> None:
    make(folder)
    assert folder.read() == ([], [])
    assert "1 other entries are left alone" in folder.channel.check()[0].detail


def test_a_file_that_becomes_a_link_meanwhile_is_not_followed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("a.csv", row("S-1"))
    elsewhere = secret_elsewhere(folder)
    found = directory._files

    def swapped(handle: int) -> Any:
        there = found(handle)
        (folder.path / "a.csv").unlink()
        (folder.path / "a.csv").symlink_to(elsewhere)
        return there

    monkeypatch.setattr(directory, "_files", swapped)
    page = folder.page()
    assert (page.orders, [one.order_id for one in page.unreadable]) == ([], ["file a.csv"])


# The directory itself ---------------------------------------------------------------------------------------------


def test_a_directory_that_is_not_there_is_told(folder: Folder) -> None:
    folder.path.rmdir()
    with pytest.raises(Rejected, match="No such file") as caught:
        folder.page()
    assert caught.value.account == "till"
    assert [check.name for check in folder.channel.check() if not check.ok] == ["access"]
    folder.path.write_text("a file")
    with pytest.raises(Rejected, match="Not a directory"):
        folder.page()


def test_a_directory_that_fails_is_read_later(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_handle: int) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(directory, "_files", broken)
    with pytest.raises(Unavailable, match="Stale file handle"):
        folder.page()


def test_too_many_files_are_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "MAX_FILES", 2)
    for name in "abc":
        folder.put(f"{name}.csv", row("S-1"))
    with pytest.raises(Rejected, match="move those away") as caught:
        folder.page()
    assert caught.value.account == "till"


@pytest.mark.parametrize("cursor", ["", "{", "{}", '{"since":7}', '{"since":"2026-11-21T12:00:00"}', "[" * 100_000])
def test_a_cursor_of_somebody_else_is_refused(folder: Folder, cursor: str) -> None:
    with pytest.raises(Rejected, match="cursor"):
        folder.channel.orders(cursor)


def test_a_moment_needs_its_zone(folder: Folder) -> None:
    with pytest.raises(ValueError, match="time zone"):
        folder.channel.cursor_at(datetime(2026, 1, 1))  # noqa: DTZ001


def test_doctor_counts_the_files(folder: Folder) -> None:
    folder.put("a.csv", row("S-1"))
    assert [check.ok for check in folder.channel.check()] == [True, True, True]
    assert folder.channel.check()[0].detail == f"1 files in {folder.path}"
