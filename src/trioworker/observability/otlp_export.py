"""Sends spans to OpenTelemetry's collector, by its OTLP/HTTP exporter, while the job runs and for a moment after it.

The exporter blocks, so each batch goes out in a thread of trio's; the rest is a task like any other. Nothing that
happens here fails the job: a collector that is away costs its spans, and one line of the log.
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

GATHER_SECONDS = 1.0
"""From the first span that waits to the request that sends it with those that came meanwhile."""
FLUSH_SECONDS = 1.0
"""For what waits when the job has ended: a container that was stopped has 2 s left after the farewell's 8."""
MAX_WAITING = 8192
"""Spans that wait; beyond it the oldest are lost. Some MB, and more than a busy job has in a minute."""
MAX_BATCH = 512
"""Spans of one request, the SDK's own default."""


@asynccontextmanager
async def open_export() -> AsyncGenerator[list[Sink]]:
    """The sink whose spans are exported while the block runs, or none when the extra is missing or its variables are
    unusable, which is logged.
    """
    # Kept after the block: a thread that outlives it may still have something to say, which must not reach stderr raw.
    logging.getLogger("opentelemetry").addHandler(_to_our_log)
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
    except Exception as error:  # whatever the SDK makes of a variable that it can't read
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
    # Ends what a thread that was left behind may be waiting for.
    exporter.shutdown()


class SpanQueue:
    """Spans on their way to an exporter."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._waiting: deque[ReadableSpan] = deque(maxlen=MAX_WAITING)
        self._lost = 0
        self._news = trio.Event()
        self._closed = trio.Event()
        # Outlives a cancel from outside, by what `close` allows.
        self._life = trio.CancelScope(shield=True)

    def add(self, span: ReadableSpan) -> None:
        """Have a span sent."""
        self._lost += len(self._waiting) == MAX_WAITING
        self._waiting.append(span)
        self._news.set()

    def close(self) -> None:
        """Send what waits, if `FLUSH_SECONDS` are enough for it."""
        self._life.deadline = trio.current_time() + FLUSH_SECONDS
        self._closed.set()
        self._news.set()

    async def run(self) -> None:
        """Send batch after batch until closed."""
        with self._life:
            while self._waiting or not self._closed.is_set():
                await self._news.wait()
                with trio.move_on_after(GATHER_SECONDS):
                    await self._closed.wait()
                await self._send()
        self._lost += len(self._waiting)
        if self._lost:
            logger.warning(
                "{} spans could not be exported; is the collector up, and OTEL_EXPORTER_OTLP_ENDPOINT right?",
                self._lost,
            )

    async def _send(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        if not self._waiting and not self._closed.is_set():
            self._news = trio.Event()
        if not batch:
            return
        self._lost += len(batch)
        result = await trio.to_thread.run_sync(partial(self._exporter.export, batch), abandon_on_cancel=True)
        if result.name == "SUCCESS":
            self._lost -= len(batch)


class _ToOurLog(logging.Handler):
    """The SDK logs by the standard library, and in several lines what is worth none: our log has it at debug."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.debug("{}", record.getMessage())


_to_our_log = _ToOurLog()
