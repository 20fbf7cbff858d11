"""A finished span, for the program that runs the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from trioworker.observability.spans import Attribute, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.observability.recording import RecordedSpan

STALL = "stall"
"""The name of the mark of a stall."""
NANOSECONDS = 1_000_000_000
"""Per second."""


class FinishedSpan(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of a job that has ended. A trace contains the same spans.

    As in a trace, a span contains names, numbers and ids, never what the model, a tool or a user wrote.

    Attributes:
        id: the span's number in this job and process; for a stall, its start in nanoseconds.
        parent: the id of the span in which it was opened, if any. A parent finishes after its children.
        kind: `job`, `actor`, `llm`, `tool`, `request`, `retry` or `wait`; or `stall`, a period of real time in which
            the event loop was held, with the `stack` among its attributes.
        name: its name, such as `POST event` or a tool's name.
        track: the actor that it belongs to, or `job`.
        start: its start, in seconds of `time.perf_counter`.
        duration: its duration in seconds.
        attributes: the attributes that are known at the start.
        results: the attributes that are known only at the end.
        error: the name of the type of the exception that ended it, if any; None for a cancel.
        cancelled: whether a cancel ended it.
    """

    id: int
    parent: int | None
    kind: Kind | Literal["stall"]
    name: str
    track: str
    start: float
    duration: float
    attributes: dict[str, Attribute]
    results: dict[str, Attribute]
    error: str | None
    cancelled: bool


class FinishedSpanSink:
    """A sink that needs spans only when they have ended."""

    propagates = False

    def deliver(self, span: FinishedSpan) -> None:
        """Take a span. Must not raise."""
        raise NotImplementedError

    def span_ended(self, span: RecordedSpan) -> None:
        """Deliver a copy, which the receiver may change."""
        results = dict(span.results)
        cancelled = span.cancelled and bool(results.pop("cancelled"))
        self.deliver(
            FinishedSpan(
                id=span.id,
                parent=None if span.parent is None else span.parent.id,
                kind=span.kind,
                name=span.name,
                track=span.track,
                start=span.started_at / NANOSECONDS,
                duration=(span.ended_at - span.started_at) / NANOSECONDS,
                attributes=dict(span.attributes),
                results=results,
                error=None if span.error is None else span.error.__name__,
                cancelled=cancelled,
            )
        )

    def span_started(self, span: RecordedSpan) -> None:
        """Ignore it."""

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute]) -> None:
        """Deliver a stall."""
        if name != STALL:
            return
        took = dict(attributes)
        milliseconds = took.pop("milliseconds", 0)
        self.deliver(
            FinishedSpan(
                id=at,
                parent=None,
                kind="stall",
                name=name,
                track=track,
                start=at / NANOSECONDS,
                duration=float(milliseconds) / 1000,
                attributes=took,
                results={},
                error=None,
                cancelled=False,
            )
        )

    def counter(self, name: str, at: int, value: float) -> None:
        """Ignore it."""

    def headers(self, span: RecordedSpan) -> Mapping[str, str]:  # noqa: ARG002 - the interface
        """Return nothing."""
        return {}

    def flush(self) -> None:
        """Do nothing."""
