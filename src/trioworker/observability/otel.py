"""The sink that makes OpenTelemetry spans of ours, and the headers by which a request carries its span on.

Imported only when the extra `otel` is wanted and installed. Uses no global provider: an embedding program may have one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span

    from trioworker.observability.recording import RecordedSpan
    from trioworker.observability.spans import Attribute

SERVICE_NAME = "trioworker"
"""Unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` give another."""
CONVENTIONS = {
    "method": "http.request.method",
    "status": "http.response.status_code",
    "resend": "http.request.resend_count",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "tool": "gen_ai.tool.name",
}
"""Attributes that OpenTelemetry's semantic conventions name; others get our name before theirs."""

_propagator = TraceContextTextMapPropagator()


class OtelSink:
    """Hands each span that ends, if it is sampled, to `take`.

    `environ` may hold `TRACEPARENT`, the span of who started us: the job's root is then its child.
    """

    carries = True

    def __init__(self, take: Callable[[ReadableSpan], None], environ: Mapping[str, str]) -> None:
        resource = Resource({"service.name": SERVICE_NAME}).merge(OTELResourceDetector().detect())
        # Not shut down by the interpreter's end: what is left is sent at the job's, or never.
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(_Ended(take))
        self._tracer = provider.get_tracer(SERVICE_NAME)
        given = {name: environ.get(name.upper(), "") for name in ("traceparent", "tracestate")}
        self._outside = _propagator.extract({name: value for name, value in given.items() if value})
        self._open: dict[RecordedSpan, Span] = {}
        # Nanoseconds from our clock to the time since the epoch.
        self._epoch = time.time_ns() - time.perf_counter_ns()

    def begin(self, span: RecordedSpan) -> None:
        """Open a span of the SDK's."""
        parent = self._open.get(span.parent) if span.parent else None
        self._open[span] = self._tracer.start_span(
            span.name,
            context=set_span_in_context(parent) if parent else self._outside,
            kind=SpanKind.CLIENT if span.kind in ("llm", "request", "retry") else SpanKind.INTERNAL,
            attributes=_conventional({"kind": span.kind, "track": span.track, **span.attributes}),
            start_time=span.began + self._epoch,
        )

    def end(self, span: RecordedSpan) -> None:
        """End it; by then it is on its way."""
        ours = self._open.pop(span)
        ours.set_attributes(_conventional(span.results))
        if span.error is not None:
            ours.set_attribute("error.type", span.error.__name__)
            if not issubclass(span.error, trio.Cancelled):
                ours.set_status(Status(StatusCode.ERROR))
        ours.end(end_time=span.ended + self._epoch)

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute]) -> None:
        """Add an event to the innermost span of the track, or else to the job's."""
        on_track = [ours for span, ours in self._open.items() if span.track == track]
        for ours in on_track[-1:] or list(self._open.values())[:1]:
            ours.add_event(name, _conventional({"track": track, **attributes}), timestamp=at + self._epoch)

    def count(self, name: str, at: int, value: float) -> None:
        """Counters are no spans."""

    def headers(self, span: RecordedSpan) -> Mapping[str, str]:
        """`traceparent`, and `tracestate` where there is one (W3C Trace Context)."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, context=set_span_in_context(self._open[span]))
        return carrier

    def settle(self) -> None:
        """What has ended is on its way."""


class _Ended(SpanProcessor):
    """Unlike the SDK's own processors it starts no thread."""

    def __init__(self, take: Callable[[ReadableSpan], None]) -> None:
        self._take = take

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._take(span)


def _conventional(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {CONVENTIONS.get(name, f"trioworker.{name}"): value for name, value in attributes.items()}
