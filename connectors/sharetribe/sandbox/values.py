"""What answers are built of besides plain values: what says more than JSON can."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


class Id(str):
    """A UUID as text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units."""

    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Geolocation:
    """A place on earth, in degrees."""

    lat: float
    lng: float


def timestamp_text(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
