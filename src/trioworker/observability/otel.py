"""The sink that converts spans to OpenTelemetry's, and propagates them with requests.

Imported only if the extra `otel` is installed and an export is configured. The global tracer provider is not used: it
belongs to the embedding program.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry.context import get_current
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span

    from trioworker.observability.recording import RecordedSpan
    from trioworker.observability.spans import Attribute

SERVICE_NAME = "trioworker"
"""The default; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` override it."""
CONVENTIONS = {
    "method": "http.request.method",
    "status": "http.response.status_code",
    "resend": "http.request.resend_count",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "tool": "gen_ai.tool.name",
}
"""Names of attributes in OpenTelemetry's semantic conventions; others are prefixed with `trioworker.`."""

_propagator = TraceContextTextMapPropagator()


class OtelSink:
    """Passes each sampled span to all of `takers` when it ends.

    The job's span becomes a child of the span that is active where the sink is created, else of the one in the variable
    `TRACEPARENT` of `environ`.
    """

    propagates = True

    def __init__(self, takers: Sequence[Callable[[ReadableSpan], None]], environ: Mapping[str, str]) -> None:
        resource = Resource({"service.name": SERVICE_NAME}).merge(OTELResourceDetector().detect())
        # No shutdown at the interpreter's exit: the remaining spans are sent when the job ends.
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(_SpanEndProcessor(takers))
        self._tracer = provider.get_tracer(SERVICE_NAME)
        self._outside = get_current()
        if not get_current_span().get_span_context().is_valid:
            given = {name: environ.get(name.upper(), "") for name in ("traceparent", "tracestate")}
            self._outside = _propagator.extract({name: value for name, value in given.items() if value})
        self._open: dict[RecordedSpan, Span] = {}
        # Nanoseconds to add to perf_counter_ns for the time since the epoch.
        self._epoch = time.time_ns() - time.perf_counter_ns()

    def span_started(self, span: RecordedSpan) -> None:
        """Start an OpenTelemetry span."""
        parent = self._open.get(span.parent) if span.parent else None
        self._open[span] = self._tracer.start_span(
            span.name,
            context=set_span_in_context(parent) if parent else self._outside,
            kind=SpanKind.CLIENT if span.kind in ("llm", "request", "retry") else SpanKind.INTERNAL,
            attributes=_conventional({"kind": span.kind, "track": span.track, **span.attributes}),
            start_time=span.started_at + self._epoch,
        )

    def span_ended(self, span: RecordedSpan) -> None:
        """End the OpenTelemetry span, which queues it for the export."""
        ours = self._open.pop(span)
        ours.set_attributes(_conventional(span.results))
        if span.error is not None:
            ours.set_attribute("error.type", span.error.__name__)
            ours.set_status(Status(StatusCode.ERROR))
        ours.end(end_time=span.ended_at + self._epoch)

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute]) -> None:
        """Add an event to the innermost span of the track, or to the job's span if it has none."""
        on_track = [ours for span, ours in self._open.items() if span.track == track]
        for ours in on_track[-1:] or list(self._open.values())[:1]:
            ours.add_event(name, _conventional({"track": track, **attributes}), timestamp=at + self._epoch)

    def counter(self, name: str, at: int, value: float) -> None:
        """Ignore counters: only spans are exported."""

    def headers(self, span: RecordedSpan) -> Mapping[str, str]:
        """Return `traceparent`, and `tracestate` if there is one (W3C Trace Context)."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, context=set_span_in_context(self._open[span]))
        return carrier

    def flush(self) -> None:
        """Do nothing: a span is queued as soon as it ends."""


class _SpanEndProcessor(SpanProcessor):
    """Unlike the SDK's own processors, this one starts no thread."""

    def __init__(self, takers: Sequence[Callable[[ReadableSpan], None]]) -> None:
        self._takers = takers

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            for take in self._takers:
                take(span)


def _conventional(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {CONVENTIONS.get(name, f"trioworker.{name}"): value for name, value in attributes.items()}
