"""Transit over JSON, as the official client speaks it: reading all of its forms, writing the plainest.

What is read: arrays with the rolling cache, and the verbose form; the scalars and tags below. Anything else is a
ValueError, so that no value is ever guessed. What is written never uses the cache, which every reader accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from .values import Geolocation, Id, Money, timestamp_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_EXACT = 2**53
"""From here on a JavaScript number would lose digits."""
_MAX_DEPTH = 200
_ESCAPED = ("~", "^", "`")
_MAP = "^ "

# The rolling cache (Transit format, "Caching").
_CACHED_FROM = 4
_CODES = 44
_FIRST_CODE = ord("0")
_CAPACITY = _CODES * _CODES


class TransitError(ValueError):
    """The bytes are no Transit, or none that is read here."""


class TransitCodec:
    """`application/transit+json`."""

    media_type = "application/transit+json"

    def encode(self, value: Any) -> bytes:
        """Transit, keys as keywords."""
        return orjson.dumps(_written(value))

    def decode(self, body: bytes) -> Any:
        """Plain values: keywords, ids and times as text, money and places as objects, sets and lists as lists."""
        return _Reader().read(orjson.loads(body))


def _written(value: Any) -> Any:
    match value:
        case Id():
            return f"~u{value}"
        case str():
            return f"~{value}" if value.startswith(_ESCAPED) else str(value)
        case bool() | None | float():
            return value
        case int():
            return value if -_EXACT < value < _EXACT else f"~i{value}"
        case datetime():
            return f"~m{(value - _EPOCH) // _MILLISECOND}"
        case Money():
            return ["~#mn", [_written(value.amount), _written(value.currency)]]
        case Geolocation():
            return ["~#geo", [value.lat, value.lng]]
        case Mapping():
            return [_MAP, *(part for key, inner in value.items() for part in (f"~:{key}", _written(inner)))]
        case Sequence():
            return [_written(inner) for inner in value]
    raise TypeError(f"no Transit for {type(value).__name__}")


class _Tag(str):
    """What stands before the value it tells the type of."""

    __slots__ = ()


class _Reader:
    """Reads one message: its cache begins empty."""

    def __init__(self) -> None:
        self._cache: list[str] = []

    def read(self, value: Any, *, depth: int = 0) -> Any:
        """The plain value of what JSON held. Raises ValueError."""
        if depth > _MAX_DEPTH:
            raise TransitError("nested too deeply")
        match value:
            case str():
                found = self._text(value, is_key=False)
                if isinstance(found, _Tag):
                    raise TransitError("a tag without a value")
                return found
            case dict():
                return self._verbose(value, depth)
            case [str() as first, *rest]:
                return self._array(first, rest, depth)
            case list():
                return [self.read(inner, depth=depth + 1) for inner in value]
        return value

    def _array(self, first: str, rest: list[Any], depth: int) -> Any:
        if first == _MAP:
            if len(rest) % 2:
                raise TransitError("a map with a key too many")
            return self._map(iter(rest), depth)
        head = self._text(first, is_key=False)
        if not isinstance(head, _Tag):
            return [head, *(self.read(inner, depth=depth + 1) for inner in rest)]
        if len(rest) != 1:
            raise TransitError("a tag needs one value")
        return _tagged(head, self.read(rest[0], depth=depth + 1))

    def _verbose(self, value: dict[str, Any], depth: int) -> Any:
        """The verbose form: a map is an object, and so is a tag with its value."""
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key.startswith("~#"):
                return _tagged(_Tag(key[2:]), self.read(inner, depth=depth + 1))
        return self._map((part for pair in value.items() for part in pair), depth)

    def _map(self, parts: Iterator[Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        # In the order of the message, which the cache goes by.
        for raw in parts:
            key = self._text(raw, is_key=True) if isinstance(raw, str) else None
            if not isinstance(key, str) or isinstance(key, _Tag):
                raise TransitError("a key that is no name")
            found[key] = self.read(next(parts), depth=depth + 1)
        return found

    def _text(self, text: str, *, is_key: bool) -> Any:
        """The value of a string, which may be a code for one that came before."""
        if text.startswith("^"):
            text = self._recalled(text[1:])
        elif len(text) >= _CACHED_FROM and (is_key or text.startswith(("~:", "~$", "~#"))):
            if len(self._cache) == _CAPACITY:
                self._cache.clear()
            self._cache.append(text)
        return _scalar(text)

    def _recalled(self, code: str) -> str:
        digits = [ord(digit) - _FIRST_CODE for digit in code]
        if not 1 <= len(digits) <= 2 or not all(0 <= digit < _CODES for digit in digits):
            raise TransitError("no code of the cache")
        index = digits[0] if len(digits) == 1 else digits[0] * _CODES + digits[1]
        if index >= len(self._cache):
            raise TransitError("a code for what never came")
        return self._cache[index]


def _scalar(text: str) -> Any:
    if not text.startswith("~"):
        return text
    kind, content = text[1:2], text[2:]
    if kind == "#":
        return _Tag(content)
    if kind in _ESCAPED:
        return text[1:]
    try:
        read = _SCALARS[kind]
    except KeyError:
        raise TransitError(f"unknown kind of value {kind!r}") from None
    return read(content)


def _whole(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise TransitError("beyond 64 bits")
    return number


def _decimal(text: str) -> float:
    number = float(text)
    if not -1e300 < number < 1e300:
        raise TransitError("no number that JSON can hold")
    return number


def _milliseconds(text: str) -> str:
    return _moment(lambda: _EPOCH + _whole(text) * _MILLISECOND)


def _iso(text: str) -> str:
    return _moment(lambda: datetime.fromisoformat(text))


def _moment(read: Callable[[], datetime]) -> str:
    try:
        moment = read()
        if moment.tzinfo is None:
            raise TransitError("a time without offset")
        return timestamp_text(moment)
    except OverflowError as error:
        raise TransitError("a time outside of all calendars") from error


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    ":": str,
    "$": str,
    "u": str,
    "m": _milliseconds,
    "t": _iso,
    "i": _whole,
    "n": _whole,
    "f": _decimal,
    "d": _decimal,
}


def _tagged(tag: _Tag, value: Any) -> Any:
    match tag, value:
        case "mn", [amount, currency]:
            return {"amount": amount, "currency": currency}
        case "geo", [lat, lng]:
            return {"lat": lat, "lng": lng}
        case "set" | "list", list():
            return value
        case "'", _:
            return value
    raise TransitError(f"unknown tag {tag:.20}")
