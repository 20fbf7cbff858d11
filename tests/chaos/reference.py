"""The reference job: reading and writing tools, text turns, a failure, a slow call, a follow-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.tools import Log, Look, Probe, ProbeParameters
from trioworker.testing import SimulatedJob, call, reply, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trioworker import AnyTool
    from trioworker.testing import SimulatedRun

TURNS = (
    reply(call("probe", text="a", seconds=1.5), text="I start with a."),
    reply(call("look", text="b", seconds=1.0), call("look", text="c", seconds=0.5), call("probe", text="d")),
    say("Half of it is there."),
    call("probe", text="e", error="e can't be had"),
    reply(call("probe", text="f", seconds=3.0), call("nothing", text="g")),
    reply(call("probe", text="h"), call("look", text="i")),
    reply(call("look", text="j", seconds=0.2), call("look", text="k"), call("look", text="l", seconds=0.1)),
    reply(call("probe", text="m"), text="On with m."),
    call("probe", text="n", seconds="0.5"),
    say("Nearly there."),
    call("probe", text="o", seconds="often"),
    reply(call("probe", text="p"), call("probe", text="q"), call("probe", text="r")),
    reply(call("look", text="s"), call("probe", text="t", seconds=0.2), call("look", text="u"), text="Check."),
    reply(call("probe", text="v", seconds=0.2), call("probe", text="w")),
    call("probe", text="last", seconds=0.3),
    say("The job is complete."),
)
"""One turn of each kind: calls with text, concurrent calls, only text, a failure, a slow call, an unknown tool,
arguments to coerce, invalid arguments, and a closing text that leaves the report to the last output.
"""
ANSWER = '{\n  "did": "last"\n}'
CALLS = {*"abcdefhijklmnpqrstuvw", "last"}
"""The calls that run, each once unless it is interrupted."""


def reference_job(tools: Sequence[AnyTool] | None = None) -> SimulatedJob:
    """The job, with its own tools or others."""
    log = Log()
    return SimulatedJob(
        TURNS,
        tools=[Probe(log), Look(log)] if tools is None else tools,
        follow_ups={4.0: "Keep the tabs, too."},
        answer=ANSWER,
        invariant=_does_everything,
    )


def _does_everything(run: SimulatedRun) -> None:
    if run.orchestrator.reports and run.orchestrator.reports[0]["success"]:
        done = {
            tool_run.parameters.text
            for tool_run in run.tool_runs
            if tool_run.ended is not None and isinstance(tool_run.parameters, ProbeParameters)
        }
        assert done >= CALLS, f"answered without having done {sorted(CALLS - done)}"
