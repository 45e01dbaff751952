"""A directory whose files of orders are read as they arrive: exports of a point of sale, say.

What was read is known by name, size and times of the last change, kept in the cursor; a file that changes is read
again, whole, which does no harm. A file that may still be being written is left until it has rested. Nothing is ever
written, moved or removed there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, BinaryIO, NamedTuple

import msgspec
from msgspec import Meta, Struct, structs

from connectors.contract import Check, Order, OrderPage, UnreadableOrder
from connectors.errors import ConnectorError, Rejected, Unavailable, Unreadable
from connectors.http import Toolbox
from connectors.standard.channel import StandardChannel
from connectors.standard.files import OrderFile, Start, Survey
from connectors.standard.settings import StandardSettings
from connectors.text import is_storable

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
MAX_FILES = 20_000
"""In one directory: each is named in the cursor."""
MAX_NAME_CHARACTERS = 200
MAX_PAGE_BYTES = 8 * 1024 * 1024
FILE = "file "
"""How what concerns a file, and none of its orders, is named among the orders."""


class Mark(NamedTuple):
    """What a state of a file is known by."""

    size: int
    mtime_ns: int
    ctime_ns: int


class Reading(Struct, frozen=True):
    """A file that has been read in part."""

    name: str
    mark: Mark
    offset: int = 0
    line: int = 1
    troubled: bool = False
    """Whether something of it could not be read, nor be told whose it is."""


class Cursor(Struct, frozen=True, omit_defaults=True):
    """What has been read."""

    since: Annotated[datetime, Meta(tz=True)]
    """What was there before and has not changed is none of ours."""
    read: dict[str, Mark] = {}
    """Of the files that are still there."""
    troubled: frozenset[str] = frozenset()
    """Those of which a person was told; when they can be read, that is resolved."""
    reading: Reading | None = None


class DirectoryChannel(StandardChannel):
    """Implements `Polled`, and what `StandardChannel` does. It cannot be asked for an order by its id."""

    def __init__(self, name: str, settings: StandardSettings, toolbox: Toolbox) -> None:
        super().__init__(name, settings, toolbox)
        assert settings.orders_directory is not None  # noqa: S101  else it would be another channel
        self._path = settings.orders_directory
        self._rest_seconds = settings.file_rest_seconds
        self._surveyed: tuple[str, Mark, Survey] | None = None
        """Of the file that was read last: one of many pages is looked over once."""

    # Polled -----------------------------------------------------------------------------------------------------

    def orders(self, cursor: str) -> OrderPage:
        """See `Polled.orders`. Of the oldest file that is new or has changed, a page at a time."""
        place = self._decoded(cursor)
        with self._directory() as directory:
            there = _files(directory)
            place = structs.replace(
                place,
                read={name: mark for name, mark in place.read.items() if name in there},
                troubled=place.troubled & there.keys(),
                reading=self._next(place, there),
            )
            if place.reading is None:
                return OrderPage((), _text(place), more=False)
            return self._page(directory, place, place.reading)

    def cursor_at(self, moment: datetime) -> str:
        """See `Polled.cursor_at`. Reads the files that arrived, or were changed, at or after the moment."""
        if moment.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return _text(Cursor(moment.astimezone(UTC)))

    # Channel ----------------------------------------------------------------------------------------------------

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        try:
            with self._directory() as directory:
                found = len(_files(directory))
                others = len(os.listdir(directory)) - found  # noqa: PTH208  pathlib cannot list what is open
        except ConnectorError as error:
            remedy = "check orders_directory, and that the user trueup runs as may read it"
            return [Check("access", False, str(error), remedy), *super().check()]
        ignored = f"; {others} other entries are left alone" if others else ""
        return [Check("access", True, f"{found} files in {self._path}{ignored}"), *super().check()]

    # ------------------------------------------------------------------------------------------------------------

    def _next(self, place: Cursor, there: Mapping[str, Mark]) -> Reading | None:
        """The file to read: the one that was begun, if it is still the same, else the oldest that is due."""
        begun = place.reading
        if begun is not None and there.get(begun.name) == begun.mark:
            return begun
        due = [
            (mark.mtime_ns, name)
            for name, mark in there.items()
            if place.read.get(name) != mark and self._arrived_since(place.since, mark) and self._rests(mark)
        ]
        return Reading(name, there[name]) if due and (name := min(due)[1]) else None

    @staticmethod
    def _arrived_since(since: datetime, mark: Mark) -> bool:
        # A copy may keep the time of what it is a copy of; the other time is that of its arrival.
        return max(mark.mtime_ns, mark.ctime_ns) / 1e9 >= since.timestamp()

    def _rests(self, mark: Mark) -> bool:
        # Whoever writes it may have another clock than we, which must not keep it waiting for ever.
        return abs(self._clock.now().timestamp() - mark.mtime_ns / 1e9) >= self._rest_seconds

    def _page(self, directory: int, place: Cursor, reading: Reading) -> OrderPage:
        orders: list[Order] = []
        unreadable: list[UnreadableOrder] = []
        troubles: list[str] = []
        onward: Reading | None = None
        try:
            with _opened(directory, reading.name) as file:
                _require(file, reading.mark)
                onward = self._read(file, reading, orders, unreadable, troubles)
                _require(file, reading.mark)
        except (_ChangedError, FileNotFoundError):
            # It is being written after all, or it is gone: nothing of it counts until it rests.
            return OrderPage((), _text(structs.replace(place, reading=None)), more=False)
        except OSError as error:
            troubles.append(f"it cannot be read: {error.strerror}")
        except Unreadable as error:
            troubles.append(error.message)
        if troubles:
            more = f" (and {len(troubles) - 1} more like it)" if len(troubles) > 1 else ""
            unreadable.append(UnreadableOrder(FILE + reading.name, f"{troubles[0]}{more}", b""))
        troubled = reading.troubled or bool(troubles)
        if onward is not None:
            place = structs.replace(place, reading=structs.replace(onward, troubled=troubled))
            return OrderPage(orders, _text(place), more=True, unreadable=unreadable)
        if reading.name in place.troubled and not troubled:
            orders.append(self._mended(reading.name))
        place = structs.replace(
            place,
            read={**place.read, reading.name: reading.mark},
            troubled=place.troubled | {reading.name} if troubled else place.troubled - {reading.name},
            reading=None,
        )
        return OrderPage(orders, _text(place), more=True, unreadable=unreadable)

    def _read(
        self,
        file: BinaryIO,
        reading: Reading,
        orders: list[Order],
        unreadable: list[UnreadableOrder],
        troubles: list[str],
    ) -> Reading | None:
        """Read a page; returns where to go on in the file, None at its end. Raises `Unreadable`, `OSError`."""
        for entry in self._survey(file, reading).entries(
            Start(reading.offset, reading.line) if reading.offset else None
        ):
            where = f"{reading.name}, line {entry.line}"
            content = entry.content
            if isinstance(content, Order):
                orders.append(content)
            elif content.order_id is not None:
                unreadable.append(UnreadableOrder(content.order_id, f"{where}: {content.reason}", content.raw))
            else:
                troubles.append(f"line {entry.line}: {content.reason}")
                # What stands behind it is judged together with it.
                continue
            read_bytes = entry.offset - reading.offset
            if len(orders) + len(unreadable) >= self._settings.page_size or read_bytes >= MAX_PAGE_BYTES:
                return Reading(reading.name, reading.mark, entry.offset, entry.next_line)
        return None

    def _survey(self, file: BinaryIO, reading: Reading) -> OrderFile:
        known = self._surveyed
        found = OrderFile(
            file,
            self._rules,
            time_zone=self._settings.time_zone,
            fetched_at=self._clock.now(),
            survey=known[2] if known is not None and known[:2] == (reading.name, reading.mark) else None,
        )
        self._surveyed = (reading.name, reading.mark, found.survey)
        return found

    def _mended(self, name: str) -> Order:
        """What resolves that something of a file could not be read: it is among the orders, and none that counts."""
        now = self._clock.now()
        revision = int(now.timestamp() * 1e6)
        return Order(FILE + name, revision, now, (), excluded="a file, which can be read whole now", fetched_at=now)

    def _decoded(self, cursor: str) -> Cursor:
        try:
            return msgspec.json.decode(cursor, type=Cursor)
        except (ValueError, OverflowError, RecursionError) as error:
            message = "the stored cursor is not one of this connector; set the time to poll from anew"
            raise Rejected(message, account=self._name, code="cursor") from error

    @contextmanager
    def _directory(self) -> Iterator[int]:
        """The directory, open: what is named below is looked for in this one, wherever its path leads meanwhile."""
        try:
            directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            message = f"the directory {self._path} cannot be read: {error.strerror}"
            raise Rejected(message, account=self._name, code="directory") from error
        except OSError as error:
            message = f"the directory {self._path} cannot be read now: {error.strerror}"
            raise Unavailable(message, account=self._name, code="directory") from error
        try:
            yield directory
        except OSError as error:
            message = f"the directory {self._path} cannot be read now: {error.strerror}"
            raise Unavailable(message, account=self._name, code="directory") from error
        except ConnectorError as error:
            error.account = error.account or self._name
            raise
        finally:
            os.close(directory)


class _ChangedError(Exception):
    """A file is not what it was when it was found."""


def _files(directory: int) -> dict[str, Mark]:
    """Regular files of a known suffix, right in the directory. Links are not followed, hidden files left alone."""
    found: dict[str, Mark] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if not name.lower().endswith(SUFFIXES) or name.startswith(".") or not _is_fit(name):
                continue
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                found[name] = _mark(status)
            if len(found) > MAX_FILES:
                message = f"the directory holds more than {MAX_FILES} files of orders: move those away that were read"
                raise Rejected(message, code="files")
    return found


def _is_fit(name: str) -> bool:
    return len(name) <= MAX_NAME_CHARACTERS and name.isprintable() and is_storable(name)


def _mark(status: os.stat_result) -> Mark:
    return Mark(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _require(file: BinaryIO, mark: Mark) -> None:
    if _mark(os.fstat(file.fileno())) != mark:
        raise _ChangedError


@contextmanager
def _opened(directory: int, name: str) -> Iterator[BinaryIO]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
        yield file


def _text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
