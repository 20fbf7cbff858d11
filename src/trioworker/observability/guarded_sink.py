"""A sink around foreign code, which may raise anything: the first exception ends the recording, never the job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trioworker.observability.recording import RecordedSpan, Sink
    from trioworker.observability.spans import Attribute


class GuardedSink:
    """Passes everything on to a sink until that raises."""

    def __init__(self, sink: Sink) -> None:
        self._sink: Sink | None = sink
        self.propagates = sink.propagates

    def span_started(self, span: RecordedSpan) -> None:
        """Pass it on."""
        self._try(lambda sink: sink.span_started(span))

    def span_ended(self, span: RecordedSpan) -> None:
        """Pass it on."""
        self._try(lambda sink: sink.span_ended(span))

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute]) -> None:
        """Pass it on."""
        self._try(lambda sink: sink.instant(name, track, at, attributes))

    def counter(self, name: str, at: int, value: float) -> None:
        """Pass it on."""
        self._try(lambda sink: sink.counter(name, at, value))

    def headers(self, span: RecordedSpan) -> Mapping[str, str]:
        """Return the sink's headers, or none."""
        return self._try(lambda sink: sink.headers(span)) or {}

    def flush(self) -> None:
        """Pass it on."""
        self._try(lambda sink: sink.flush())

    def _try(self, action: Callable[[Sink], Mapping[str, str] | None]) -> Mapping[str, str] | None:
        if self._sink is None:
            return None
        try:
            return action(self._sink)
        except Exception as error:
            self._sink = None
            # Only the type: the message may contain anything.
            logger.warning("the export of spans raised {}; no further spans are exported", type(error).__name__)
            return None
