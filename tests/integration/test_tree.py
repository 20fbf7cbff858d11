"""`trioworker tree` and a running worker: while it waits for the model, runs a tool, and computes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import trio

from observability.tracefile import read_trace
from support.program import WAIT_TIMEOUT, ran, until
from support.realjob import real_orchestrator, real_worker
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

WAIT_FOR_GO = "touch began; while ! test -e go; do sleep 0.05; done; : a secret plan"


COMPUTE = """
from pathlib import Path
from typing import ClassVar

from trioworker import Parameters, Tool


class ComputeParameters(Parameters, frozen=True):
    folder: str


class Compute(Tool[ComputeParameters]):
    name: ClassVar[str] = "compute"
    description: ClassVar[str] = "Compute something."
    parameters: ClassVar[type[Parameters]] = ComputeParameters

    async def run(self, parameters, context):
        return compute(Path(parameters.folder))


def compute(folder):
    (folder / "computing").touch()
    while not (folder / "computed").exists():
        pass
    return "done"
"""
"""A tool that holds the event loop until a file exists."""


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def test_tree_of_a_worker_that_waits_for_the_model_runs_a_tool_and_computes(
    store: Store, workspace: Path, tmp_path: Path
) -> None:
    path = str(tmp_path / "health.sock")
    write(tmp_path / "computes.py", COMPUTE)
    asked, answer = trio.Event(), trio.Event()
    turns = [call("shell", command=WAIT_FOR_GO), call("compute", folder=str(workspace)), DONE]

    async def think(number: int) -> None:
        if number == 1:
            asked.set()
            await answer.wait()

    async def tree() -> str:
        ended = await ran("tree", environment={"TRIOWORKER_HEALTH_SOCKET": path})
        assert (ended.code, ended.err) == (0, "")
        assert "secret plan" not in ended.out
        print(ended.out)
        return ended.out

    async with (
        real_orchestrator(store, turns) as orchestrator,
        real_worker(
            orchestrator,
            workspace,
            *("--health-socket", path, "--tool", "computes:Compute", "--trace", str(tmp_path / "trace.json")),
            environment={"PYTHONPATH": str(tmp_path)},
        ) as job,
    ):
        orchestrator.model.before_reply = think
        with trio.fail_after(WAIT_TIMEOUT):
            await asked.wait()
        waits_for_model = await tree()
        answer.set()
        await until((workspace / "began").exists)
        runs_tool = await tree()
        (workspace / "go").touch()
        await until((workspace / "computing").exists)
        computes = await tree()
        (workspace / "computed").touch()
        ended = await job.ended()
    assert ended.code == 0, ended.err
    (stall,) = [
        args for _, args in read_trace(tmp_path / "trace.json").marks("stall") if "computes.py" in args["stack"]
    ]
    assert stall["milliseconds"] > 250
    assert job.token not in str(stall)

    waiting = r"─ {} \(actor\): waiting for (less than )?\d+ s in "
    assert re.search(waiting.format("reasoner") + r"worker/client/\S+\.py:\d+ \S+\n\W+from worker/", waits_for_model)
    assert re.search(
        r"from worker/client/orchestrator_client.py:\d+ OrchestratorClient.complete_with_tools\n", waits_for_model
    )
    for actor in ("prompt-poller", "tool-executor", "event-shipper"):
        assert re.search(waiting.format(actor), waits_for_model)
    assert "event loop is held" not in waits_for_model + runs_tool
    executor = waiting.format("tool-executor") + r"worker/processes/.*\n(\W+from .*\n)*"
    assert re.search(executor + r"\W+from worker/tools/shell.py:\d+ Shell.run\n", runs_tool)
    held = r"\nthe event loop is held for .* s by tool-executor \(actor\), innermost first:\n(  .*\n)*"
    assert re.search(held + r"  computes.py:\d+ compute\n  computes.py:\d+ Compute.run\n  worker/actors/", computes)
    assert re.search(waiting.format("reasoner"), computes)
    assert "─ tool-executor (actor): running\n" in computes
    assert job.token not in waits_for_model + runs_tool + computes
