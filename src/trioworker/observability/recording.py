"""A tracer that records: it tracks which span is the parent of which, and passes everything on to its sinks.

The current span is a context variable, so a task that is started within a span has it as its parent. While there is no
sink, only the spans of the job and its actors are tracked: a sink that is added later needs them as parents.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Protocol, Self, cast

import trio

from trioworker.observability.spans import NO_HEADERS, UNRECORDED, Attribute, Kind, Span, Tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from contextvars import Context
    from types import TracebackType

DEFAULT_TRACK = "job"
"""The track of spans that belong to no actor."""
CACHED_TEXTS = 256
"""Redacted texts that are cached: nearly all are names that recur."""
LASTING: frozenset[Kind] = frozenset({"job", "actor"})
"""The kinds of spans that are tracked without a sink."""


class RecordedSpan(Span):
    """A span as the sinks see it. Times are nanoseconds of `perf_counter_ns`.

    Attributes:
        id: its number among the tracer's spans.
        attributes: those known at the start.
        results: those known at the end.
        error: the type of the exception that left the span, if one did, other than a cancel.
        cancelled: whether a cancel ended the span; `results` says so, too.
    """

    __slots__ = (
        "_outer",
        "_recorder",
        "attributes",
        "cancelled",
        "ended_at",
        "error",
        "id",
        "kind",
        "name",
        "parent",
        "results",
        "started_at",
        "track",
    )

    def __init__(
        self, recorder: RecordingTracer, kind: Kind, name: str, track: str, attributes: dict[str, Attribute]
    ) -> None:
        self._recorder = recorder
        self.id = next(recorder.ids)
        self.kind: Kind = kind
        self.name = name
        self.track = track
        self.attributes = attributes
        self.results: dict[str, Attribute] = {}
        self.parent: RecordedSpan | None = None
        self._outer: RecordedSpan | None = None
        self.error: type[BaseException] | None = None
        self.cancelled = False
        self.started_at = self.ended_at = 0

    def __enter__(self) -> Self:
        outer = _current.get()
        # A job within the span of another job is recorded separately.
        self.parent = outer if outer is not None and outer._recorder is self._recorder else None
        self._outer = outer
        if not self.track:
            self.track = self.parent.track if self.parent else DEFAULT_TRACK
        _current.set(self)
        self.started_at = time.perf_counter_ns()
        self._recorder.sample_gauges(self.started_at)
        for sink in self._recorder.sinks:
            sink.span_started(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # ContextVar.reset would fail: a caller may enter and exit a context manager in different contexts.
        _current.set(self._outer)
        if self.ended_at:
            return
        self.ended_at = time.perf_counter_ns()
        if is_cancel(error):
            self.cancelled = self.results["cancelled"] = True
        else:
            self.error = kind
        for sink in self._recorder.sinks:
            sink.span_ended(self)

    def set(self, **attributes: Attribute) -> None:
        """Add to its results."""
        self.results |= self._recorder.clean_attributes(attributes)


class Sink(Protocol):
    """A destination of recorded data. No method may raise, block for long, or await.

    Attributes:
        propagates: the sink has headers for requests.
    """

    propagates: bool

    def span_started(self, span: RecordedSpan, /) -> None:
        """The span was entered."""
        ...

    def span_ended(self, span: RecordedSpan, /) -> None:
        """The span was left."""
        ...

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute], /) -> None:
        """An event; `at` is in nanoseconds of `perf_counter_ns`."""
        ...

    def counter(self, name: str, at: int, value: float, /) -> None:
        """A gauge or counter has this value from `at` on."""
        ...

    def headers(self, span: RecordedSpan, /) -> Mapping[str, str]:
        """Return the headers of a request within the span."""
        ...

    def flush(self) -> None:
        """Write what was recorded; called a few times per second."""
        ...


class RecordingTracer(Tracer):
    """A tracer that records into each of its sinks.

    Attributes:
        sinks: the sinks; the tuple is replaced, since a sink may be added or removed while a span is passed on.
        ids: the numbers of the spans to come.
        on_use: called when a sink was added or removed, with whether there are any.
    """

    __slots__ = (
        "_at_end",
        "_clean",
        "_ended",
        "_gauge_names",
        "_job",
        "_propagating_sinks",
        "_read_gauges",
        "_reported",
        "ids",
        "on_use",
        "sinks",
    )

    def __init__(self, sinks: Iterable[Sink], redact: Callable[[str], str]) -> None:
        """`redact` is applied to every text."""
        self.sinks = tuple(sinks)
        self.ids = count(1)
        self._clean: Callable[[str], str] = lru_cache(CACHED_TEXTS)(redact)
        self._propagating_sinks = [sink for sink in self.sinks if sink.propagates]
        self._gauge_names: Sequence[str] = ()
        self._read_gauges: Callable[[], tuple[float, ...]] = tuple
        self._reported: tuple[float, ...] = ()
        self._job = UNRECORDED
        self._ended = False
        self._at_end: list[Callable[[], None]] = []
        self.on_use: Callable[[bool], object] = bool

    @contextmanager
    def job(self, job_id: str) -> Generator[None]:
        """Record the span of the whole job, until `end_job` or the end of the block."""
        self._job = self.span("job", "job", job_id=job_id)
        try:
            with self._job:
                yield
        finally:
            self.end_job()

    def end_job(self) -> None:
        """End the job's span: the job has ended, although the program may not have left `open_job` yet."""
        self._job.__exit__(None, None, None)
        self._ended = True
        while self._at_end:
            self._at_end.pop()()

    def span(self, kind: Kind, name: str, *, track: str = "", **attributes: Attribute) -> Span:
        """Return a span that the sinks are notified of."""
        if not self.sinks and kind not in LASTING:
            return UNRECORDED
        return RecordedSpan(self, kind, self._clean(name), track, self.clean_attributes(attributes))

    def add(self, sink: Sink) -> None:
        """Pass what is recorded from now on to this sink, too."""
        self.sinks = (*self.sinks, sink)
        self.on_use(True)

    def remove(self, sink: Sink) -> None:
        """Pass nothing more to this sink."""
        self.sinks = tuple(other for other in self.sinks if other is not sink)
        self.on_use(bool(self.sinks))

    def when_ended(self, call: Callable[[], None]) -> None:
        """Call this function when the job's span has ended, or at once if it already has."""
        if self._ended:
            call()
        else:
            self._at_end.append(call)

    def instant(self, name: str, *, track: str = "", **attributes: Attribute) -> None:
        """Record an event."""
        if not self.sinks:
            return
        parent = _current.get()
        track = track or (parent.track if parent else DEFAULT_TRACK)
        self.mark(name, track, time.perf_counter_ns(), attributes)

    def mark(self, name: str, track: str, at: int, attributes: dict[str, Attribute]) -> None:
        """Record an event at an earlier time, given in nanoseconds of `perf_counter_ns`."""
        name, attributes = self._clean(name), self.clean_attributes(attributes)
        for sink in self.sinks:
            sink.instant(name, track, at, attributes)

    def watch(self, names: Sequence[str], read: Callable[[], tuple[float, ...]]) -> None:
        """Sample these gauges, in place of earlier ones, when a span starts and at each flush."""
        self._gauge_names, self._read_gauges, self._reported = names, read, ()

    def redact_with(self, redact: Callable[[str], str]) -> None:
        """Apply `redact` to every text from now on."""
        self._clean = lru_cache(CACHED_TEXTS)(redact)

    def clean_attributes(self, attributes: dict[str, Attribute]) -> dict[str, Attribute]:
        """Return the attributes with redacted texts."""
        return {name: self._clean(value) if isinstance(value, str) else value for name, value in attributes.items()}

    def headers(self) -> Mapping[str, str]:
        """Return the headers that the sinks add to a request."""
        span = _current.get() if self._propagating_sinks else None
        if span is None:
            return NO_HEADERS
        return {name: value for sink in self._propagating_sinks for name, value in sink.headers(span).items()}

    def sample_gauges(self, at: int) -> None:
        """Read the gauges, and record those that have changed."""
        values, reported = self._read_gauges(), self._reported
        if values != reported:
            self._reported = values
            for index, name in enumerate(self._gauge_names):
                if not reported or values[index] != reported[index]:
                    self.counter(name, at, values[index])

    def counter(self, name: str, at: int, value: float) -> None:
        """Record a value."""
        for sink in self.sinks:
            sink.counter(name, at, value)

    def flush(self, at: int) -> None:
        """Sample the gauges and flush the sinks."""
        self.sample_gauges(at)
        for sink in self.sinks:
            sink.flush()


def track_of(context: Context) -> str:
    """The track of another task's current span, which its context contains."""
    span = context.get(_current)
    return span.track if span else DEFAULT_TRACK


def is_cancel(error: BaseException | None) -> bool:
    """Whether an exception is `Cancelled`, or a group of only that: work that is no longer needed ends like this."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_cancel, cast("BaseExceptionGroup[BaseException]", error).exceptions))
    return isinstance(error, trio.Cancelled)


_current: ContextVar[RecordedSpan | None] = ContextVar("span", default=None)
