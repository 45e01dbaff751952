"""Between answers as values and bytes on the wire.

Answers are built of plain values plus the types below, which say more than JSON can, so that a codec for another
content type is one more entry in `CODECS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from .errors import ApiError


class Id(str):
    """A UUID as text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units."""

    amount: int
    currency: str


def timestamp_text(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


class Codec(Protocol):
    """One content type."""

    media_type: str

    def encode(self, value: Any) -> bytes:
        """The bytes of plain values and the types above."""

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
CODECS: Mapping[str, Codec] = {JSON.media_type: JSON}


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
