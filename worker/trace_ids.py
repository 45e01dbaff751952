"""Ids of traces and their first steps, from correlation ids: the same in every process, and after every wait."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanContext, TraceFlags

_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")


def first_step(correlation_id: str) -> SpanContext:
    """What stands at the beginning of everything that one correlation id names."""
    digest = hashlib.sha256(correlation_id.encode()).hexdigest()
    trace_id = correlation_id if _TRACE_ID.fullmatch(correlation_id) else digest[:32]
    return SpanContext(int(trace_id, 16), int(digest[-16:], 16), is_remote=True, trace_flags=TraceFlags(1))


class Ids(RandomIdGenerator):
    """Ids of new spans: by chance, but for the first step of a trace, which others name as what they belong to."""

    def __init__(self) -> None:
        self._first: ContextVar[SpanContext | None] = ContextVar("first step", default=None)

    @contextmanager
    def of(self, first: SpanContext) -> Iterator[None]:
        """The span that is started within the block gets these."""
        before = self._first.set(first)
        try:
            yield
        finally:
            self._first.reset(before)

    def generate_trace_id(self) -> int:
        first = self._first.get()
        return super().generate_trace_id() if first is None else first.trace_id

    def is_trace_id_random(self) -> bool:
        # Not in all of its bits.
        return False

    def generate_span_id(self) -> int:
        first = self._first.get()
        return super().generate_span_id() if first is None else first.span_id
