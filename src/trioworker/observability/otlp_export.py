"""Exports spans by exporters of OpenTelemetry's SDK, while the job runs and shortly after.

An exporter blocks, so each batch is sent in a worker thread of trio. Nothing here fails the job: if the collector is
unavailable or an exporter raises, its spans are lost, and one line is logged.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio
from loguru import logger

from trioworker.observability.guarded_sink import GuardedSink
from trioworker.protocol.url_passwords import hide_url_passwords
from trioworker.supervision.nurseries import unwrap_single_exception

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

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
async def open_export(names: Sequence[str]) -> AsyncGenerator[list[Sink]]:
    """Open a sink whose spans are exported while the block runs, by the exporters that `OTEL_TRACES_EXPORTER` names.

    Yields no sink, and logs why, if the extra is not installed or a variable is invalid.
    """
    try:
        from trioworker.observability.otel import OtelSink
        from trioworker.observability.otel_exporters import create_exporter

        queues = [SpanQueue(create_exporter(name)) for name in names]
        sink = GuardedSink(OtelSink([queue.add for queue in queues], os.environ))
    except ImportError:
        logger.warning("no spans are exported: OpenTelemetry is not installed; pip install 'trioworker[otel]'")
        yield []
        return
    except Exception as error:  # the SDK raises various types for a malformed variable
        reason = hide_url_passwords(f"{type(error).__name__}: {error}")
        logger.warning("no spans are exported: an OTEL_* variable is invalid: {}", reason)
        yield []
        return
    with unwrap_single_exception():
        async with trio.open_nursery() as nursery:
            for queue in queues:
                nursery.start_soon(queue.run)
            try:
                yield [sink]
            finally:
                for queue in queues:
                    queue.close()


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
        _shut_down(self._exporter)
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
        if await trio.to_thread.run_sync(partial(_export, self._exporter, batch), abandon_on_cancel=True):
            self._lost -= len(batch)


def _export(exporter: SpanExporter, batch: Sequence[ReadableSpan]) -> bool:
    """Send a batch. Exporters are foreign code; in some versions of the SDK, they raise exceptions of `requests`."""
    try:
        return exporter.export(batch).name == "SUCCESS"
    except (Exception, SystemExit) as error:
        # Only the type: the message may contain the collector's URL with a password.
        logger.debug("an exporter of spans raised {}", type(error).__name__)
        return False


def _shut_down(exporter: SpanExporter) -> None:
    """Make an abandoned thread return from its retry delay."""
    try:
        exporter.shutdown()
    except (Exception, SystemExit) as error:
        logger.debug("an exporter of spans raised {} when it was shut down", type(error).__name__)
