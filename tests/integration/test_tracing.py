"""One trace from the webhook to the marketplace call."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from config.problems import ConfigurationError
from connectors.http import CallRecord
from tests.world import CHANNEL, World
from worker import tracing as room
from worker.tracing import Tracing

CORRELATION = "5f" * 16


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Tracing:
    return Tracing.through(SimpleSpanProcessor(exporter))


def traces_of(exporter: InMemorySpanExporter) -> dict[str, str]:
    return {span.name: f"{context_of(span).trace_id:032x}" for span in exporter.get_finished_spans()}


def context_of(span: ReadableSpan):  # type: ignore[no-untyped-def]  # noqa: ANN201  the library's own type
    assert span.context is not None
    return span.context


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def test_the_write_is_in_the_trace_of_its_webhook(
    world: World, tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    world.services.inbox._tracing = world.services.reconciler._tracing = tracing
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    found = traces_of(exporter)
    assert found.keys() == {"read webhook", "write stock"}
    assert len(set(found.values())) == 1
    written = exporter.get_finished_spans()[-1]
    assert dict(written.attributes or {}) == {"listing": "L", "operation": 1}


def test_a_correlation_id_is_the_traces_own_where_it_can_be(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    with tracing.span("step", CORRELATION):
        pass
    with tracing.span("other step", "poll-17"):
        pass
    found = traces_of(exporter)
    assert found["step"] == CORRELATION
    assert len(found["other step"]) == 32


def test_every_step_belongs_to_the_first_one_wherever_it_is_made(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    with tracing.first("receive webhook", CORRELATION):
        tracing.call(CallRecord("marketplace", "GET", "/", 200, None, 0.1))
    with Tracing.through(SimpleSpanProcessor(exporter)).span("read webhook", CORRELATION):
        pass
    call, first, later = exporter.get_finished_spans()
    assert first.parent is None
    assert parent_of(call) == parent_of(later) == context_of(first).span_id
    assert context_of(call).span_id != context_of(first).span_id


def test_what_nobody_told_of_is_in_no_other_trace(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    for step in ("step", "other step"):
        with tracing.span(step, ""):
            pass
    assert len(set(traces_of(exporter).values())) == 2
    assert [span.parent for span in exporter.get_finished_spans()] == [None, None]


@pytest.mark.parametrize("step", [Tracing.first, Tracing.span])
def test_of_an_error_nothing_is_told_but_its_kind(
    tracing: Tracing, exporter: InMemorySpanExporter, step: Callable[..., Any]
) -> None:
    message = "refused: Bearer hush-hush of ada@example.com"
    with pytest.raises(ValueError, match="hush"), step(tracing, "write stock", CORRELATION):
        raise ValueError(message)
    (failed,) = exporter.get_finished_spans()
    assert (failed.status.status_code, (failed.attributes or {})["error.type"]) == (StatusCode.ERROR, "ValueError")
    assert "hush" not in failed.to_json()


def test_an_end_does_not_wait_for_a_collector_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = threading.Event()

    class Stuck(SpanProcessor):
        def shutdown(self) -> None:
            taken.wait()

    monkeypatch.setattr(room, "SENT_WITHIN_SECONDS", 0.01)
    Tracing.through(Stuck()).close()
    assert not taken.is_set()
    taken.set()


def test_a_call_is_part_of_the_step_it_is_made_in(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    call = CallRecord("marketplace", "POST", "/stock", 409, None, 0.25)
    tracing.call(call)
    assert exporter.get_finished_spans() == ()
    with tracing.span("write stock", CORRELATION, listing="L"):
        tracing.call(call)
    made, step = exporter.get_finished_spans()
    assert parent_of(made) == context_of(step).span_id
    assert dict(made.attributes or {})["http.response.status_code"] == 409
    assert (made.end_time or 0) - (made.start_time or 0) == 250_000_000


def test_nothing_is_traced_where_it_is_off(world: World) -> None:
    with world.services.tracing.span("step", CORRELATION, channel=CHANNEL):
        world.services.tracing.call(CallRecord("marketplace", "GET", "/", None, "ConnectError", 0.1))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'trueup\[tracing\]'"):
        Tracing.from_environment("trueup")
