"""A worker that was superseded by a later start of its job, with the embedded orchestrator's own application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from support.model import ScriptedModel
from support.tools import Log, Probe
from trioworker import RefusedError, SupersededError, open_job, run_job
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.store import Store
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.cancellation import StopRequest
from trioworker.worker.config import WorkerConfig
from trioworker.worker.state.job import Job
from trioworker.worker.state.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker import JobOutcome

LATER = "f" * 32
TURNS = (call("probe", text="a", seconds=5.0), DONE)


class Fenced:
    """One job of an embedded orchestrator, and its journal."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.created = store.create_job("Make the tests pass.", title="Fix")
        self.log = Log()
        self.disk = Disk()
        self.app = make_app(store, ScriptedModel(TURNS))

    def supersede(self) -> None:
        """Another start asks for the job."""
        self.store.starts.ask(self.created.id, LATER)

    def config(self, workspace: Path) -> WorkerConfig:
        return WorkerConfig(
            job_id=self.created.id,
            token=self.created.token,
            orchestrator_url="http://orchestrator.test",
            workspace=workspace,
        )

    @property
    def transport(self) -> httpx.ASGITransport:
        return httpx.ASGITransport(self.app)

    @property
    def journal(self) -> Journal:
        return Journal(DiskStorage(self.disk), bytes(self.disk.content))

    @property
    def is_reported(self) -> bool:
        view = self.store.view(self.created.id)
        return view is not None and view.report is not None


@pytest.fixture
def fenced() -> Iterator[Fenced]:
    with Store() as store:
        yield Fenced(store)


def while_a_tool_runs(job: Job) -> bool:
    return any(call.started and not call.ended for call in job.turn)


def while_the_model_is_asked(job: Job) -> bool:
    return job.awaiting_reply


def when_the_outcome_is_decided(job: Job) -> bool:
    return job.decided is not None


async def run(fenced: Fenced, config: WorkerConfig, supersede_when: Callable[[Job], bool]) -> JobOutcome:
    """A worker that is superseded at the moment at which the condition holds."""
    async with open_job(
        config, transport=fenced.transport, tools=[Probe(fenced.log)], journal=fenced.journal
    ) as running:
        job = running.job
        job.watchers.append(lambda _: fenced.supersede() if supersede_when(job) else None)
        return await running.wait()


@pytest.mark.parametrize("moment", [while_a_tool_runs, while_the_model_is_asked, when_the_outcome_is_decided])
async def test_superseded_worker_stops_without_a_report_and_a_later_one_continues(
    moment: Callable[[Job], bool], fenced: Fenced, workspace: Path, autojump_clock: MockClock
) -> None:
    config = fenced.config(workspace)
    with pytest.raises(SupersededError, match="without a report"):
        await run(fenced, config, moment)
    assert not fenced.is_reported
    assert trio.current_time() < config.timeout

    outcome = await run(fenced, config, lambda _: False)
    assert (outcome.success, outcome.reported, fenced.is_reported) == (True, True, True)
    assert [event.event_type for event in fenced.store.events(fenced.created.id, 0)][-1] == "result"


async def test_superseded_worker_cancels_its_tools_and_records_no_end(
    fenced: Fenced, workspace: Path, autojump_clock: MockClock
) -> None:
    with pytest.raises(SupersededError):
        await run(fenced, fenced.config(workspace), while_a_tool_runs)
    assert fenced.log.runs[0].cancelled
    job = Job()
    job.replay(fenced.journal.past)
    assert while_a_tool_runs(job)
    assert (job.decided, job.outbox_sealed, job.lost_events) == (None, False, 0)
    assert job.outbox


async def test_block_that_does_not_wait_is_left_when_the_worker_is_superseded(
    fenced: Fenced, workspace: Path, autojump_clock: MockClock
) -> None:
    async def sleep_in_the_block() -> None:
        async with open_job(fenced.config(workspace), transport=fenced.transport, tools=[Probe(fenced.log)]):
            fenced.supersede()
            await trio.sleep(10_000)

    with pytest.raises(SupersededError):
        await sleep_in_the_block()
    assert trio.current_time() < 100


async def test_start_after_the_report_of_another_is_refused(
    fenced: Fenced, workspace: Path, autojump_clock: MockClock
) -> None:
    config = fenced.config(workspace)
    assert (await run_job(config, transport=fenced.transport, tools=[Probe(fenced.log)])).success
    with pytest.raises(RefusedError, match="401"):
        await run_job(config, transport=fenced.transport, tools=[Probe(fenced.log)])


async def test_worker_that_is_stopped_before_it_could_ask_still_reports(
    fenced: Fenced, workspace: Path, autojump_clock: MockClock
) -> None:
    fenced.supersede()
    stop = StopRequest()
    stop.request("stopped by SIGTERM")
    outcome = await run_job(fenced.config(workspace), transport=fenced.transport, tools=[Probe(fenced.log)], stop=stop)
    assert (outcome.status, outcome.reported, fenced.is_reported) == ("cancelled", True, True)


async def test_every_request_names_the_start_and_every_start_begins_with_the_job(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator()
    world.faults = [Fault.status(404, path="job")]
    with pytest.raises(RefusedError):
        await run_job(world.config(workspace), transport=world, tools=[])
    assert [exchange.path for exchange in world.exchanges] == ["job"]
    world.faults = []
    await run_job(world.config(workspace), transport=world, tools=[])

    first, *starts = [exchange.headers["X-Trioworker-Start"] for exchange in world.exchanges]
    assert world.exchanges[1].path == "job"
    assert len({first, *starts}) == 2
    assert all(len(bytes.fromhex(start)) == 16 for start in (first, *starts))


async def test_other_conflict_is_a_refusal(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(faults=[Fault.status(409, path="job")])
    with pytest.raises(RefusedError, match="409"):
        await run_job(world.config(workspace), transport=world, tools=[])
