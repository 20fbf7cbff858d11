"""Simulated tools that take virtual time and log their runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import trio

from trioworker.errors import ToolError
from trioworker.worker.tools.base import Parameters, Tool

if TYPE_CHECKING:
    from trioworker.worker.tools.base import ToolContext


class ProbeParameters(Parameters, frozen=True):
    """A probe takes `seconds`, and then crashes, or fails with `error` unless that is empty."""

    text: str = ""
    seconds: float = 0.0
    error: str = ""
    crash: bool = False


@dataclass
class Run:
    """One run of a probe; `ended` is None if it was cancelled or is still running."""

    text: str
    started: float
    ended: float | None = None
    cancelled: bool = False


@dataclass
class Log:
    """The runs, in the order in which they started."""

    runs: list[Run] = field(default_factory=list[Run])

    @property
    def texts(self) -> list[str]:
        return [run.text for run in self.runs]


class Probe(Tool[ProbeParameters]):
    """A tool with an effect that can be counted."""

    name: ClassVar[str] = "probe"
    description: ClassVar[str] = "Do something slow."
    parameters: ClassVar[type[Parameters]] = ProbeParameters

    def __init__(self, log: Log) -> None:
        self._log = log

    async def run(self, parameters: ProbeParameters, context: ToolContext) -> object:
        run = Run(parameters.text, trio.current_time())
        self._log.runs.append(run)
        try:
            await trio.sleep(parameters.seconds)
        except trio.Cancelled:
            run.cancelled = True
            raise
        run.ended = trio.current_time()
        if parameters.crash:
            raise ZeroDivisionError("the probe is broken")
        if parameters.error:
            raise ToolError(parameters.error)
        return {"did": parameters.text}


class Look(Probe):
    """A read-only probe."""

    name: ClassVar[str] = "look"
    description: ClassVar[str] = "Look at something."
    reads_only: ClassVar[bool] = True
