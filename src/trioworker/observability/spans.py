"""What the code that does the work knows of tracing: spans, instants and gauges, none of which cost anything here.

This is the tracer of a job that nobody traces, and the interface of the one that records (`recording.py`). Attributes
hold names, numbers and ids and never what was said: a trace is no place for a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

Attribute = str | int | float | bool

Kind = Literal["job", "actor", "llm", "tool", "request", "retry", "wait"]
"""What a span's time goes to: the whole job; one life of an actor; a request to the model; a tool call; any other
request; an attempt of either that is not the first; waiting for somebody else.
"""


class Span:
    """A stretch of time, from entering it to leaving it; the spans that are opened within it are its children."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the span; an error that leaves it is told by its type alone."""

    def set(self, **attributes: Attribute) -> None:
        """Add what is known only now."""


class Tracer:
    """Where the time of a job goes. This one records nothing."""

    __slots__ = ()

    def span(self, kind: Kind, name: str, *, track: str = "", **attributes: Attribute) -> Span:  # noqa: ARG002 - the interface
        """A span to enter. Without a `track`, which is an actor's name, it lies on its parent's."""
        return _UNRECORDED

    def instant(self, name: str, *, track: str = "", **attributes: Attribute) -> None:
        """Something that takes no time: a restart, a cancel."""

    def watch(self, names: Sequence[str], read: Callable[[], tuple[float, ...]]) -> None:
        """Record what `read` gives, a value for each name, whenever it has changed; it must be quick."""

    def headers(self) -> Mapping[str, str]:
        """The headers by which a request carries the current span on to who answers it."""
        return _NO_HEADERS


_UNRECORDED = Span()
_NO_HEADERS: Mapping[str, str] = {}
UNTRACED = Tracer()
"""For a job that nobody traces."""
