"""Reading parameters in the order the API checks them: unknown keys, then missing ones, then values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from .errors import ApiError
from .values import Geolocation, Money

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

MAX_IDS = 100
MAX_PER_PAGE = 100


class BadValueError(ValueError):
    """A value of the wrong type or out of bounds; says why in a few words."""


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter. `read` turns the raw value into a domain value, or raises ValueError with the reason."""

    read: Callable[[Any], Any]
    required: bool = False


Schema = Mapping[str, Field]


def read_fields(
    raw: Mapping[str, Any], schema: Schema, part: Literal["body", "query"], open_prefixes: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The values of a body or query string. Keys that start with one of `open_prefixes` are kept as they are."""
    for key in raw:
        if key not in schema and not key.startswith(open_prefixes):
            raise ApiError(400, "validation-disallowed-key", f"Key {key} is not allowed.", path=(key,), part=part)
    for key, field in schema.items():
        if field.required and key not in raw:
            raise ApiError(400, "validation-missing-key", f"Key {key} is missing.", path=(key,), part=part)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        known = schema.get(key)
        try:
            values[key] = known.read(value) if known else value
        except ValueError as error:
            title = f"Value of {key} is invalid: {error}."
            raise ApiError(400, "validation-invalid-value", title, path=(key,), part=part) from error
    return values


def uuid(value: Any) -> str:
    """A UUID as text, in lower case."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise BadValueError("not a UUID")
    return value.lower()


def whole(value: Any) -> int:
    """An integer; a boolean is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadValueError("not an integer")
    return value


def natural(value: Any) -> int:
    """An integer of at least 0."""
    if whole(value) < 0:
        raise BadValueError("negative")
    return int(value)


def positive(value: Any) -> int:
    """An integer of at least 1."""
    if whole(value) < 1:
        raise BadValueError("not positive")
    return int(value)


def nonzero(value: Any) -> int:
    """An integer other than 0."""
    if whole(value) == 0:
        raise BadValueError("zero")
    return int(value)


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Null, or what `read` takes."""
    return lambda value: None if value is None else read(value)


def text(longest: int) -> Callable[[Any], str]:
    """A string of 1 to `longest` characters."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            raise BadValueError(f"not a string of 1 to {longest} characters")
        return value

    return read


def one_of(*allowed: str) -> Callable[[Any], str]:
    """One of a few words."""

    def read(value: Any) -> str:
        if value not in allowed:
            raise BadValueError(f"not one of {', '.join(allowed)}")
        return str(value)

    return read


def mapping(value: Any) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise BadValueError("not an object")
    return value


def money(value: Any) -> Money:
    """An amount in minor units with its currency."""
    if not isinstance(value, dict) or set(value) != {"amount", "currency"} or not isinstance(value["currency"], str):
        raise BadValueError("not an amount with a currency")
    return Money(whole(value["amount"]), value["currency"])


def geolocation(value: Any) -> Geolocation:
    """A place, in degrees."""
    if not isinstance(value, dict) or set(value) != {"lat", "lng"}:
        raise BadValueError("not a latitude with a longitude")
    if not all(isinstance(degrees, (int, float)) and not isinstance(degrees, bool) for degrees in value.values()):
        raise BadValueError("not a latitude with a longitude")
    return Geolocation(value["lat"], value["lng"])


def number_text(value: str) -> int:
    """An integer of a query string."""
    if not re.fullmatch(r"-?\d{1,19}", value):
        raise BadValueError("not an integer")
    return int(value)


def page(value: str) -> int:
    """A page number, from 1."""
    return positive(number_text(value))


def per_page(value: str) -> int:
    """A page size."""
    if not 1 <= number_text(value) <= MAX_PER_PAGE:
        raise BadValueError(f"not between 1 and {MAX_PER_PAGE}")
    return number_text(value)


def timestamp(value: str) -> datetime:
    """An ISO 8601 time with its offset."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise BadValueError("a time without offset")
    return moment.astimezone(UTC)


def names(value: str) -> tuple[str, ...]:
    """A comma list."""
    return tuple(name for name in value.split(",") if name)


def names_of(*allowed: str) -> Callable[[str], tuple[str, ...]]:
    """A comma list of known names."""
    read = one_of(*allowed)
    return lambda value: tuple(read(name) for name in names(value))


def ids(value: str) -> tuple[str, ...]:
    """A comma list of at most 100 UUIDs."""
    listed = tuple(uuid(name) for name in names(value))
    if len(listed) > MAX_IDS:
        raise BadValueError(f"more than {MAX_IDS} ids")
    return listed


def flag(value: str) -> bool:
    """A boolean of a query string."""
    return one_of("true", "false")(value) == "true"


PAGING: Schema = {"page": Field(page), "perPage": Field(per_page)}
