"""Between answers as values and bytes on the wire, by content type.

Answers are built of plain values plus the types of `values`, which say more than JSON can.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import orjson

from .errors import ApiError
from .transit import TransitCodec
from .values import timestamp_text

MAX_DEPTH = 100
"""How deep the values of a body may be nested; beyond it no answer could hold them."""


class Codec(Protocol):
    """One content type."""

    media_type: str

    def encode(self, value: Any) -> bytes:
        """The bytes of plain values and the types of `values`."""

    def decode(self, body: bytes) -> Any:
        """Plain values: ids and times as text. Raises ValueError on anything else."""


class JsonCodec:
    """Plain JSON."""

    media_type = "application/json"

    def encode(self, value: Any) -> bytes:
        """JSON, times with milliseconds."""
        return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)

    def decode(self, body: bytes) -> Any:
        """Whatever the JSON holds."""
        return orjson.loads(body)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return timestamp_text(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


JSON = JsonCodec()
TRANSIT = TransitCodec()
CODECS: Mapping[str, Codec] = {codec.media_type: codec for codec in (JSON, TRANSIT)}


def answer_codec(accept: str | None) -> Codec:
    """The codec the caller asked for by `Accept`; JSON when it named none that is spoken here."""
    for wanted in (accept or "").split(","):
        codec = CODECS.get(wanted.partition(";")[0].strip().lower())
        if codec:
            return codec
    return JSON


def body_codec(content_type: str | None) -> Codec:
    """The codec of a request body by `Content-Type`. Raises `ApiError`."""
    codec = CODECS.get((content_type or "").partition(";")[0].strip().lower())
    if codec is None:
        raise ApiError(400, "unsupported-content-type", f"Content type {content_type} is not supported.")
    return codec


def decoded(content_type: str | None, body: bytes) -> dict[str, Any]:
    """The object a request's body holds. Raises `ApiError`, whatever the body."""
    codec = body_codec(content_type)
    try:
        content = codec.decode(body)
    except ValueError as error:
        raise ApiError(400, "bad-request", "The body cannot be read.") from error
    if not isinstance(content, dict):
        raise ApiError(400, "bad-request", "The body is not an object.")
    if _is_deeper(content, MAX_DEPTH):
        raise ApiError(400, "bad-request", "The body is nested too deeply.")
    return content


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether plain values are nested deeper than that, told without recursion."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
