"""The interface of tracing: spans, instants and gauges. The tracer of this module does nothing, at almost no cost.

`recording.py` has the one that records. Attributes are names, numbers and ids, never content, which may be secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

Attribute = str | int | float | bool

Kind = Literal["job", "actor", "llm", "tool", "request", "retry", "wait"]
"""What takes the time: the whole job; one incarnation of an actor; a request to the model; a tool call; any other
request; an attempt of a request after the first; waiting for another actor or a delay.
"""


class Span:
    """The time from entering a block to leaving it. Spans that are opened within it are its children."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the span. Only the type of an exception is recorded, and a cancel isn't an error."""

    def set(self, **attributes: Attribute) -> None:
        """Add attributes that are known only now."""


class Tracer:
    """Records what a job spends its time on. This one records nothing."""

    __slots__ = ()

    def span(self, kind: Kind, name: str, *, track: str = "", **attributes: Attribute) -> Span:  # noqa: ARG002 - the interface
        """Return a span to enter. The track, an actor's name, is that of the parent by default."""
        return UNRECORDED

    def instant(self, name: str, *, track: str = "", **attributes: Attribute) -> None:
        """Record an event without a duration, such as a restart."""

    def watch(self, names: Sequence[str], read: Callable[[], tuple[float, ...]]) -> None:
        """Record the values that `read` returns, one for each name, when they change. `read` must be fast."""

    def redact_with(self, redact: Callable[[str], str]) -> None:
        """Apply `redact` to every recorded text from now on, because more secrets are known."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that propagate the current span with a request."""
        return NO_HEADERS


UNRECORDED = Span()
NO_HEADERS: Mapping[str, str] = {}
UNTRACED = Tracer()
"""The tracer of a client without a job."""
