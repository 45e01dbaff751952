"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Enum, Integer, LargeBinary, String, Text
from sqlalchemy.types import TypeDecorator

Quantity = BigInteger
"""Units: a 64-bit integer on both databases (SQLite's INTEGER always is)."""

RowId = BigInteger().with_variant(Integer, "sqlite")
"""A generated key. SQLite generates keys only for a column declared INTEGER."""

LONGEST_IDENTIFIER = 255
Identifier = String(LONGEST_IDENTIFIER)
"""An id that a vendor gave."""

Name = String(64)
Body = LargeBinary
Words = Text


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. Refuses naive values on the way in; always aware on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"a time without a zone cannot be stored: {value!r}"
            raise ValueError(message)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def one_of(values: type[StrEnum]) -> Enum:
    """A text column that holds one of `values`, checked by the database."""

    def texts(kind: Any) -> list[str]:
        return [member.value for member in kind]

    return Enum(
        values,
        native_enum=False,
        length=32,
        values_callable=texts,
        create_constraint=True,
        name=values.__name__.lower(),
    )
