"""Records when the calls of tools start and end, and which of them swallow a cancel."""

from __future__ import annotations

import math
import types
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import outcome
import trio

from trioworker.worker.tools.base import Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterable

    from trioworker.worker.tools.base import AnyTool, Parameters, ToolContext

MAX_CANCELS = 1000
"""Cancels that one call may catch at one time: a call that catches more is an endless loop, and is ended."""


@dataclass
class ToolRun:
    """One run of a tool.

    Attributes:
        tool: the name of the tool.
        parameters: its parameters.
        started: seconds after the start of the job.
        ended: the same; None if it was cancelled or is still running.
        cancelled: whether it was cancelled.
        swallowed: whether it was cancelled, but returned, failed or continued endlessly.
    """

    tool: str
    parameters: Parameters
    started: float
    ended: float | None = None
    cancelled: bool = False
    swallowed: bool = False

    def __str__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self.parameters, name)!r}" for name in self.parameters.__struct_fields__)
        return f"{self.tool}({fields})"


def recorded(tools: Iterable[object], runs: list[ToolRun], now: Callable[[], float]) -> list[Any]:
    """The tools, which add their runs to `runs`. Items that aren't tools stay as they are: the worker reports them."""
    return [_recorded(cast("AnyTool", tool), runs, now) if isinstance(tool, Tool) else tool for tool in tools]


def _recorded(tool: AnyTool, runs: list[ToolRun], now: Callable[[], float]) -> AnyTool:
    # The worker's error messages contain the name of a tool's class.
    return type(type(tool).__name__, (_RecordedTool,), {})(tool, runs, now)


class _RecordedTool(Tool[Any]):
    def __init__(self, tool: AnyTool, runs: list[ToolRun], now: Callable[[], float]) -> None:
        self._tool = tool
        self._runs = runs
        self._now = now
        for attribute in ("name", "description", "parameters", "timeout", "reads_only"):
            if hasattr(tool, attribute):
                setattr(self, attribute, getattr(tool, attribute))

    def time_limit(self, parameters: Any) -> float:
        return self._tool.time_limit(parameters)

    async def run(self, parameters: Any, context: ToolContext) -> object:
        run = ToolRun(self.name, parameters, self._now())
        self._runs.append(run)
        call = _Call(self._tool.run(parameters, context))
        try:
            result = await call.result()
        except BaseException as error:
            run.cancelled = _is_cancel(error)
            if isinstance(error, Exception):
                self._end(run, call)
            raise
        self._end(run, call)
        return result

    def _end(self, run: ToolRun, call: _Call) -> None:
        run.ended = self._now()
        is_cancelled = trio.current_effective_deadline() == -math.inf
        run.swallowed = call.is_endless or (call.was_cancelled and is_cancelled)


def _is_cancel(error: BaseException) -> bool:
    """Whether it is a Cancelled, or a group that contains one, such as a nursery's."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).split(trio.Cancelled)[0] is not None
    return isinstance(error, trio.Cancelled)


class _Call:
    """Runs a coroutine, and notices which of its awaits are cancelled.

    Attributes:
        was_cancelled: whether its last await was cancelled.
        is_endless: whether it was ended because it caught more than `MAX_CANCELS` cancels.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, object]) -> None:
        self.was_cancelled = False
        self.is_endless = False
        self._coroutine = coroutine
        self._cancels = 0
        self._cancelled_at: float = 0.0

    @types.coroutine
    def result(self) -> Generator[Any, Any, object]:
        received: Any = None
        try:
            while not self.is_endless:
                try:
                    message = self._coroutine.send(received)
                except StopIteration as end:
                    return end.value
                received = yield message
                self._observe(received)
            return None
        finally:
            # A tool that catches every exception can't be closed either.
            with suppress(RuntimeError):
                self._coroutine.close()

    def _observe(self, received: Any) -> None:
        """`received` is what trio sends to a task that it resumes."""
        self.was_cancelled = isinstance(received, outcome.Error) and isinstance(received.error, trio.Cancelled)
        now = trio.current_time()
        if now != self._cancelled_at:
            # A sleep ends by a cancel, too.
            self._cancels, self._cancelled_at = 0, now
        self._cancels += self.was_cancelled
        self.is_endless = self._cancels > MAX_CANCELS
