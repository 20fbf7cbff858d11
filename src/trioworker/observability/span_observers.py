"""Passes finished spans to the program that runs the job: to a function, or through an asynchronous iterator."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Self

import trio
from loguru import logger

from trioworker.observability.finished_spans import FinishedSpan, FinishedSpanSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker.observability.recording import RecordingTracer

MAX_WAITING_SPANS = 8192
"""Spans that may wait for the consumer of a stream: a few MB, more than a busy job finishes in a minute."""


class SpanObserver(FinishedSpanSink):
    """Calls a function with each finished span until it raises. The exception is logged, and never reaches the job."""

    def __init__(self, observe: Callable[[FinishedSpan], object]) -> None:
        """Raises TypeError for an asynchronous function, which nobody would await."""
        if inspect.iscoroutinefunction(observe):
            raise TypeError("on_span can't be an async function; iterate over job.spans() instead")
        self._observe: Callable[[FinishedSpan], object] | None = observe

    def deliver(self, span: FinishedSpan) -> None:
        """Call the function."""
        if self._observe is None:
            return
        try:
            self._observe(span)
        except (Exception, SystemExit) as error:
            self._observe = None
            # Only the type: the message may contain anything.
            logger.warning("on_span raised {}; it is not called again", type(error).__name__)


class SpanStream(FinishedSpanSink):
    """The finished spans of a job, as an asynchronous iterator that ends with the job.

    Up to 8,192 spans wait for the consumer; further spans are lost and counted.

    Attributes:
        lost: the number of lost spans.
    """

    def __init__(self, tracer: RecordingTracer) -> None:
        self.lost = 0
        self._tracer = tracer
        self._in, self._out = trio.open_memory_channel[FinishedSpan](MAX_WAITING_SPANS)
        tracer.add(self)
        tracer.when_ended(self._end)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FinishedSpan:
        try:
            return await self._out.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError) as end:
            raise StopAsyncIteration from end

    def close(self) -> None:
        """Stop recording for this stream. To leave a loop early, use `contextlib.closing`."""
        self._tracer.remove(self)
        self._out.close()

    def deliver(self, span: FinishedSpan) -> None:
        """Queue it, or count it as lost."""
        try:
            self._in.send_nowait(span)
        except trio.WouldBlock:
            self.lost += 1

    def _end(self) -> None:
        """End the iteration after the waiting spans."""
        self._tracer.remove(self)
        self._in.close()
