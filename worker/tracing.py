"""One trace from a webhook to the marketplace call, by OpenTelemetry, where it is installed and switched on.

A trace is what one correlation id names: it comes with the webhook, is kept with the delivery, the order and the
listing it makes due, and goes with the write; so a trace crosses processes, and waits in the database as long as the
sale does. A write that several sales are due for belongs to the last one's. Where tracing is off, all of this costs a
comparison.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from config.logging import new_correlation_id
from config.problems import ConfigurationError, Problem

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span

    from connectors.http import CallRecord
    from worker.trace_ids import Ids

SENT_WITHIN_SECONDS = 3.0
"""At the end of a process: a collector that is down or slow holds up nobody for longer."""


class Tracing:
    """The spans of one process. Safe for use from several threads."""

    def __init__(self, provider: TracerProvider | None = None, ids: Ids | None = None) -> None:
        """Without a provider nothing is traced; `ids` are what it gives to spans. See `through`."""
        self._provider, self._ids = provider, ids
        self._tracer = provider.get_tracer("trueup") if provider is not None else None

    @classmethod
    def from_environment(cls, service: str) -> Tracing:
        """Sends to wherever the standard variables say (`OTEL_EXPORTER_OTLP_ENDPOINT` and the like), in batches, from a
        thread of its own; what cannot be sent is dropped. Raises `ConfigurationError` where what it needs is not
        installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            missing = f"{error.name} is not installed"
            problem = Problem("tracing.enabled", missing, "pip install 'trueup[tracing]', or set it to false")
            raise ConfigurationError([problem], source="that was read") from None
        return cls.through(BatchSpanProcessor(OTLPSpanExporter()), Resource.create({"service.name": service}))

    @classmethod
    def through(cls, processor: SpanProcessor, resource: Any = None) -> Tracing:
        """Sends by this processor."""
        from opentelemetry.sdk.trace import TracerProvider

        from worker.trace_ids import Ids

        ids = Ids()
        # `close` ends it: what the library does at the interpreter's exit may take half a minute.
        provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(processor)
        return cls(provider, ids)

    @contextmanager
    def first(self, name: str, correlation_id: str, **facts: str | int) -> Iterator[None]:
        """The step that a sale's way begins with, once for each id: all others belong to it. See `span`."""
        if self._tracer is None or self._ids is None:
            yield
            return
        from opentelemetry.context import Context

        from worker.trace_ids import first_step

        with self._ids.of(first_step(correlation_id)):
            step = self._tracer.start_span(name, context=Context(), attributes=facts)
        with _under_way(step):
            yield

    @contextmanager
    def span(self, name: str, correlation_id: str, **facts: str | int) -> Iterator[None]:
        """One step of a sale's way. Ids and numbers only: no body, no secret, nothing about people; of an error its
        kind, for its text may be what others wrote. Without an id it is a way of its own.
        """
        if self._tracer is None:
            yield
            return
        if not correlation_id:
            with self.first(name, new_correlation_id(), **facts):
                yield
            return
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        from worker.trace_ids import first_step

        beginning = set_span_in_context(NonRecordingSpan(first_step(correlation_id)))
        with _under_way(self._tracer.start_span(name, context=beginning, attributes=facts)):
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

    def close(self) -> None:
        """Send what waits, within seconds or not at all. Idempotent."""
        if self._provider is None:
            return
        # In a thread that need not come to an end: an attempt under way cannot be broken off.
        ending = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        ending.start()
        ending.join(SENT_WITHIN_SECONDS)


@contextmanager
def _under_way(step: Span) -> Iterator[None]:
    from opentelemetry.trace import StatusCode, use_span

    with use_span(step, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except Exception as error:
            step.set_attribute("error.type", type(error).__name__)
            step.set_status(StatusCode.ERROR)
            raise
