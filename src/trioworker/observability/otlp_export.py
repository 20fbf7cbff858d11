"""Exports spans to an OpenTelemetry collector over OTLP/HTTP, while the job runs and shortly after.

The exporter blocks, so each batch is sent in a worker thread of trio. Nothing here fails the job: if the collector is
unavailable, its spans are lost, and one line is logged.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio
from loguru import logger

from trioworker.supervision.nurseries import unwrap_single_exception

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from trioworker.observability.recording import Sink

BATCH_DELAY = 1.0
"""Seconds from the first queued span to the request that sends the queue."""
FLUSH_TIMEOUT = 1.0
"""Seconds to send the queue after the job: a stopped container has 2 s left after the 8 s of the shutdown."""
MAX_QUEUED = 8192
"""Queued spans; above this, the oldest are dropped. A few MB, more than a busy job produces in a minute."""
MAX_BATCH = 512
"""Spans per request: the default of the SDK."""


@asynccontextmanager
async def open_export() -> AsyncGenerator[list[Sink]]:
    """Open a sink whose spans are exported while the block runs.

    Yields no sink, and logs why, if the extra is not installed or a variable is unusable.
    """
    # Not removed afterwards: a thread that outlives the block may still log, and must not write to stderr directly.
    logging.getLogger("opentelemetry").addHandler(_log_handler)
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from trioworker.observability.otel import OtelSink

        exporter = OTLPSpanExporter()
        span_queue = SpanQueue(exporter)
        sink = OtelSink(span_queue.add, os.environ)
    except ImportError:
        logger.warning("no spans are exported: OpenTelemetry is not installed; pip install 'trioworker[otel]'")
        yield []
        return
    except Exception as error:  # the SDK raises various types for a malformed variable
        logger.warning("no spans are exported: a variable OTEL_* is unusable: {}: {}", type(error).__name__, error)
        yield []
        return
    with unwrap_single_exception():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(span_queue.run)
            try:
                yield [sink]
            finally:
                span_queue.close()
    # Makes an abandoned thread return from its retry delay.
    exporter.shutdown()


class SpanQueue:
    """Spans that wait for the exporter."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._spans: deque[ReadableSpan] = deque(maxlen=MAX_QUEUED)
        self._lost = 0
        self._wake = trio.Event()
        self._closed = trio.Event()
        # A cancel from outside must not lose the queue; `close` sets a deadline.
        self._scope = trio.CancelScope(shield=True)

    def add(self, span: ReadableSpan) -> None:
        """Queue a span."""
        self._lost += len(self._spans) == MAX_QUEUED
        self._spans.append(span)
        self._wake.set()

    def close(self) -> None:
        """Send what is queued within `FLUSH_TIMEOUT`, then end `run`."""
        self._scope.deadline = trio.current_time() + FLUSH_TIMEOUT
        self._closed.set()
        self._wake.set()

    async def run(self) -> None:
        """Send batches until closed; log how many spans were lost."""
        with self._scope:
            while self._spans or not self._closed.is_set():
                await self._wake.wait()
                with trio.move_on_after(BATCH_DELAY):
                    await self._closed.wait()
                await self._send()
        self._lost += len(self._spans)
        if self._lost:
            logger.warning(
                "{} spans could not be exported; is the collector up, and OTEL_EXPORTER_OTLP_ENDPOINT right?",
                self._lost,
            )

    async def _send(self) -> None:
        batch = [self._spans.popleft() for _ in range(min(len(self._spans), MAX_BATCH))]
        if not self._spans and not self._closed.is_set():
            self._wake = trio.Event()
        if not batch:
            return
        self._lost += len(batch)
        result = await trio.to_thread.run_sync(partial(self._exporter.export, batch), abandon_on_cancel=True)
        if result.name == "SUCCESS":
            self._lost -= len(batch)


class _LogHandler(logging.Handler):
    """Passes the log records of the SDK, which are verbose, on to our log at level debug."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.debug("{}", record.getMessage())


_log_handler = _LogHandler()
