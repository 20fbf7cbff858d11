"""Opens the tracer of a job. It records to a file, to a collector, for the program that runs the job, or nowhere.

The modules of these destinations are imported only when they are needed.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.observability.recording import RecordingTracer
from trioworker.supervision.nurseries import unwrap_single_exception

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping
    from pathlib import Path

    from trioworker.observability.finished_spans import FinishedSpan
    from trioworker.observability.recording import Sink

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Either sets the URL of OpenTelemetry's collector (its specification, 'OTLP Exporter Configuration')."""

EXPORTER_VARIABLE = "OTEL_TRACES_EXPORTER"
"""Names the exporters, separated by commas (its specification, 'Exporter Selection')."""


@asynccontextmanager
async def open_tracer(
    trace: Path | None,
    job_id: str,
    redact: Callable[[str], str],
    on_span: Callable[[FinishedSpan], object] | None = None,
) -> AsyncGenerator[RecordingTracer]:
    """Open the job's tracer while the block runs.

    Args:
        trace: the file to write, if any.
        job_id: the job's id.
        redact: applied to every recorded text.
        on_span: called with each finished span.

    Raises:
        ConfigError: the trace file can't be opened.
    """
    async with AsyncExitStack() as stack:
        sinks: list[Sink] = []
        if trace is not None:
            from trioworker.observability.chrome_trace import ChromeTrace

            sinks.append(chrome := ChromeTrace(trace, job_id))
            stack.callback(chrome.close)
        if exporters := _exporters(os.environ):
            from trioworker.observability.otlp_export import open_export

            sinks += await stack.enter_async_context(open_export(exporters))
        tracer = RecordingTracer(sinks, redact)
        stack.enter_context(_stalls_watched(tracer))
        if sinks:
            await stack.enter_async_context(_measured(tracer))
        if on_span is not None:
            from trioworker.observability.span_observers import SpanObserver

            tracer.add(SpanObserver(on_span))
        with tracer.job(job_id):
            yield tracer


@asynccontextmanager
async def _measured(tracer: RecordingTracer) -> AsyncGenerator[None]:
    from trioworker.observability.loop_lag import measure_loop_lag

    with unwrap_single_exception():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(measure_loop_lag, tracer)
            yield
            nursery.cancel_scope.cancel()


@contextmanager
def _stalls_watched(tracer: RecordingTracer) -> Generator[None]:
    """Watch for stalls while there is a sink: a program may call `job.spans()` at any time."""
    watching: list[ExitStack] = []

    def switch(used: bool) -> None:
        if used and not watching:
            from trioworker.observability.stalls import StallWatcher

            watching.append(stack := ExitStack())
            stack.enter_context(StallWatcher(tracer).running())
        elif not used and watching:
            watching.pop().close()

    tracer.on_use = switch
    switch(bool(tracer.sinks))
    try:
        yield
    finally:
        tracer.on_use = bool
        switch(False)


def _exporters(environ: Mapping[str, str]) -> list[str]:
    """The exporters that the SDK's standard variables name; by default `otlp`, if there is a collector."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    default = "otlp" if any(environ.get(name) for name in ENDPOINT_VARIABLES) else ""
    names = (environ.get(EXPORTER_VARIABLE, "").strip() or default).split(",")
    return list(dict.fromkeys(name.strip() for name in names if name.strip() not in {"", "none"}))
