"""What a program sees that embeds a job and logs with loguru's defaults, which show the values of variables."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import msgspec
import pytest
import trio
from loguru import logger

from support.identity import JOB_ID, TOKEN
from support.tcp_server import tcp_server
from support.tools import Log, Probe
from trioworker import ConfigError, OrchestratorError, Tool, ToolContext, WorkerConfig, run_job
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call
from trioworker.worker.tools.base import Parameters

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from trio.testing import MockClock

SECRET = "-".join(("granted", "credential", "5a1f"))


@pytest.fixture
def log() -> list[str]:
    lines: list[str] = []
    logger.add(lines.append, level="TRACE", diagnose=True, backtrace=True)
    return lines


class Crash(Tool[Parameters]):
    """A tool of the program, which logs its own crash."""

    name: ClassVar[str] = "crash"
    description: ClassVar[str] = "Crash."
    parameters: ClassVar[type[Parameters]] = Parameters

    async def run(self, parameters: Parameters, context: ToolContext) -> object:
        directory = context.workspace.open_directory(".")
        try:
            await context.processes.run(
                ["/nonexistent"], directory=directory, environment=context.environment, timeout=1.0
            )
        except OSError:
            logger.exception("the tool of the program crashed: {}", context)
        finally:
            os.close(directory)
        key = context.environment["SERVICE_KEY"]
        raise RuntimeError(f"{key} was refused")


async def test_crashes_of_tools_and_actors_show_no_secret(workspace: Path, log: list[str]) -> None:
    world = SimulatedOrchestrator([call("crash"), DONE], credentials={"SERVICE_KEY": SECRET}, thinking=0.0)
    outcome = await run_job(world.config(workspace), transport=world, tools=[Crash()])
    text = "".join(log)
    assert outcome.success
    assert "the tool crash crashed" in text
    assert "Traceback" in text
    assert SECRET not in text
    assert TOKEN not in text


async def logged_error(config: WorkerConfig, transport: SimulatedOrchestrator | None = None) -> None:
    try:
        await run_job(config, transport=transport)
    except OrchestratorError as error:
        logger.exception("the job failed: {!r} {!r}", error, error.args)
    else:
        pytest.fail("the job ran")


async def test_refusal_that_quotes_the_token_shows_no_secret(
    workspace: Path, log: list[str], autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator()
    world.fault = lambda exchange: Fault.status(403, body=f"{exchange.headers['authorization']} may not do this")
    await logged_error(world.config(workspace), world)
    assert "RefusedError" in "".join(log)
    assert "answered 403" in "".join(log)
    assert TOKEN not in "".join(log)


async def test_invalid_url_and_broken_connections_show_no_secret(workspace: Path, log: list[str]) -> None:
    async def close(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    config = WorkerConfig(job_id=JOB_ID, token=TOKEN, workspace=workspace, timeout=0.5)
    async with tcp_server(close) as port:
        await logged_error(msgspec.structs.replace(config, orchestrator_url=f"http://127.0.0.1:{port}"))
        for url in ("http://127.0.0.1:99999", f"http://user:{SECRET}@127.0.0.1:1"):
            given = {"orchestrator_url": url}
            try:
                msgspec.structs.replace(config, **given)
            except ConfigError:
                del given, url
                logger.exception("the URL is invalid")
    assert "".join(log).count("the job failed") == 1
    assert "".join(log).count("the URL is invalid") == 2
    assert config.token == TOKEN
    assert TOKEN not in "".join(log)
    assert SECRET not in "".join(log)


async def test_malformed_credentials_show_no_secret(workspace: Path, log: list[str], autojump_clock: MockClock) -> None:
    malformed = f'[{{"env_var": 1, "value": "{SECRET}"}}, {{"value": "{SECRET}'.encode() + b"\xff"
    world = SimulatedOrchestrator(faults=[Fault.status(200, body=malformed, path="credentials")])
    outcome = await run_job(world.config(workspace), transport=world)
    assert not outcome.success
    assert log
    assert SECRET not in "".join([*log, outcome.message])


@pytest.mark.parametrize("method", ["job_fetched", "llm_request", "llm_response", "tool_result", "watcher", "exit"])
async def test_recorder_that_raises_does_not_reach_the_job(
    workspace: Path, log: list[str], autojump_clock: MockClock, method: str
) -> None:
    class Raising:
        def __init__(self) -> None:
            self.closed = nullcontext()

        def fail(self, *_: object) -> NoReturn:
            raise RuntimeError(f"{SECRET} is a defect")

        def job_fetched(self, _description: object, job: Any, _redact: object) -> None:
            if method == "job_fetched":
                self.fail()
            if method == "watcher":
                job.watchers.append(self.fail)

        def llm_request(self, _path: str, _body: bytes) -> AbstractContextManager[None]:
            if method == "llm_request":
                self.fail()
            return Exit() if method == "exit" else nullcontext()

        def llm_response(self, _status: int, _body: bytes) -> None:
            if method == "llm_response":
                self.fail()

        def tool_result(self, _call_id: str, _result: object) -> None:
            if method == "tool_result":
                self.fail()

    class Exit(nullcontext[None]):
        def __exit__(self, *_: object) -> None:
            raise RuntimeError("a defect")

    world = SimulatedOrchestrator([call("probe"), DONE])
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())], recorder=Raising())
    assert outcome.success
    assert "".join(log).count("the recorder raised RuntimeError; the recording is unusable") == 1
    assert SECRET not in "".join(log)


async def test_instrument_of_two_overlapping_jobs_sees_both_to_their_ends(
    workspace: Path, autojump_clock: MockClock
) -> None:
    class Exits(trio.abc.Instrument):
        def __init__(self) -> None:
            self.names: list[str] = []

        def task_exited(self, task: trio.lowlevel.Task) -> None:
            self.names.append(task.name)

    instrument = Exits()

    async def run(thinking: float) -> None:
        world = SimulatedOrchestrator([DONE], thinking=thinking)
        await run_job(world.config(workspace), transport=world, tools=[], instruments=[instrument])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, 1.0)
        nursery.start_soon(run, 5.0)
    assert instrument.names.count("reasoner") == 2
    seen = len(instrument.names)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0)
        nursery.start_soon(trio.sleep, 0)
    assert len(instrument.names) == seen


RUN = """
import trio
from loguru import logger
from pathlib import Path
from trioworker.testing import Fault, SimulatedOrchestrator
import trioworker
{enable}
world = SimulatedOrchestrator(thinking=0.0, faults=[Fault.status(403, path="event")])
trio.run(lambda: trioworker.run_job(world.config(Path({workspace!r})), transport=world))
"""


@pytest.mark.parametrize("first", ["import loguru", "import trioworker", "from trioworker import run_job"])
@pytest.mark.parametrize("enable", ["", "logger.enable('trioworker')"])
def test_log_is_disabled_until_the_program_enables_it(workspace: Path, first: str, enable: str) -> None:
    program = f"{first}\n" + RUN.format(enable=enable, workspace=str(workspace))
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env={"PYTHONPATH": "tests"}
    )
    assert result.returncode == 0, result.stderr
    assert bool(result.stderr) == bool(enable)
