"""Numbers swapped on the wire for a quantity that the kit has placed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from connectors.contract import MAX_QUANTITY

SWAPPED = 424_242
"""What is placed: a number that nothing else in an answer has."""
LARGEST = MAX_QUANTITY
ALWAYS_READ = 2**31 - 1
"""What every vendor's quantity can be; a connector that reads less is too strict."""

_IN_DIGITS = re.compile(rb"(?<![\d.\w-])%d(?![\d.\w])" % SWAPPED)
_WITH_QUOTES = re.compile(rb"\"%d\"|(?<![\d.\w-])%d(?![\d.\w])" % (SWAPPED, SWAPPED))


@dataclass(frozen=True, slots=True)
class Swap:
    """One number, or something that is none."""

    text: str
    units: int | None
    """As an integer; None when it is none."""

    @property
    def must_be_read(self) -> bool:
        """Whether a connector has to read it."""
        return self.units is not None and 0 <= self.units <= ALWAYS_READ

    @property
    def may_be_read(self) -> bool:
        """Whether there is a right way to read it at all."""
        return self.units is not None and abs(self.units) <= LARGEST

    def rewrite(self, body: bytes) -> bytes:
        """A body with this where the quantity was."""
        pattern = _WITH_QUOTES if self.units is None else _IN_DIGITS
        return pattern.sub(self.text.encode(), body)


def swaps() -> Iterator[Swap]:
    """Zero, one, the largest, too large, below zero, and what is no whole number at all."""
    for number in (0, 1, ALWAYS_READ, LARGEST, LARGEST + 1, 10**30, -3):
        yield Swap(str(number), number)
    for text in ("2.5", '"12abc"', "true", "null", "1e400", '""', "[3]"):
        yield Swap(text, None)
