"""`open_job` and `run_job`: what they do with what their caller gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.tools import Log, Probe
from trioworker import BUILTIN_TOOLS, ConfigError, StopRequest, open_job, run_job
from trioworker.testing import DONE, SimulatedOrchestrator, call, reply

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_instrument_that_trio_has_disabled_does_not_fail_the_job(
    workspace: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            raise RuntimeError("a defect of the instrument")

    world = SimulatedOrchestrator([DONE])
    outcome = await run_job(world.config(workspace), transport=world, tools=[], instruments=[Broken()])
    assert outcome.success
    assert "a defect of the instrument" in caplog.text


async def test_error_of_the_caller_keeps_its_cause(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([DONE])
    cause = ValueError("the cause")
    with pytest.raises(RuntimeError, match="the error") as caught:
        async with open_job(world.config(workspace), transport=world, tools=[]):
            raise RuntimeError("the error") from cause
    assert caught.value.__cause__ is cause


async def test_jobs_at_once_share_the_built_in_tools(tmp_path: Path) -> None:
    async def run_one(name: str) -> None:
        (tmp_path / name).mkdir()
        world = SimulatedOrchestrator(
            [reply(call("write_file", path="name.txt", content=name), call("probe", text=name)), DONE], thinking=0.0
        )
        log = Log()
        tools = [*BUILTIN_TOOLS, Probe(log)]
        outcome = await run_job(world.config(tmp_path / name), transport=world, tools=tools)
        assert outcome.success
        assert log.texts == [name]

    async with trio.open_nursery() as nursery:
        for name in ("one", "two"):
            nursery.start_soon(run_one, name)
    assert [(tmp_path / name / "name.txt").read_text() for name in ("one", "two")] == ["one", "two"]


async def test_two_tools_of_one_name_are_refused_before_any_request(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([DONE])
    with pytest.raises(ConfigError, match="two tools are named 'probe'"):
        await run_job(world.config(workspace), transport=world, tools=[Probe(Log()), Probe(Log())])
    assert world.exchanges == []


async def test_stop_request_ends_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    world, stop = SimulatedOrchestrator([call("probe", seconds=100.0), DONE]), StopRequest()

    async def request_stop() -> None:
        await trio.sleep(10)
        stop.request("enough")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(request_stop)
        outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())], stop=stop)
    assert (outcome.status, outcome.message) == ("cancelled", "Execution stopped: enough")
