"""Paging, filtering and sorting, as all lists of the API do them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from .errors import ApiError, bad_request

MAX_LIMIT = 100
MAX_OFFSET = 10_000
MAX_CONDITIONS = 10
_CONDITION = re.compile(r"(eq|like|in|gt|ge|lt|le)\(([a-z_.]+),(\"[^\"]*\"|[^()]*)\)")

T = TypeVar("T")
Condition = tuple[str, str, str]
"""Operator, field, value."""


def conditions(text: str | None, allowed: Mapping[str, Sequence[str]]) -> list[Condition]:
    """The conditions of a filter, all of which must hold. `allowed`: operators by field. Raises `ApiError`."""
    if not text:
        return []
    found: list[Condition] = []
    position = 0
    while position < len(text):
        match = _CONDITION.match(text, position)
        if match is None or match[1] not in allowed.get(match[2], ()):
            raise _unparsable()
        found.append((match[1], match[2], match[3].strip('"')))
        if match[2].endswith("_at"):
            moment(found[-1][2])
        position = match.end()
        if position < len(text):
            if text[position] != ":":
                raise _unparsable()
            position += 1
    if len(found) > MAX_CONDITIONS:
        raise _unparsable()
    return found


def holds(condition: Condition, value: Any) -> bool:
    """Whether `value`, a text or a moment, meets a condition."""
    operator, _, text = condition
    if operator == "in":
        return str(value) in text.split(",")
    wanted: Any = moment(text) if isinstance(value, datetime) else text
    if operator == "like":
        return bool(re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), str(value)))
    compare: dict[str, Callable[[], bool]] = {
        "eq": lambda: value == wanted,
        "gt": lambda: value > wanted,
        "ge": lambda: value >= wanted,
        "lt": lambda: value < wanted,
        "le": lambda: value <= wanted,
    }
    return compare[operator]()


def moment(text: str) -> datetime:
    """A day, epoch milliseconds, or an RFC 3339 time. Raises `ApiError`."""
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise _unparsable() from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def paged(
    found: Sequence[T], query: Mapping[str, str], render: Callable[[T], Any], *, length: int, hard: bool = False
) -> dict[str, Any]:
    """One page. `length` is the size where none is asked for; `hard` refuses what lies beyond 10,000."""
    limit = _number(query.get("page[limit]"), length)
    offset = _number(query.get("page[offset]"), 0)
    if not 1 <= limit <= MAX_LIMIT:
        raise bad_request("page[limit] must be between 1 and 100")
    if hard and offset > MAX_OFFSET:
        raise bad_request(f"page[offset] must not be above {MAX_OFFSET}")
    total = len(found)
    last = max(0, total - 1) // limit * limit
    places = {
        "current": offset,
        "first": 0,
        "last": last,
        "next": offset + limit if offset + limit < total else None,
        "prev": max(0, offset - limit) if offset else None,
    }
    return {
        "data": [render(each) for each in found[offset : offset + limit]],
        "links": {
            name: None if place is None else f"?page[offset]={place}&page[limit]={limit}"
            for name, place in places.items()
        },
        "meta": {
            "page": {"limit": limit, "offset": offset, "current": offset // limit + 1, "total": -(-total // limit)},
            "results": {"total": total},
        },
    }


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text):
        raise bad_request("a page parameter is no number")
    return int(text)


def _unparsable() -> ApiError:
    return bad_request("Could not parse the supplied filter")
