"""The health of a worker over its socket, and that serving it never harms the job."""

from __future__ import annotations

import socket
import stat
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from loguru import logger

from support.identity import JOB_ID, TOKEN
from support.tools import Log, Probe
from trioworker import JobOutcome, RefusedError, open_job, run_job
from trioworker.observability.health_check import Health
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call, reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trio.testing import MockClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "health.sock"


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    number = logger.add(lines.append, format="{level} {message}")  # pyright: ignore[reportArgumentType] - a str it is
    yield lines
    logger.remove(number)


async def read_response(path: Path) -> bytes:
    """Everything that the worker sends."""
    async with await trio.open_unix_socket(str(path)) as stream:
        return b"".join([part async for part in stream])


async def read_health(path: Path) -> Health:
    return msgspec.json.decode(await read_response(path), type=Health)


def mode_of(path: Path) -> int | None:
    """Type and mode of the file; None if there is none."""
    return path.lstat().st_mode if path.exists() else None


def write(path: Path, text: str) -> None:
    path.write_text(text)


def read(path: Path) -> str:
    return path.read_text()


def is_socket(path: Path) -> bool:
    return path.is_socket()


def summary(health: Health) -> tuple[str, int, float]:
    return health.state, health.iteration, round(health.idle, 1)


async def health_at(world: SimulatedOrchestrator, workspace: Path, path: Path, at: float, **more: Any) -> Health:
    """The health of the worker `at` seconds after its start."""
    answers: list[Health] = []

    async def ask() -> None:
        await trio.sleep(at)
        answers.append(await read_health(path))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        config = world.config(workspace, health_socket=path, **more)
        outcome = await run_job(config, transport=world, tools=[Probe(Log())])
    assert outcome.success
    return answers[0]


async def test_state_before_the_job_is_fetched_is_starting(
    workspace: Path, path: Path, autojump_clock: MockClock
) -> None:
    health = await health_at(SimulatedOrchestrator(latency=4.0), workspace, path, 1.0)
    assert summary(health) == ("starting", 0, 1.0)
    assert health.job_id == JOB_ID
    assert health.actors == {}


async def test_state_during_a_model_request_is_waiting_for_model(
    workspace: Path, path: Path, autojump_clock: MockClock
) -> None:
    health = await health_at(SimulatedOrchestrator(thinking=30.0), workspace, path, 20.0)
    assert (health.state, health.iteration) == ("waiting for model", 1)
    assert 19.0 < health.idle <= 20.0
    assert {name: (actor.state, actor.restarts) for name, actor in health.actors.items()} == dict.fromkeys(
        ("prompt-poller", "reasoner", "tool-executor", "event-shipper"), ("running", 0)
    )


async def test_state_during_a_call_is_running_tool(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", text="secret plan", seconds=40.0), DONE])
    health = await health_at(world, workspace, path, 31.0)
    assert (health.state, health.tools) == ("running tool", ("probe",))
    assert 29.0 < health.idle < 31.0


async def test_state_while_the_report_is_delayed_is_shutting_down(
    workspace: Path, path: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator()
    world.faults = [Fault.delay(20.0, path="complete")]
    health = await health_at(world, workspace, path, 10.0)
    assert health.state == "shutting down"
    assert health.actors["reasoner"].state == "ended"


async def test_each_iteration_counts_as_progress(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*(call("probe", text=str(n)) for n in range(20)), DONE], thinking=2.0)
    health = await health_at(world, workspace, path, 30.0)
    assert health.iteration > 5
    assert health.idle <= 2.0


async def test_failed_requests_do_not_count_as_progress(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator()
    began = trio.current_time()
    world.fault = lambda x: Fault.refused() if x.is_for_the_model and x.at < 60.0 + began else None
    health = await health_at(world, workspace, path, 50.0)
    assert health.idle > 40.0


async def test_restarts_are_counted(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(thinking=5.0)
    async with open_job(world.config(workspace, health_socket=path), transport=world) as job:
        await trio.sleep(1.0)
        job.actors["reasoner"].cancel()
        await trio.sleep(1.0)
        health = await read_health(path)
        assert (await job.wait()).success
    assert health.actors["reasoner"].restarts == 1
    assert health.actors["event-shipper"].restarts == 0


async def test_response_contains_no_content_and_no_token(
    workspace: Path, path: Path, autojump_clock: MockClock
) -> None:
    answers: list[bytes] = []
    world = SimulatedOrchestrator([reply(call("probe", text="a secret plan", seconds=9.0), text="Let me see."), DONE])
    async with open_job(world.config(workspace, health_socket=path), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(5.0)
        answers.append(await read_response(path))
        assert (await job.wait()).success
    (answer,) = answers
    assert answer.count(b"\n") == 1
    for word in (TOKEN, "secret plan", "Let me see", world.title, world.description):
        assert word.encode() not in answer


async def test_clients_that_read_nothing_delay_neither_job_nor_others(
    workspace: Path, path: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(thinking=20.0)
    async with open_job(world.config(workspace, health_socket=path), transport=world) as job:
        await trio.sleep(5.0)
        idlers = [await trio.open_unix_socket(str(path)) for _ in range(5)]
        for idler in [await trio.open_unix_socket(str(path)) for _ in range(2)]:
            await idler.aclose()
        assert (await read_health(path)).iteration == 1
        assert (await job.wait()).success
        for idler in idlers:
            await idler.aclose()


async def test_socket_has_mode_0600_and_is_removed_at_the_end(
    workspace: Path, path: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator()
    async with open_job(world.config(workspace, health_socket=path), transport=world) as job:
        mode = mode_of(path)
        await job.wait()
    assert mode == stat.S_IFSOCK | 0o600
    assert mode_of(path) is None


async def test_socket_is_removed_when_the_job_is_refused(
    workspace: Path, path: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator()
    world.faults = [Fault.status(404)]
    with pytest.raises(RefusedError):
        await run_job(world.config(workspace, health_socket=path), transport=world)
    assert mode_of(path) is None


async def test_socket_of_a_killed_worker_is_replaced(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()
    assert is_socket(path)
    health = await health_at(SimulatedOrchestrator(), workspace, path, 0.5)
    assert health.job_id == JOB_ID


async def run_with_warning(workspace: Path, path: Path, log: list[str]) -> tuple[JobOutcome, str]:
    world = SimulatedOrchestrator()
    outcome = await run_job(world.config(workspace, health_socket=path), transport=world)
    (warning,) = [line.strip() for line in log if line.startswith("WARNING")]
    return outcome, warning


async def test_socket_of_a_running_worker_is_kept(
    workspace: Path, path: Path, log: list[str], autojump_clock: MockClock
) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        outcome, warning = await run_with_warning(workspace, path, log)
        assert is_socket(path)
    assert outcome.success
    assert warning == (f"WARNING --health-socket {path}: another worker listens there; this worker has no health check")


async def test_file_that_is_not_a_socket_is_kept(
    workspace: Path, path: Path, log: list[str], autojump_clock: MockClock
) -> None:
    write(path, "precious")
    outcome, warning = await run_with_warning(workspace, path, log)
    assert outcome.success
    assert "it exists and is not a socket" in warning
    assert read(path) == "precious"


async def test_missing_folder_does_not_fail_the_job(
    workspace: Path, path: Path, log: list[str], autojump_clock: MockClock
) -> None:
    outcome, warning = await run_with_warning(workspace, path / "deeper", log)
    assert outcome.success
    assert "No such file or directory" in warning
