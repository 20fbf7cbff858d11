"""A worker that is released: it ends without a decision, and its job can be resumed, with time of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from support.model import ScriptedModel
from support.tools import Log, Probe
from trioworker import open_job
from trioworker.errors import ReleasedError
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.store import Store
from trioworker.testing import DONE, call
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.clocks import Moment
from trioworker.worker.config import WorkerConfig
from trioworker.worker.state.job import Job
from trioworker.worker.state.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker import JobOutcome
    from trioworker.orchestrator.views import NewJob

WHILE_A_TOOL_RUNS = 2.0
NIGHT = 8 * 3600.0
TURNS = (call("probe", text="a", seconds=5.0), DONE)


class Released:
    """One job of an embedded orchestrator, and its journal."""

    def __init__(self, store: Store, workspace: Path) -> None:
        self.store = store
        self.created: NewJob = store.create_job("Make the tests pass.", title="Fix")
        self.log = Log()
        self._workspace = workspace
        self._disk = Disk()
        self._app = make_app(store, ScriptedModel(TURNS))

    @property
    def journal(self) -> Journal:
        return Journal(DiskStorage(self._disk), bytes(self._disk.content))

    async def run(
        self, *, release_after: float | None = None, at: float = 1000.0, time_from: float | None = None
    ) -> JobOutcome:
        """A worker that is started at `at` of CLOCK_MONOTONIC, and released after some seconds."""
        config = WorkerConfig(
            job_id=self.created.id,
            token=self.created.token,
            orchestrator_url="http://orchestrator.test",
            workspace=self._workspace,
            time_from=time_from,
        )
        async with open_job(
            config,
            transport=httpx.ASGITransport(self._app),
            tools=[Probe(self.log)],
            journal=self.journal,
            clocks=lambda: Moment(1e9 + at, "boot", at),
        ) as running:
            if release_after is not None:
                await trio.sleep(release_after)
                running.release(ReleasedError("released"))
            return await running.wait()


@pytest.fixture
def released(workspace: Path) -> Iterator[Released]:
    with Store() as store:
        yield Released(store, workspace)


async def test_released_worker_cancels_its_tools_and_decides_nothing(
    released: Released, autojump_clock: MockClock
) -> None:
    with pytest.raises(ReleasedError):
        await released.run(release_after=WHILE_A_TOOL_RUNS)

    assert released.log.runs[0].cancelled
    job = Job()
    job.replay(released.journal.past)
    assert (job.decided, job.outbox_sealed) == (None, False)
    view = released.store.view(released.created.id)
    assert view is not None
    assert view.ended is None


async def test_released_job_is_resumed_to_its_end(released: Released, autojump_clock: MockClock) -> None:
    with pytest.raises(ReleasedError):
        await released.run(release_after=WHILE_A_TOOL_RUNS)
    outcome = await released.run()

    assert (outcome.success, outcome.reported) == (True, True)
    assert trio.current_time() < 60


async def test_time_in_which_nobody_ran_the_job_counts_by_default(
    released: Released, autojump_clock: MockClock
) -> None:
    with pytest.raises(ReleasedError):
        await released.run(release_after=WHILE_A_TOOL_RUNS)
    outcome = await released.run(at=1000 + NIGHT)

    assert outcome.message is not None
    assert outcome.message.startswith("Execution timed out")


async def test_time_counts_from_the_given_moment(released: Released, autojump_clock: MockClock) -> None:
    with pytest.raises(ReleasedError):
        await released.run(release_after=WHILE_A_TOOL_RUNS)
    outcome = await released.run(at=1000 + NIGHT + 1, time_from=1000 + NIGHT)

    assert outcome.success
