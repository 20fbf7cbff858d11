"""A tracer that records: it knows which span is within which, and tells its sinks what begins and ends when.

The current span is a context variable, so a task that is started within a span has it as its parent.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, Self

from trioworker.observability.spans import Attribute, Kind, Span, Tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

DEFAULT_TRACK = "job"
"""The track of spans that belong to no actor."""


class RecordedSpan(Span):
    """A span as the sinks see it. Times are nanoseconds of `perf_counter_ns`.

    Attributes:
        attributes: what was known when it began.
        results: what was learnt until it ended.
        error: the type of the error that left it, if one did.
    """

    __slots__ = ("_recorder", "attributes", "began", "ended", "error", "kind", "name", "parent", "results", "track")

    def __init__(self, recorder: Recorder, kind: Kind, name: str, track: str, attributes: dict[str, Attribute]) -> None:
        self._recorder = recorder
        self.kind: Kind = kind
        self.name = name
        self.track = track
        self.attributes = attributes
        self.results: dict[str, Attribute] = {}
        self.parent: RecordedSpan | None = None
        self.error: type[BaseException] | None = None
        self.began = self.ended = 0

    def __enter__(self) -> Self:
        self.parent = _current.get()
        if not self.track:
            self.track = self.parent.track if self.parent else DEFAULT_TRACK
        _current.set(self)
        self.began = time.perf_counter_ns()
        self._recorder.look(self.began)
        for sink in self._recorder.sinks:
            sink.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended = time.perf_counter_ns()
        self.error = kind
        # Not by a token: a context manager that a caller holds may be left in another context than it was entered in.
        _current.set(self.parent)
        for sink in self._recorder.sinks:
            sink.end(self)

    def set(self, **attributes: Attribute) -> None:
        """Add to its results."""
        self.results |= attributes


class Sink(Protocol):
    """Where what is recorded goes. No method may raise, block for long, or await.

    Attributes:
        carries: requests carry headers of this sink's.
    """

    carries: bool

    def begin(self, span: RecordedSpan, /) -> None:
        """The span was entered."""
        ...

    def end(self, span: RecordedSpan, /) -> None:
        """The span was left."""
        ...

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute], /) -> None:
        """Something happened; `at` is in nanoseconds of `perf_counter_ns`."""
        ...

    def count(self, name: str, at: int, value: float, /) -> None:
        """A gauge has this value from now on."""
        ...

    def headers(self, span: RecordedSpan, /) -> Mapping[str, str]:
        """What a request within the span carries."""
        ...

    def settle(self) -> None:
        """A moment to write down what was recorded, a few times a second."""
        ...


class Recorder(Tracer):
    """Records into each of the sinks."""

    __slots__ = ("_carriers", "_names", "_read", "_told", "sinks")

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = sinks
        self._carriers = [sink for sink in sinks if sink.carries]
        self._names: Sequence[str] = ()
        self._read: Callable[[], tuple[float, ...]] = tuple
        self._told: tuple[float, ...] = ()

    def span(self, kind: Kind, name: str, *, track: str = "", **attributes: Attribute) -> Span:
        """A span that the sinks will hear of."""
        return RecordedSpan(self, kind, name, track, attributes)

    def instant(self, name: str, *, track: str = "", **attributes: Attribute) -> None:
        """Tell the sinks of a moment."""
        parent = _current.get()
        track = track or (parent.track if parent else DEFAULT_TRACK)
        at = time.perf_counter_ns()
        for sink in self.sinks:
            sink.instant(name, track, at, attributes)

    def watch(self, names: Sequence[str], read: Callable[[], tuple[float, ...]]) -> None:
        """Read these gauges, and no others, whenever a span begins and at each tick."""
        self._names, self._read, self._told = names, read, ()

    def headers(self) -> Mapping[str, str]:
        """What the sinks want a request to carry."""
        span = _current.get()
        if span is None or not self._carriers:
            return {}
        return {name: value for sink in self._carriers for name, value in sink.headers(span).items()}

    def look(self, at: int) -> None:
        """Read the gauges, and tell the sinks of those that have changed."""
        values, told = self._read(), self._told
        if values != told:
            self._told = values
            for index, name in enumerate(self._names):
                if not told or values[index] != told[index]:
                    self.count(name, at, values[index])

    def count(self, name: str, at: int, value: float) -> None:
        """Tell the sinks a counter's value."""
        for sink in self.sinks:
            sink.count(name, at, value)

    def settle(self, at: int) -> None:
        """Read the gauges and have the sinks write down what they have."""
        self.look(at)
        for sink in self.sinks:
            sink.settle()


_current: ContextVar[RecordedSpan | None] = ContextVar("span", default=None)
