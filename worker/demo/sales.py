"""Reading sales lines: the data that come with trueup, or a file with the same columns."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from pathlib import Path

PACKAGED = "online-retail-2011-11.csv.gz"
COLUMNS = ("invoice", "stock_code", "quantity", "invoice_date", "unit_price")
CANCELLATION = "C"
"""What the number of a cancellation begins with."""
LARGEST_QUANTITY = 2**31 - 1
"""Both sandboxes take more, but times the units of a link it must stay within 64 bits."""
SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class SalesLine:
    """One line of the file."""

    invoice: str
    stock_code: str
    quantity: int
    """Signed units, never 0."""

    @property
    def is_cancellation(self) -> bool:
        return self.invoice.startswith(CANCELLATION)


class SalesFileError(Exception):
    """A file that cannot be replayed. `problems` holds one sentence each, with the line number where there is one."""

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        shown = list(problems[:SHOWN_PROBLEMS])
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        super().__init__("\n".join([f"{name} cannot be replayed:", *(f"  {problem}" for problem in shown)]))
        self.problems = problems


def read(path: Path | None = None) -> Sequence[SalesLine]:
    """All lines of a file, in its order; without a path, those that come with trueup.

    Raises `SalesFileError` with every problem of the file at once.
    """
    name = PACKAGED if path is None else str(path)
    try:
        content = files(__package__).joinpath("data", PACKAGED).read_bytes() if path is None else path.read_bytes()
        if name.endswith(".gz"):
            content = gzip.decompress(content)
        text = content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise SalesFileError(name, [f"it cannot be read: {error}"]) from error
    except UnicodeDecodeError as error:
        raise SalesFileError(name, [f"it is not UTF-8 text: {error}"]) from error
    return parse(io.StringIO(text, newline=""), name)


def parse(lines: Iterable[str], name: str = "the file") -> Sequence[SalesLine]:
    """Parse CSV lines, the header first. Raises `SalesFileError`."""
    reader = csv.reader(lines, strict=True)
    problems: list[str] = []
    found: list[SalesLine] = []
    try:
        header = next(reader, None)
        missing = [column for column in COLUMNS if column not in (header or ())]
        if header is None or missing:
            wanted = ", ".join(COLUMNS)
            problem = f"line 1: the header has no {' and no '.join(missing)}; the columns are {wanted}"
            raise SalesFileError(name, [problem])
        places = [header.index(column) for column in COLUMNS]
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                problems.append(f"line {reader.line_num}: {len(row)} fields instead of {len(header)}")
                continue
            values = [row[place].strip() for place in places]
            wrong = list(_wrong(*values))
            problems += [f"line {reader.line_num}: {problem}" for problem in wrong]
            if not wrong:
                found.append(SalesLine(values[0], values[1], int(values[2])))
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}")
    if not problems and not found:
        problems.append("it has no lines but the header")
    if problems:
        raise SalesFileError(name, problems)
    return found


def _wrong(invoice: str, stock_code: str, quantity: str, invoice_date: str, unit_price: str) -> Iterator[str]:
    if not invoice:
        yield "there is no invoice number"
    if not stock_code:
        yield "there is no stock_code"
    yield from _wrong_quantity(invoice, quantity)
    try:
        datetime.fromisoformat(invoice_date)
    except ValueError:
        yield f"invoice_date {invoice_date!r} is not a time like 2011-11-01 08:16:00"
    try:
        finite = Decimal(unit_price).is_finite()
    except InvalidOperation:
        finite = False
    if not finite:
        yield f"unit_price {unit_price!r} is not a number"


def _wrong_quantity(invoice: str, quantity: str) -> Iterator[str]:
    try:
        units = int(quantity)
    except ValueError:
        yield f"quantity {quantity!r} is not a whole number"
        return
    if units == 0:
        yield "quantity is 0"
    elif abs(units) > LARGEST_QUANTITY:
        yield f"quantity {quantity} is larger than {LARGEST_QUANTITY}"
    elif units > 0 and invoice.startswith(CANCELLATION):
        yield f"quantity {quantity} of a cancellation ({invoice}) is not below zero"
