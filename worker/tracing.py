"""One trace from a webhook to the marketplace call, by OpenTelemetry, where it is installed and switched on.

A trace is what one correlation id names: it comes with the webhook, is kept with the delivery, the order and the
listing it makes due, and goes with the write; so a trace crosses processes, and waits in the database as long as the
sale does. A write that several sales are due for belongs to the last one's. Where tracing is off, all of this costs a
comparison.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from config.problems import ConfigurationError, Problem

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from connectors.http import CallRecord

_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")


class Tracing:
    """The spans of one process. Safe for use from several threads."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        """Without a tracer nothing is traced."""
        self._tracer = tracer

    @classmethod
    def from_environment(cls, service: str) -> Tracing:
        """Sends to wherever the standard variables say (`OTEL_EXPORTER_OTLP_ENDPOINT` and the like), in batches, from a
        thread of its own; what cannot be sent is dropped. Raises `ConfigurationError` where what it needs is not
        installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            missing = f"{error.name} is not installed"
            problem = Problem("tracing.enabled", missing, "pip install 'trueup[tracing]', or set it to false")
            raise ConfigurationError([problem], source="that was read") from None
        provider = TracerProvider(resource=Resource.create({"service.name": service}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider.get_tracer("trueup"))

    @contextmanager
    def span(self, name: str, correlation_id: str, **facts: str | int) -> Iterator[None]:
        """One step of a sale's way. Ids and numbers only: no body, no secret, nothing about people."""
        if self._tracer is None:
            yield
            return
        with self._tracer.start_as_current_span(name, context=_beginning(correlation_id), attributes=facts):
            yield

    def call(self, record: CallRecord) -> None:
        """A call that has just ended, as part of the step it was made in; one made in none is not traced."""
        if self._tracer is None:
            return
        from opentelemetry import trace

        if not trace.get_current_span().get_span_context().is_valid:
            return
        ended = time.time_ns()
        facts: dict[str, Any] = {"account": record.account, "http.request.method": record.method, "path": record.path}
        if record.status is not None:
            facts["http.response.status_code"] = record.status
        if record.error is not None:
            facts["error.type"] = record.error
        begun = ended - int(record.seconds * 1e9)
        call = self._tracer.start_span(f"{record.method} {record.account}", start_time=begun, attributes=facts)
        call.end(ended)


def _beginning(correlation_id: str) -> Any:
    """The context of everything that one correlation id names."""
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    digest = hashlib.sha256(correlation_id.encode()).hexdigest()
    trace_id = correlation_id if _TRACE_ID.fullmatch(correlation_id) else digest[:32]
    beginning = SpanContext(int(trace_id, 16), int(digest[-16:], 16), is_remote=True, trace_flags=TraceFlags(1))
    return set_span_in_context(NonRecordingSpan(beginning))
