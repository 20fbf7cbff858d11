"""Which tracer a job gets: one that does nothing, or one that records to a file, to a collector, or to both.

What recording takes is imported only when somebody wants it.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.nurseries import alone
from trioworker.observe.spans import UNTRACED, Tracer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from trioworker.config import WorkerConfig
    from trioworker.observe.recording import Sink

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Where OpenTelemetry's collector listens (its specification, 'OTLP Exporter Configuration')."""


@asynccontextmanager
async def open_tracer(config: WorkerConfig) -> AsyncGenerator[Tracer]:
    """The job's tracer while the block runs.

    Raises:
        ConfigError: the trace file can't be opened.
    """
    exporting = _wants_export(os.environ)
    if config.trace is None and not exporting:
        yield UNTRACED
        return
    async with AsyncExitStack() as stack:
        sinks: list[Sink] = []
        if config.trace is not None:
            from trioworker.observe.chrome import ChromeTrace

            sinks.append(chrome := ChromeTrace(config.trace, config.job_id))
            stack.callback(chrome.close)
        if exporting:
            from trioworker.observe.export import open_export

            sinks += await stack.enter_async_context(open_export())
        tracer = await stack.enter_async_context(_ticking(sinks)) if sinks else UNTRACED
        with tracer.span("job", "job", job_id=config.job_id):
            yield tracer


@asynccontextmanager
async def _ticking(sinks: list[Sink]) -> AsyncGenerator[Tracer]:
    from trioworker.observe.pulse import pulse
    from trioworker.observe.recording import Recorder

    recorder = Recorder(sinks)
    with alone():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pulse, recorder)
            yield recorder
            nursery.cancel_scope.cancel()


def _wants_export(environ: Mapping[str, str]) -> bool:
    disabled = (
        environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "") == "none"
    )
    return not disabled and any(environ.get(name) for name in ENDPOINT_VARIABLES)
