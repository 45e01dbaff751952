"""Files of orders, as CSV or as JSON lines: read as a stream, each order whole or not at all.

A line that cannot be read is told with its number, and its neighbours go on. In CSV an order is a run of rows, so that
a row of which cannot even be told whose it is makes the orders on both its sides unreadable too: it may be of either.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import BinaryIO, Literal
from zoneinfo import ZoneInfo

from msgspec import UNSET

from connectors.contract import MAX_QUANTITY, FileEntry, Order, UnreadableOrder
from connectors.errors import Unreadable
from connectors.standard.orders import LineRow, OrderRow, Rules, moment_of, named, order_row, to_order
from connectors.text import legible

MAX_LINE_BYTES = 1024 * 1024
"""Of one physical line; a longer one is passed over. A cell ends at the `csv` module's own 128 KiB."""

REQUIRED = ("order_id", "placed_at", "sku", "quantity")
OPTIONAL = ("line_id", "version", "updated_at", "status", "item_id", "cancelled", "restocked", "source")
COLUMNS = (*REQUIRED, *OPTIONAL)

_BOM = codecs.BOM_UTF8
_OTHER_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LOCAL = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]{1,9})?(Z|[+-][0-9:]{5})?")
_WHOLE = re.compile(r"([0-9]{1,19})(?:\.0{1,10})?")


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin in a file that was read in part."""

    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over a file has found of it, before anything of it is believed."""

    kind: Literal["empty", "csv", "json"]
    start: Start
    delimiter: str = ","
    header: tuple[str, ...] = ()
    scattered: frozenset[bytes] = frozenset()
    """Digests of the orders whose rows do not stand together."""


class OrderFile:
    """One open file. Raises `Unreadable` when it is none of orders."""

    def __init__(
        self,
        stream: BinaryIO,
        rules: Rules,
        *,
        time_zone: str | None,
        fetched_at: datetime,
        survey: Survey | None = None,
    ) -> None:
        """`survey` is of the same file, when it was looked at before."""
        self._stream = stream
        self._rules = rules
        self._zone = None if time_zone is None else ZoneInfo(time_zone)
        self._fetched_at = fetched_at
        self.survey = survey or _surveyed(stream)

    def entries(self, start: Start | None = None) -> Iterator[FileEntry]:
        """Everything from `start` on, which is the end of an entry, or from the beginning."""
        place = start or self.survey.start
        lines = _Lines(self._stream, place)
        if self.survey.kind == "json":
            yield from self._json_entries(lines)
        elif self.survey.kind == "csv":
            yield from self._csv_entries(lines)

    def _json_entries(self, lines: _Lines) -> Iterator[FileEntry]:
        while True:
            number = lines.number
            content: Order | UnreadableOrder | None
            try:
                line = next(lines).strip()
                content = self._order(order_row(line)) if line else None
            except StopIteration:
                return
            except _TooLongError as error:
                content = UnreadableOrder(None, str(error), b"")
            except Unreadable as error:
                content = UnreadableOrder(error.order_id, error.message, b"")
            if content is not None:
                yield FileEntry(number, content, lines.number, lines.offset)

    def _csv_entries(self, lines: _Lines) -> Iterator[FileEntry]:
        suspect = ""
        """Why the next order may lack a row."""
        for run in _runs(_rows(lines, self.survey)):
            first, last = run.rows[0], run.rows[-1]
            if run.broken is not None:
                content: Order | UnreadableOrder = UnreadableOrder(None, run.broken, b"")
                suspect = f"line {first.line}, before it, cannot be read, and may be of it"
            else:
                content = self._run_order(run, suspect or run.suspect)
                suspect = ""
            yield FileEntry(first.line, content, last.next_line, last.offset)

    def _run_order(self, run: _Run, suspect: str) -> Order | UnreadableOrder:
        order_id = named(run.rows[0].cells["order_id"])
        if not suspect and _key(run.rows[0]) in self.survey.scattered:
            suspect = "its rows do not stand together: sort the file by order_id"
        if suspect:
            return UnreadableOrder(order_id, suspect, b"")
        try:
            return self._order(_order_of(run.rows, self._zone))
        except ValueError as error:
            return UnreadableOrder(order_id, str(error), b"")
        except Unreadable as error:
            return UnreadableOrder(error.order_id, error.message, b"")

    def _order(self, row: OrderRow) -> Order:
        return to_order(row, self._rules, fetched_at=self._fetched_at)


# Lines ------------------------------------------------------------------------------------------------------------


class _TooLongError(Exception):
    """A line is longer than `MAX_LINE_BYTES`."""


class _Lines:
    """A stream's lines, from a place on. It goes on after an error."""

    def __init__(self, stream: BinaryIO, start: Start) -> None:
        stream.seek(start.offset)
        self._stream = stream
        self.offset = start.offset
        self.number = start.line
        """Of the line that comes next."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self._piece()
        if not line:
            raise StopIteration
        number, too_long = self.number, len(line) > MAX_LINE_BYTES
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = self._piece()
        self.number += 1
        if too_long:
            raise _TooLongError(f"line {number} is longer than {MAX_LINE_BYTES // 1024**2} MiB")
        return line

    def _piece(self) -> bytes:
        piece = self._stream.readline(MAX_LINE_BYTES + 1)
        self.offset += len(piece)
        return piece


def _surveyed(stream: BinaryIO) -> Survey:
    stream.seek(0)
    head = stream.read(4)
    if head.startswith(_OTHER_BOMS) or b"\x00" in head:
        raise Unreadable("the file is in UTF-16: save it as UTF-8", code="file")
    lines = _Lines(stream, Start(len(_BOM) if head.startswith(_BOM) else 0, 1))
    while True:
        start = Start(lines.offset, lines.number)
        try:
            first = next(lines)
        except StopIteration:
            return Survey("empty", start)
        except _TooLongError as error:
            raise Unreadable(f"{error}: this is no file of orders", code="file") from error
        if first.strip():
            break
    if first.lstrip().startswith(b"{"):
        return Survey("json", start)
    if first.lstrip().startswith(b"["):
        raise Unreadable("the file is one JSON list: write one order a line, without [ and commas between", code="file")
    delimiter, header = _header(first)
    survey = Survey("csv", Start(lines.offset, lines.number), delimiter, header)
    return Survey("csv", survey.start, delimiter, header, _scattered(_rows(lines, survey)))


# CSV --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: dict[str, str]
    next_line: int
    offset: int
    broken: str | None = None
    """Why it cannot be told what it says, not even of which order."""


@dataclass(slots=True)
class _Run:
    """Rows of one order that stand together, or one that is broken."""

    rows: list[_Row]
    broken: str | None = None
    suspect: str = field(default="")
    """Why the order may lack a row at its end."""


def _header(line: bytes) -> tuple[str, tuple[str, ...]]:
    """The delimiter, and the name of each column; names that mean nothing here are left as they are."""
    text = line.decode("utf-8", "replace").strip("\r\n")
    tried = {}
    for delimiter in (",", ";", "\t"):
        try:
            names = next(csv.reader([text], delimiter=delimiter, strict=True))
        except (csv.Error, StopIteration):
            continue
        tried[delimiter] = tuple("_".join(name.strip().lower().split()) for name in names)
    delimiter, header = max(tried.items(), key=lambda entry: len({*entry[1]} & {*COLUMNS}), default=(",", ()))
    missing = [name for name in REQUIRED if name not in header]
    twice = sorted({name for name in COLUMNS if header.count(name) > 1})
    if missing or twice:
        found = legible(", ".join(header)[:200])
        said = f"has no column {', '.join(missing)}" if missing else f"names {', '.join(twice)} twice"
        raise Unreadable(f"the file's first line {said}; it has: {found}", code="header")
    return delimiter, header


class _Text:
    """Lines as text for the `csv` module. What is no UTF-8 stays recognizable, for whoever needs that very cell."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._lines).decode("utf-8", "surrogateescape")


def _rows(lines: _Lines, survey: Survey) -> Iterator[_Row]:
    reader = csv.reader(_Text(lines), delimiter=survey.delimiter, strict=True)
    columns = [(place, name) for place, name in enumerate(survey.header) if name in COLUMNS]
    while True:
        number, broken, cells = lines.number, None, list[str]()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLongError) as error:
            to = f" to {lines.number - 1}" if lines.number - 1 > number else ""
            broken = f"line {number}{to} is no CSV: {error}"
        if broken is None and not any(cell.strip() for cell in cells):
            continue
        named = {name: cells[place].strip() if place < len(cells) else "" for place, name in columns}
        if broken is None and any(cell.strip() for cell in cells[len(survey.header) :]):
            broken = (
                f"line {number} has more cells than the first line: is a text with {survey.delimiter!r} not quoted?"
            )
        if broken is None and not named["order_id"]:
            broken = f"line {number} names no order"
        yield _Row(number, named, lines.number, lines.offset, broken)


def _key(row: _Row) -> bytes:
    """What tells the rows of one state of an order: bounded, however long its cells are."""
    text = "\x00".join((row.cells["order_id"], row.cells.get("version", ""), row.cells.get("updated_at", "")))
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _scattered(rows: Iterator[_Row]) -> frozenset[bytes]:
    seen: set[bytes] = set()
    scattered: set[bytes] = set()
    before = b""
    for row in rows:
        key = b"" if row.broken is not None else _key(row)
        if key and key != before:
            (scattered if key in seen else seen).add(key)
        before = key or before
    return frozenset(scattered)


def _runs(rows: Iterator[_Row]) -> Iterator[_Run]:
    run: _Run | None = None
    for row in chain(rows, [None]):
        if run is not None and row is not None and row.broken is None and _key(row) == _key(run.rows[0]):
            run.rows.append(row)
            continue
        if run is not None:
            if row is not None and row.broken is not None:
                run.suspect = f"line {row.line}, behind it, cannot be read, and may be of it"
            yield run
            run = None
        if row is not None and row.broken is not None:
            yield _Run([row], row.broken)
        elif row is not None:
            run = _Run([row])


def _order_of(rows: Sequence[_Row], zone: ZoneInfo | None) -> OrderRow:
    """The order of a run of rows. Raises ValueError with the line that is to blame."""
    first = rows[0]
    for row in rows:
        for name in ("placed_at", "status", "source"):
            if row.cells.get(name, "") != first.cells.get(name, ""):
                raise ValueError(f"line {row.line} says another {name} than line {first.line}")
    version, updated_at = first.cells.get("version", ""), first.cells.get("updated_at", "")
    status = first.cells.get("status", "").lower() or "open"
    if status not in ("open", "cancelled"):
        raise ValueError(f"line {first.line}: its status is neither open nor cancelled")
    return OrderRow(
        order_id=first.cells["order_id"],
        placed_at=_moment(first, "placed_at", zone),
        lines=_lines_of(rows),
        version=_units(first, "version") if version else UNSET,
        updated_at=_moment(first, "updated_at", zone) if updated_at else UNSET,
        status="cancelled" if status == "cancelled" else "open",
        source=first.cells.get("source") or UNSET,
    )


def _lines_of(rows: Sequence[_Row]) -> list[LineRow]:
    """One line for each row; rows without a line id are one line for each SKU, whose units add up."""
    by_id: dict[str, LineRow] = {}
    summed: set[str] = set()
    for row in rows:
        line_id, sku = row.cells.get("line_id", ""), row.cells["sku"]
        if not line_id and not sku:
            raise ValueError(f"line {row.line} has neither a sku nor a line_id")
        line = LineRow(
            line_id=line_id or sku,
            quantity=_units(row, "quantity"),
            sku=sku or None,
            item_id=row.cells.get("item_id") or UNSET,
            cancelled=_units(row, "cancelled"),
            restocked=_units(row, "restocked"),
        )
        known = by_id.get(line.line_id)
        if known is None:
            by_id[line.line_id] = line
            if not line_id:
                summed.add(sku)
            continue
        if line_id or line.line_id not in summed:
            raise ValueError(f"line {row.line} has the line_id of another row of its order")
        known.quantity += line.quantity
        known.cancelled += line.cancelled
        known.restocked += line.restocked
        if known.quantity > MAX_QUANTITY:
            raise ValueError(f"line {row.line}: the units of its sku are more than a quantity can hold")
    return list(by_id.values())


def _units(row: _Row, name: str) -> int:
    text = row.cells.get(name, "")
    if not text and name in OPTIONAL:
        return 0
    whole = _WHOLE.fullmatch(text)
    if whole is None or int(whole[1]) > MAX_QUANTITY:
        advice = "; what came back is told by restocked on the line that sold it" if text.startswith("-") else ""
        raise ValueError(f"line {row.line}: {name} is not a whole number from 0 on{advice}")
    return int(whole[1])


def _moment(row: _Row, name: str, zone: ZoneInfo | None) -> str:
    """A moment in our format. One without an offset is of the channel's time zone."""
    parts = _LOCAL.fullmatch(row.cells.get(name, ""))
    if parts is None:
        raise ValueError(f"line {row.line}: {name} is no moment like 2026-01-31T12:00:00Z")
    date, minute, second, fraction, offset = parts.groups()
    text = f"{date}T{minute}{second or ':00'}{fraction or ''}"
    if offset:
        return f"{text}{offset}"
    if zone is None:
        raise ValueError(f"line {row.line}: {name} has no offset; give it one, like +01:00, or set time_zone")
    # Judged as if in UTC first: what no calendar has, has no place in any zone.
    moment = moment_of(f"{text}Z", f"line {row.line}: {name}")
    return moment.replace(tzinfo=zone).astimezone(UTC).isoformat()
