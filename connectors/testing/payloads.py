"""Cases of what a vendor sends: new fields, new words, missing fields, and numbers of every size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from connectors.errors import ConnectorError
from connectors.testing.numbers import LARGEST, SWAPPED, swaps
from connectors.testing.readings import Reading, ReadingBench
from connectors.testing.sandboxes import CanLeaveOut, CanNameEnumerations
from connectors.testing.spoiling import (
    NEW_WORD,
    Path,
    json_body,
    paths,
    with_another_type,
    with_new_fields,
    with_new_word,
    without,
)
from connectors.testing.verdict import NotShown, require
from connectors.testing.wire import rewritten

MOST_FIELDS = 150
"""Of one answer, one of each name and depth: more show nothing new."""


class PayloadCases:
    """Of every read of the connector, whatever its role. The bodies are spoilt on the wire."""

    def test_fields_nobody_knows_change_nothing(self, bench: ReadingBench[Any]) -> None:
        for reading in bench.readings():
            before = reading.fact(reading.undisturbed())
            result = bench.spoilt(reading, rewritten(json_body(with_new_fields)))
            require(
                not isinstance(result, ConnectorError) and reading.fact(result) == before,
                "vendors add fields any day: what is not known is passed over",
                seen=f"every object in the answers to {reading.name} had one field more; it came to {result!r:.200}",
                mend="forbid no extra fields where answers are parsed",
            )

    def test_a_word_nobody_knows_is_told(self, bench: ReadingBench[Any]) -> None:
        names = set(bench.can(CanNameEnumerations, "enumerations").enumerations)
        for reading in bench.readings():
            before = reading.undisturbed()
            for name in sorted(names):
                self._spoilt(
                    bench,
                    reading,
                    before,
                    partial(with_new_word, name=name),
                    what=f"{name} was {NEW_WORD!r}",
                    mend=f"raise Unreadable for a {name} that is in neither list: a person decides what it means",
                )

    def test_a_field_that_is_missing_is_never_another_number(self, bench: ReadingBench[Any]) -> None:
        meant = tuple(bench.sandbox.left_out) if isinstance(bench.sandbox, CanLeaveOut) else ()
        for reading in bench.readings():
            before = reading.undisturbed()
            for path in _paths_of(bench, reading):
                if f".{'.'.join(path)}".endswith(tuple(f".{end}" for end in meant)):
                    continue
                self._spoilt(
                    bench,
                    reading,
                    before,
                    partial(without, path=path),
                    what=f"{'.'.join(path)} was left out",
                    mend="raise Unreadable for a field that is missing; if the vendor documents what that means, name "
                    "it in the sandbox's `left_out` (CanLeaveOut)",
                )

    def test_a_field_of_another_type_is_never_another_number(self, bench: ReadingBench[Any]) -> None:
        for reading in bench.readings():
            before = reading.undisturbed()
            for path in _paths_of(bench, reading):
                self._spoilt(
                    bench,
                    reading,
                    before,
                    partial(with_another_type, path=path),
                    what=f"{'.'.join(path)} was an object of something else",
                    mend="check the type of a field before using it, and raise Unreadable for another",
                )

    def test_quantities_of_every_size_are_right_or_unreadable(self, bench: ReadingBench[Any]) -> None:
        bench.prepare(SWAPPED)
        for reading in bench.readings():
            if reading.units is not None:
                self._of_every_size(bench, reading)

    @staticmethod
    def _of_every_size(bench: ReadingBench[Any], reading: Reading) -> None:
        reading.undisturbed()
        for swap in swaps():
            result = bench.spoilt(reading, rewritten(swap.rewrite))
            if isinstance(result, ConnectorError):
                complaint = f"it is refused: {result}" if swap.must_be_read else None
            else:
                complaint = bench.size_complaint(reading, result, swap)
            require(
                complaint is None,
                f"quantities are integers of 0 to {LARGEST}; anything else is Unreadable, never rounded nor cut",
                seen=f"{reading.name} was answered with a quantity of {swap.text}: {complaint}",
                mend="parse quantities by one strict function: a whole number within the bounds of "
                "connectors.contract.MAX_QUANTITY, or Unreadable",
            )

    @staticmethod
    def _spoilt(
        bench: ReadingBench[Any],
        reading: Reading,
        before: Any,
        spoil: Callable[[Any], Any],
        *,
        what: str,
        mend: str,
    ) -> None:
        result = bench.spoilt(reading, rewritten(json_body(spoil)))
        complaint = None if isinstance(result, ConnectorError) else reading.complaint(before, result)
        require(
            complaint is None,
            "what does not have its documented shape is told (Unreadable, or among the unreadable of a page), never "
            "taken for something else",
            seen=f"{reading.name}, where {what}: {complaint}",
            mend=mend,
        )


def _paths_of(bench: ReadingBench[Any], reading: Reading) -> list[Path]:
    """The fields of the answers to a reading, each name at each depth once."""
    found: dict[Path, None] = {}

    def note(content: Any) -> Any:
        found.update(dict.fromkeys(paths(content)))
        return content

    bench.wire.fail(rewritten(json_body(note)))
    reading.undisturbed()
    bench.wire.mend()
    if not found:
        raise NotShown(f"the answers to {reading.name} are no JSON, so the kit cannot take fields out of them")
    return list(found)[:MOST_FIELDS]
