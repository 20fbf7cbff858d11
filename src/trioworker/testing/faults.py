"""Faults of the network between a worker and its orchestrator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

FaultKind = Literal["refused", "status", "reset-before", "reset-after", "cut", "delay", "garbage"]
"""The kinds of faults, one for each constructor of `Fault`."""

DEFAULT_BODY = b"injected fault"


@dataclass(frozen=True, kw_only=True, repr=False)
class Fault:
    """What goes wrong with a request. Faults are made by the methods below, such as `Fault.status(503, path="event")`.

    All of them accept two keywords that say which requests have the fault:

    - `path`: requests to this path (see `Exchange.path`), such as `event`; `llm` stands for both requests to the model.
      By default, requests to any path.
    - `request`: only one of these requests, by its number from 0. By default, all of them.

    A fault that is chosen by a function (see `SimulatedOrchestrator.fault`) needs neither.

    Attributes:
        kind: the kind of the fault.
        code: the HTTP status of `Fault.status`, otherwise 0.
        seconds: the delay of `Fault.delay`, otherwise 0.
        headers: the response headers of `Fault.status`, as pairs.
        body: the response body of `Fault.status`.
        path: the path that a request must have, or None.
        request: the number that a request must have, or None.

    Raises:
        ValueError: `code`, `seconds` or `request` is out of its range.
    """

    kind: FaultKind
    code: int = 0
    seconds: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    path: str | None = None
    request: int | None = None

    def __post_init__(self) -> None:
        if self.kind == "status" and not 200 <= self.code <= 599:
            raise ValueError(f"Fault.status: {self.code} is not an HTTP status from 200 to 599")
        if not self.seconds >= 0:
            raise ValueError(f"Fault.delay: {self.seconds} is not a number of seconds, 0 or more")
        if self.request is not None and self.request < 0:
            raise ValueError(f"Fault: request {self.request} is not the number of a request, which starts at 0")

    @classmethod
    def refused(cls, *, path: str | None = None, request: int | None = None) -> Fault:
        """The connection is refused: the orchestrator doesn't receive the request."""
        return cls(kind="refused", path=path, request=request)

    @classmethod
    def status(
        cls,
        code: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | bytes = DEFAULT_BODY,
        path: str | None = None,
        request: int | None = None,
    ) -> Fault:
        """The orchestrator answers with the HTTP status `code`, and doesn't handle the request."""
        return cls(
            kind="status",
            code=code,
            headers=tuple((headers or {}).items()),
            body=body.encode() if isinstance(body, str) else body,
            path=path,
            request=request,
        )

    @classmethod
    def reset_before(cls, *, path: str | None = None, request: int | None = None) -> Fault:
        """The connection is reset after the request was sent and before the orchestrator handles it."""
        return cls(kind="reset-before", path=path, request=request)

    @classmethod
    def reset_after(cls, *, path: str | None = None, request: int | None = None) -> Fault:
        """The orchestrator handles the request, and the connection is reset before the answer."""
        return cls(kind="reset-after", path=path, request=request)

    @classmethod
    def cut(cls, *, path: str | None = None, request: int | None = None) -> Fault:
        """The orchestrator handles the request, and the connection ends in the middle of the response's body."""
        return cls(kind="cut", path=path, request=request)

    @classmethod
    def delay(cls, seconds: float, *, path: str | None = None, request: int | None = None) -> Fault:
        """The orchestrator handles the request, and answers `seconds` later; with `math.inf`, never."""
        return cls(kind="delay", seconds=seconds, path=path, request=request)

    @classmethod
    def garbage(cls, *, path: str | None = None, request: int | None = None) -> Fault:
        """The orchestrator handles the request, and a proxy replaces its answer with a web page."""
        return cls(kind="garbage", path=path, request=request)

    def __repr__(self) -> str:
        main = {"status": [str(self.code)], "delay": [str(self.seconds)]}.get(self.kind, [])
        if self.headers:
            main.append(f"headers={dict(self.headers)}")
        if self.body not in {b"", DEFAULT_BODY}:
            main.append(f"body={self.body!r:.80}")
        chosen = {"path": self.path, "request": self.request}
        where = [f"{name}={value!r}" for name, value in chosen.items() if value is not None]
        return f"Fault.{self.kind.replace('-', '_')}({', '.join([*main, *where])})"


def checked_fault(where: str, fault: object) -> Fault:
    """The fault. `where` begins the message of an error.

    Raises:
        TypeError: it isn't a fault; the message says how to make one.
    """
    if not isinstance(fault, Fault):
        raise TypeError(
            f"{where} {fault!r:.80} is not a fault; make it with a method of Fault, such as Fault.status(503)"
        )
    return fault
