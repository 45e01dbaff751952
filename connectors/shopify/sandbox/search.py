"""The search syntax of `query:` arguments (docs, "Shopify API search syntax"): terms, AND, OR, NOT, parentheses.

A term that cannot be used is ignored, as the vendor does, and reported as a warning: the search then finds more than
was asked for.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Predicate = Callable[[Any], bool]
Term = Callable[[str, str], Predicate]
"""Makes the predicate of one key from a comparator (empty for equality) and a value; ValueError: not usable."""

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<open>\() | (?P<close>\)) | (?P<or>OR\b) | (?P<and>AND\b) | (?P<not>NOT\b|-) |
    (?P<key>[A-Za-z_]+):(?P<comparator>[<>]=?|)(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<bare>[^\s()]+)) |
    (?P<word>\S+)
    )""",
    re.VERBOSE,
)

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(slots=True)
class Search:
    """One parsed search."""

    matches: Predicate
    warnings: list[dict[str, str]] = field(default_factory=list)
    bounds: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    """Lowest and highest value (inclusive) that every hit has, for keys of whole numbers: where to start looking."""


def number(value_of: Callable[[Any], int]) -> Term:
    """A key that compares whole numbers."""

    def term(comparator: str, value: str) -> Predicate:
        return _compared(comparator, value_of, int(value))

    return term


def moment(value_of: Callable[[Any], int]) -> Term:
    """A key that compares Unix seconds with a date or time; without a zone it is UTC."""

    def term(comparator: str, value: str) -> Predicate:
        return _compared(comparator, value_of, _seconds(value))

    return term


def word(value_of: Callable[[Any], str | None]) -> Term:
    """A key that is equal to a word, whatever its case."""

    def term(comparator: str, value: str) -> Predicate:
        if comparator:
            message = f"{comparator} does not apply to words"
            raise ValueError(message)
        wanted = value.casefold()
        return lambda subject: (value_of(subject) or "").casefold() == wanted

    return term


def one_of(values_of: Callable[[Any], Iterable[str | None]]) -> Term:
    """A key of which a subject has several words, one of them equal, whatever its case."""

    def term(comparator: str, value: str) -> Predicate:
        if comparator:
            message = f"{comparator} does not apply to words"
            raise ValueError(message)
        wanted = value.casefold()
        return lambda subject: any((one or "").casefold() == wanted for one in values_of(subject))

    return term


def parse(text: str | None, terms: Mapping[str, Term]) -> Search:
    """Never fails: what it cannot read is ignored with a warning."""
    if not text or not text.strip():
        return Search(_everything)
    return _Parser(text, terms).search()


class _Parser:
    def __init__(self, text: str, terms: Mapping[str, Term]) -> None:
        self._tokens = [match for match in _TOKEN.finditer(text) if match.lastgroup]
        self._position = 0
        self._terms = terms
        self._warnings: list[dict[str, str]] = []
        self._bounds: dict[str, tuple[int | None, int | None]] = {}

    def search(self) -> Search:
        parts: list[Predicate] = []
        while self._position < len(self._tokens):
            parts.append(self._any())
            # A closing parenthesis too many ends nothing.
            if self._at("close"):
                self._position += 1
        # Bounds narrow the walk only where every hit must obey them: in a plain list of terms.
        plain = all(token.lastgroup not in ("open", "close", "or", "not") for token in self._tokens)
        return Search(_all_of(parts), self._warnings, self._bounds if plain else {})

    def _at(self, *kinds: str) -> bool:
        return self._position < len(self._tokens) and self._kind() in kinds

    def _kind(self) -> str:
        token = self._tokens[self._position]
        return "term" if token["key"] else token.lastgroup or ""

    def _any(self) -> Predicate:
        choices = [self._every()]
        while self._at("or"):
            self._position += 1
            choices.append(self._every())
        return choices[0] if len(choices) == 1 else lambda subject: any(choice(subject) for choice in choices)

    def _every(self) -> Predicate:
        parts: list[Predicate] = []
        while self._position < len(self._tokens) and not self._at("or", "close"):
            if self._at("and"):
                self._position += 1
            else:
                parts.append(self._one())
        return _all_of(parts)

    def _one(self) -> Predicate:
        kind = self._kind()
        token = self._tokens[self._position]
        self._position += 1
        if kind == "not":
            if self._position == len(self._tokens):
                return _everything
            inner = self._one()
            return lambda subject: not inner(subject)
        if kind == "open":
            inner = self._any()
            if self._at("close"):
                self._position += 1
            return inner
        if kind == "term":
            return self._term(token)
        self._warn("default", "Input must use named search fields in this query.", "missing_named_field")
        return _everything

    def _term(self, token: re.Match[str]) -> Predicate:
        key, comparator, bare = token["key"], token["comparator"], token["bare"]
        make = self._terms.get(key)
        if make is None:
            self._warn(key, "Invalid search field for this query.", "invalid_field")
            return _everything
        value = bare or token["single"] or token["double"] or ""
        try:
            # Without quotes the vendor takes a colon for the end of a key.
            predicate = make(comparator, "" if bare and ":" in bare else value)
            self._bound(key, comparator, value)
        except ValueError:
            self._warn(key, f"Invalid value `{value}` for this search field.", "invalid_value")
            return _everything
        return predicate

    def _bound(self, key: str, comparator: str, value: str) -> None:
        if not key.endswith("_at"):
            return
        second = _seconds(value)
        lowest, highest = self._bounds.get(key, (None, None))
        if comparator in ("", ">", ">="):
            lowest = second if lowest is None else max(lowest, second)
        if comparator in ("", "<", "<="):
            highest = second if highest is None else min(highest, second)
        self._bounds[key] = lowest, highest

    def _warn(self, key: str, message: str, code: str) -> None:
        self._warnings.append({"field": key, "message": message, "code": code})


def _everything(_subject: object) -> bool:
    return True


def _all_of(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda subject: all(part(subject) for part in parts)


def _compared(comparator: str, value_of: Callable[[Any], int], wanted: int) -> Predicate:
    compare = _COMPARE[comparator]
    return lambda subject: compare(value_of(subject), wanted)


def _seconds(value: str) -> int:
    parsed = datetime.fromisoformat(value)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
