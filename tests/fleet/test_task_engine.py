"""Tasks: their workspace and job are made once, resumed after a kill, and ended when their result is final."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from support.scripted_engine import LOST, ScriptedEngine, ended
from trioworker.fleet.engine import Attempt, NotStartedError
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.results import Result
from trioworker.fleet.stopping import Stop
from trioworker.fleet.task_engine import TaskEngine
from trioworker.fleet.tasks import Repository, Task
from trioworker.orchestrator.job_lock import holder_of, lock_job
from trioworker.orchestrator.store import Store
from trioworker.protocol.wire import CompletionReport, Reply, StatusUpdate
from trioworker.worker.state.journal_file import journal_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker.fleet.tasks import Source

ID = "123e4567-e89b-12d3-a456-426614174000"
URL = "http://127.0.0.1:1"


class World:
    """A store and a state folder that survive the engines, as after a kill of the fleet."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.state_dir = folder / "state"
        self.state_dir.mkdir()
        self.workspace = folder / "tasks.workspaces" / "it"
        self.stop = Stop()

    def engine(
        self, inner: ScriptedEngine, *, source: Source | None = None, workspace: Path | None = None
    ) -> TaskEngine:
        task = Task(key="k", title="Fix it", text="Fix it all.", workspace=workspace, source=source, worker_options=())
        root = self.workspace.parent
        return TaskEngine(inner, self.store, {ID: task}, self.stop, url=URL, state_dir=self.state_dir, root=root)

    @property
    def job(self) -> FleetJob:
        return FleetJob(
            job_id=ID,
            token="",
            orchestrator_url="",
            workspace=str(self.workspace),
            worker_options=("--timeout=9",),
            title="Fix it",
        )

    def state(self) -> str:
        view = self.store.view(ID)
        assert view is not None
        return view.state

    def report(self, *, success: bool) -> None:
        self.store.add_usage(ID, Reply(content="x", input_tokens=30, output_tokens=4))
        self.store.complete(ID, CompletionReport(success=success, message="the answer", iterations=2))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store() as store:
        yield World(tmp_path, store)


def final(message: str | None = "lost") -> Result:
    return Result(
        job_id=ID,
        exit_code=None,
        status="lost",
        success=False,
        message=message,
        seconds=1,
        attempts=3,
        engine="process",
        node=None,
    )


async def test_worker_gets_a_job_a_workspace_and_the_state_folder(world: World, autojump_clock: MockClock) -> None:
    inner = ScriptedEngine(ended(0))
    attempt = await world.engine(inner).run(world.job, trio.Event())
    (given,) = inner.given
    assert world.store.access(ID, given.token) == "granted"
    assert given.orchestrator_url == URL
    assert given.worker_options == ("--timeout=9", f"--state-dir={world.state_dir}", "--on-sigterm=report")
    description = world.store.description(ID)
    assert (description.title, description.description) == ("Fix it", "Fix it all.")
    assert description.project_dir == str(world.workspace)
    assert world.workspace.is_dir()
    assert (attempt.exit_code, attempt.input_tokens, attempt.output_tokens) == (0, 0, 0)


async def test_interrupted_task_is_resumed_in_its_workspace(world: World, autojump_clock: MockClock) -> None:
    first, second = ScriptedEngine(LOST), ScriptedEngine(ended(0))
    source = world.folder / "source"
    source.mkdir()
    await world.engine(first, source=source).run(world.job, trio.Event())
    (world.workspace / "half").touch()

    await world.engine(second, source=source).run(world.job, trio.Event())

    assert (world.workspace / "half").exists()
    assert world.store.access(ID, first.given[0].token) == "denied"
    assert world.store.access(ID, second.given[0].token) == "granted"
    assert len(world.store.views()) == 1


@pytest.mark.parametrize(("success", "code"), [(True, 0), (False, 1)])
async def test_task_that_had_reported_has_its_report_as_the_result(
    world: World, autojump_clock: MockClock, success: bool, code: int
) -> None:
    await world.engine(ScriptedEngine(LOST)).run(world.job, trio.Event())
    world.report(success=success)

    inner = ScriptedEngine(ended(0))
    engine = world.engine(inner)
    attempt = await engine.run(world.job, trio.Event())

    assert inner.started == []
    assert (attempt.exit_code, attempt.success, attempt.message, attempt.count) == (code, success, "the answer", 0)
    assert (attempt.input_tokens, attempt.output_tokens) == (30, 4)
    assert await engine.fetch_outcome(world.job) == msgspec.structs.replace(attempt, count=1)


async def test_time_counts_from_the_rerun_and_not_from_a_retry(world: World, autojump_clock: MockClock) -> None:
    first = ScriptedEngine(LOST)
    engine = world.engine(first)
    await engine.run(world.job, trio.Event())
    await engine.run(world.job, trio.Event())
    assert not any("--time-from" in option for job in first.given for option in job.worker_options)

    second = ScriptedEngine(LOST)
    engine = world.engine(second)
    await engine.run(world.job, trio.Event())
    await engine.run(world.job, trio.Event())
    options = [job.worker_options[-1] for job in second.given]
    assert options[0].startswith("--time-from=")
    assert options[1] == options[0]


async def test_job_that_another_program_runs_is_not_started(world: World, autojump_clock: MockClock) -> None:
    lock = await lock_job(world.state_dir, ID)
    assert lock is not None
    inner = ScriptedEngine(ended(0))
    with lock, pytest.raises(NotStartedError, match="another program runs the job"):
        await world.engine(inner).run(world.job, trio.Event())
    assert inner.started == []


async def test_job_is_locked_while_its_worker_runs(world: World, autojump_clock: MockClock) -> None:
    holders: list[int | None] = []

    async def look(_: FleetJob) -> None:
        holders.append(holder_of(world.state_dir, ID))
        await trio.lowlevel.checkpoint()

    inner = ScriptedEngine(ended(0))
    inner.on_start = look
    await world.engine(inner).run(world.job, trio.Event())
    assert holders == [os.getpid()]
    assert holder_of(world.state_dir, ID) is None


async def test_killed_between_the_job_and_its_workspace(world: World, autojump_clock: MockClock) -> None:
    world.store.create_job("Fix it all.", title="Fix it", job_id=ID)
    inner = ScriptedEngine(ended(0))
    await world.engine(inner).run(world.job, trio.Event())
    assert world.workspace.is_dir()
    assert len(inner.started) == 1


async def test_existing_folder_is_not_used_for_a_copy(world: World, autojump_clock: MockClock) -> None:
    world.workspace.mkdir(parents=True)
    inner = ScriptedEngine(ended(0))
    with pytest.raises(NotStartedError, match="exists, and is never overwritten; move it away"):
        await world.engine(inner, source=world.folder / "source", workspace=world.workspace).run(
            world.job, trio.Event()
        )
    assert (inner.started, world.store.views()) == ([], [])


async def test_existing_workspace_without_a_source_is_used(world: World, autojump_clock: MockClock) -> None:
    world.workspace.mkdir(parents=True)
    inner = ScriptedEngine(ended(0))
    await world.engine(inner, workspace=world.workspace).run(world.job, trio.Event())
    assert len(inner.started) == 1


async def test_workspace_that_cannot_be_made_leaves_no_job(world: World) -> None:
    with pytest.raises(NotStartedError, match=r"git clone: .*does not exist"):
        await world.engine(ScriptedEngine(ended(0)), source=Repository("/nowhere")).run(world.job, trio.Event())
    assert world.store.views() == []


async def test_no_worker_is_started_when_the_fleet_drains_meanwhile(world: World, autojump_clock: MockClock) -> None:
    world.stop.drain()
    inner = ScriptedEngine(ended(0))
    engine = world.engine(inner, source=Repository("/nowhere"))
    attempt = await engine.run(world.job, trio.Event())
    assert (attempt.exit_code, inner.started, world.store.views()) == (None, [], [])
    assert await engine.fetch_outcome(world.job) is None


async def test_bad_usage_of_a_resumed_worker_is_not_final(world: World, autojump_clock: MockClock) -> None:
    await world.engine(ScriptedEngine(LOST)).run(world.job, trio.Event())
    world.store.set_status(ID, StatusUpdate(state="in_progress", message="x", iteration=1))
    busy = Attempt(exit_code=2, message="another worker runs this job; stop it first")
    second = await world.engine(ScriptedEngine(busy)).run(world.job, trio.Event())
    assert (second.exit_code, second.message) == (None, busy.message)


async def test_task_whose_workers_refuse_their_options_is_not_started(world: World, autojump_clock: MockClock) -> None:
    refused = Attempt(exit_code=2, message="--tool mine:Tool: no module mine")
    for _ in range(2):
        with pytest.raises(NotStartedError, match="--tool mine:Tool: no module mine"):
            await world.engine(ScriptedEngine(refused)).run(world.job, trio.Event())
    attempt = await world.engine(ScriptedEngine(ended(0))).run(world.job, trio.Event())
    assert attempt.exit_code == 0
    assert len(world.store.views()) == 1


async def test_finished_task_has_an_ended_job_and_no_journal(world: World, autojump_clock: MockClock) -> None:
    engine = world.engine(ScriptedEngine(LOST))
    await engine.run(world.job, trio.Event())
    journal = journal_path(world.state_dir, ID)
    journal.touch()

    await engine.finish(world.job, final())

    assert world.state() == "failed"
    assert not journal.exists()


async def test_finish_leaves_the_report_as_it_is(world: World, autojump_clock: MockClock) -> None:
    engine = world.engine(ScriptedEngine(ended(0)))
    await engine.run(world.job, trio.Event())
    world.report(success=True)
    await engine.finish(world.job, final())
    assert world.state() == "completed"
