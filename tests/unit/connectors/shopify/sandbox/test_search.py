"""The search syntax: what is found, what is ignored, and that ignoring is said."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from connectors.shopify.sandbox.search import Search, moment, number, one_of, parse, word


class Subject(NamedTuple):
    number: int = 7
    changed: int = 1_767_225_600  # 2026-01-01T00:00:00Z
    state: str = "PAID"
    tags: tuple[str, ...] = ("Gift", "b2b")


TERMS = {
    "id": number(lambda subject: subject.number),
    "updated_at": moment(lambda subject: subject.changed),
    "state": word(lambda subject: subject.state),
    "tag": one_of(lambda subject: subject.tags),
}


def search(text: str | None) -> Search:
    return parse(text, TERMS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, True),
        ("  ", True),
        ("id:7", True),
        ("id:>7", False),
        ("id:>=7", True),
        ("id:<7", False),
        ("state:paid", True),
        ("state:pending", False),
        ("-state:pending", True),
        ("NOT state:paid", False),
        ("tag:GIFT", True),
        ("tag:other", False),
        ("updated_at:>='2026-01-01T00:00:00Z'", True),
        ("updated_at:>'2026-01-01T00:00:00Z'", False),
        ('updated_at:<="2026-01-01T01:00:00+01:00"', True),
        ("updated_at:<2026-01-01", False),
        ("updated_at:'2026-01-01T00:00:00Z'", True),
        ("id:7 state:pending", False),
        ("id:7 AND state:paid", True),
        ("id:8 OR state:paid", True),
        ("id:8 OR (state:paid tag:b2b)", True),
        ("(id:8 OR id:7) state:pending", False),
        ("(id:7) state:paid", True),
    ],
)
def test_a_search_finds_what_it_says(text: str | None, found: bool) -> None:
    parsed = search(text)
    assert parsed.matches(Subject()) is found
    assert not parsed.warnings


@pytest.mark.parametrize(
    ("text", "key", "code"),
    [
        ("changed_at:>='2026-01-01'", "changed_at", "invalid_field"),
        ("updated_at:>=2026-01-01T00:00:00Z", "updated_at", "invalid_value"),
        ("updated_at:'yesterday'", "updated_at", "invalid_value"),
        ("id:seven", "id", "invalid_value"),
        ("state:>paid", "state", "invalid_value"),
        ("tag:>gift", "tag", "invalid_value"),
        ("anything", "default", "missing_named_field"),
    ],
)
def test_what_cannot_be_used_is_ignored_with_a_warning(text: str, key: str, code: str) -> None:
    parsed = search(f"{text} id:7")
    assert parsed.matches(Subject())
    assert not parsed.matches(Subject(number=8))
    assert [(warning["field"], warning["code"]) for warning in parsed.warnings] == [(key, code)]


@pytest.mark.parametrize("text", ["NOT", "(", ")", "id:7 )", "(((id:7", "OR", "AND", "-"])
def test_a_broken_search_is_read_as_far_as_it_goes(text: str) -> None:
    assert search(text).matches(Subject()) in (True, False)


def test_bounds_hold_for_every_hit() -> None:
    text = "updated_at:>='2026-01-01T00:00:00Z' updated_at:<='2026-01-02T00:00:00Z' id:7"
    assert search(text).bounds == {"updated_at": (1_767_225_600, 1_767_312_000)}
    assert search("updated_at:>='2026-01-01' OR id:8").bounds == {}
    assert search("-updated_at:>='2026-01-01'").bounds == {}
