"""The CSV form of SKU links. Pure: text in, rows or a list of everything that is wrong out.

    channel,sku,listing_id,units,from
    acme-shop,MUG-BLUE,2fd8…,1,
    acme-shop,MUG-6PACK,2fd8…,6,2026-11-01T00:00:00Z

`units` is how many units of the listing one sale of the SKU takes (1 when left out); `from` is when the link begins
(left out: see `versions`). One SKU may stand in several rows: a kit.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.contract import MAX_QUANTITY
from connectors.text import MAX_ID_CHARACTERS, is_storable

REQUIRED = ("channel", "sku", "listing_id")
COLUMNS = (*REQUIRED, "units", "from")


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One thing that is wrong with one line of the file."""

    line: int
    """As an editor counts: the header is line 1."""
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}. {self.remedy}"


class LinkTableError(Exception):
    """The file cannot be imported; nothing of it was. Lists every problem."""

    def __init__(self, problems: Iterable[RowProblem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"The links were not imported: {count}", *(f"  - {p}" for p in self.problems)]))


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One link, as the file has it."""

    line: int
    channel: str
    sku: str
    listing_id: str
    units: int
    from_at: datetime | None
    """None: the default applies."""

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.channel, self.sku, self.listing_id)


def parse(text: str) -> tuple[Sequence[LinkRow], Sequence[RowProblem]]:
    """Read the file; rows that can be read, and a problem for each that cannot."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        problems = _header_problems(header)
        if problems:
            return (), problems
        return _rows(reader, header)
    except csv.Error as error:
        return (), [RowProblem(reader.line_num, f"is not CSV: {error}", "Quote fields that hold quotes or line breaks")]


def _header_problems(header: Sequence[str]) -> list[RowProblem]:
    known = f"The columns are: {','.join(COLUMNS)} (units and from may be left out)"
    missing = [name for name in REQUIRED if name not in header]
    unknown = [name for name in header if name not in COLUMNS]
    doubled = sorted({name for name in header if header.count(name) > 1} - set(unknown))
    problems = []
    if missing:
        problems.append(RowProblem(1, f"the header lacks {', '.join(missing)}", known))
    if unknown and not missing:
        problems.append(RowProblem(1, f"unknown columns: {', '.join(name or '(empty)' for name in unknown)}", known))
    if doubled:
        problems.append(RowProblem(1, f"columns stand there twice: {', '.join(doubled)}", known))
    return problems


def _rows(reader: Iterable[list[str]], header: Sequence[str]) -> tuple[list[LinkRow], list[RowProblem]]:
    rows: list[LinkRow] = []
    problems: list[RowProblem] = []
    first_line: dict[tuple[str, str, str], int] = {}
    line_before = 1
    for fields in reader:
        # A quoted line break makes a record longer than a line: it is named by where it begins.
        line, line_before = line_before + 1, getattr(reader, "line_num", line_before + 1)
        if not any(field.strip() for field in fields):
            continue
        if len(fields) != len(header):
            what = f"has {len(fields)} fields, but the header has {len(header)}"
            problems.append(RowProblem(line, what, "Quote fields that hold a comma"))
            continue
        # The SKU stays as it is: spaces are part of how the channel spells it.
        named = dict(zip(header, fields, strict=True))
        row = _row(line, {name: field if name == "sku" else field.strip() for name, field in named.items()}, problems)
        if row is None:
            continue
        if row.key in first_line:
            what = (
                f"the link of SKU {row.sku!r} to listing {row.listing_id} stands in line {first_line[row.key]} already"
            )
            problems.append(RowProblem(line, what, "Keep one of the two"))
            continue
        first_line[row.key] = line
        rows.append(row)
    return rows, problems


def _row(line: int, fields: Mapping[str, str], problems: list[RowProblem]) -> LinkRow | None:
    before = len(problems)
    for name in REQUIRED:
        if not fields[name].strip():
            problems.append(RowProblem(line, f"{name} is empty", "Fill it in, or remove the line"))
        elif not is_storable(fields[name]):
            what = f"{name} is longer than {MAX_ID_CHARACTERS} characters, or holds some that no database can store"
            problems.append(RowProblem(line, what, "Correct it"))
    units = _units(line, fields.get("units", ""), problems)
    from_at = _moment(line, fields.get("from", ""), problems)
    if len(problems) > before:
        return None
    return LinkRow(line, fields["channel"], fields["sku"], fields["listing_id"], units, from_at)


def _units(line: int, text: str, problems: list[RowProblem]) -> int:
    if not text:
        return 1
    # `isdecimal` alone would take digits of other scripts; 20 digits are more than any quantity.
    if text.isascii() and text.isdecimal() and len(text) < 20 and 0 < int(text) <= MAX_QUANTITY:
        return int(text)
    problems.append(
        RowProblem(line, f"units is {text[:30]!r}", "Write a whole number from 1 on: listing units one sale takes")
    )
    return 1


def _moment(line: int, text: str, problems: list[RowProblem]) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        what = f"from is {text[:40]!r}, without an offset from UTC"
    except (ValueError, OverflowError):
        what = f"from is {text[:40]!r}, which is no time"
    problems.append(RowProblem(line, what, "Write it like 2026-11-01T00:00:00Z"))
    return None


def written(rows: Iterable[tuple[str, str, str, int | str, datetime | str]]) -> str:
    """The file of these links: channel, SKU, listing, units, from. What it says can be imported again.

    Units and from may be texts, as somebody typed them: `parse` says what is wrong with them.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*row[:4], row[4] if isinstance(row[4], str) else _told(row[4])) for row in rows)
    return out.getvalue()


def _told(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
