"""Invariants of tool calls, and of what a job leaves behind."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.errors import ToolError
from trioworker.testing.simulation.planned_faults import Freeze, Kill, Signal, Supersede
from trioworker.worker.tools.arguments import parse_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trioworker.testing.simulation.job import SimulatedRun
    from trioworker.testing.simulation.recorded_tools import ToolRun

Key = tuple[str, bytes]
"""A tool and its encoded parameters: a tool doesn't know the id of its call."""


def runs_calls_once(run: SimulatedRun) -> Iterator[str]:
    """No call is started more often than the model asked for it, and each call that succeeded has run to its end."""
    if not (run.orchestrator.reports and run.orchestrator.reports[0]["success"]):
        # The model's last turn may not be in any request.
        return
    asked = _asked(run)
    counts = Counter(asked.values())
    names = {_key_of(tool_run): str(tool_run) for tool_run in run.tool_runs}
    for key, count in Counter(map(_key_of, run.tool_runs)).items():
        if count > max(counts[key], 1):
            yield f"the call {names[key]} was asked for {counts[key]} times but started {count} times"
    ended = Counter(_key_of(tool_run) for tool_run in run.tool_runs if tool_run.ended is not None)
    results = run.orchestrator.of_type("tool_result")
    succeeded = Counter(asked.get(result["tool_call_id"]) for result in results if result["success"])
    for key, count in succeeded.items():
        if key is not None and count > ended[key]:
            yield f"the call {key[0]}({key[1].decode()}) has {count} results but ended {ended[key]} times"


def swallows_no_cancel(run: SimulatedRun) -> Iterator[str]:
    """A tool that is cancelled lets `Cancelled` propagate."""
    for tool_run in run.tool_runs:
        if tool_run.swallowed:
            yield f"the tool {tool_run} swallowed a cancel"


def restarts_after_cancels(run: SimulatedRun) -> Iterator[str]:
    """A cancelled actor is restarted."""
    if run.plan.of(Kill, Signal, Freeze, Supersede):
        # The process may be killed, or its work may end, between the cancel and the restart.
        return
    for name, count in run.cancelled.items():
        # The last cancel may reach an actor that is about to end, and several cancels may come at one step.
        if run.restarts[name] < count - 1:
            yield f"{name} was cancelled {count} times but restarted {run.restarts[name]} times"


def leaves_nothing(run: SimulatedRun) -> Iterator[str]:
    """When the job has ended, no task or call is left running, and no journal is left open."""
    if run.tasks_left:
        yield f"tasks still running: {run.tasks_left}"
    if run.disk.open:
        yield f"journals still open: {run.disk.open}"
    running = [str(tool_run) for tool_run in run.tool_runs if tool_run.ended is None and not tool_run.cancelled]
    if running:
        yield f"tools still running: {running}"


def _asked(run: SimulatedRun) -> dict[str, Key | None]:
    """The calls that the model asked for, by their ids; None stands for a call that can't be run."""
    tools = {tool.name: tool for tool in run.job.tools}
    asked: dict[str, Key | None] = {}
    for messages in run.orchestrator.conversations():
        for message in messages:
            for call in message.get("tool_calls") or ():
                if call["id"] not in asked:
                    tool = tools.get(call["name"])
                    asked[call["id"]] = None if tool is None else _key(tool.name, tool.parameters, call["arguments"])
    return asked


def _key(name: str, parameters: type[Any], arguments: object) -> Key | None:
    try:
        return name, msgspec.json.encode(parse_arguments(parameters, arguments))
    except ToolError:
        return None


def _key_of(tool_run: ToolRun) -> Key:
    return tool_run.tool, msgspec.json.encode(tool_run.parameters)
