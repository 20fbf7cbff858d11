"""A request that a simulated orchestrator received, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import httpx

    from trioworker.testing.faults import Fault

MAX_SHOWN = 100
"""Characters of a body in the `repr` of its exchange."""


@dataclass(kw_only=True, eq=False, repr=False)
class Exchange:
    """A request and its answer. Two exchanges are equal only if they are the same one.

    Attributes:
        method: `GET` or `POST`.
        path: the path after `/worker/JOB_ID/`, such as `event` or `llm/complete_with_tools`.
        headers: the request's headers; names are case-insensitive.
        content: the bytes of the request's body.
        at: when it arrived, in seconds of trio's clock.
        status: the HTTP status of the answer; None while there is none, or if a fault prevented it.
        handled: whether the orchestrator did what the request asks for.
        fault: what went wrong with it, if anything.
    """

    method: str
    path: str
    headers: httpx.Headers
    content: bytes
    at: float
    status: int | None = None
    handled: bool = False
    fault: Fault | None = None

    @cached_property
    def body(self) -> Any:
        """The request's body, decoded from JSON; None if it is empty."""
        return msgspec.json.decode(self.content) if self.content else None

    @property
    def is_for_the_model(self) -> bool:
        """Whether the request asks the model for a reply."""
        return self.is_to("llm")

    def is_to(self, path: str) -> bool:
        """Whether it was sent to `path` or to a path below it, as `llm` stands for both requests to the model."""
        return self.path == path or self.path.startswith(f"{path}/")

    def __repr__(self) -> str:
        answer = self.fault or self.status or "no answer"
        body = self.content[:MAX_SHOWN].decode(errors="replace") + ("…" if len(self.content) > MAX_SHOWN else "")
        return f"<{' '.join(filter(None, [self.method, self.path, body]))} at {self.at:.3f} s: {answer}>"
