"""A fleet on Ray is stopped by each step of Ctrl-C, or killed, and continued: each job is reported once."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from orchestrator.serving import ADMIN_TOKEN
from support.fleets import open_orchestrator, results_of
from support.program import started, survivors
from support.ray_cluster import eventually, ray_cluster, workers_of
from trioworker.cli.admin_token import ADMIN_TOKEN_VARIABLE
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from support.fleets import OrchestratorForFleet
    from support.program import Program

# Ray leaves sockets and files open until the interpreter exits.
pytestmark = [pytest.mark.integration, pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

JOBS = 5
CPUS = 2
BLOCKED = call("shell", command="touch began; sleep 1000 & until test -e ../../go; do sleep 0.1; done")


class Fleet:
    """A fleet whose first jobs run until the file `go` exists, and whose others wait in Ray's queue."""

    def __init__(self, folder: Path, address: str, orchestrator: OrchestratorForFleet) -> None:
        self.jobs, self.work, self.go = folder / "jobs.jsonl", folder / "work", folder / "go"
        self.orchestrator = orchestrator
        self.ids = orchestrator.jobs(self.jobs, JOBS)
        self._options = ("--engine", "ray", "--address", address, "--cpu", "1", "--orchestrator-url", orchestrator.url)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Program]:
        """Run the program; CPUS workers are in the middle of their jobs when the block begins."""
        options = (*self._options, "--workspace", f"{self.work}/{{job_id}}")
        secret = {ADMIN_TOKEN_VARIABLE: ADMIN_TOKEN}
        async with started("fleet", str(self.jobs), *options, environment=secret) as program:
            if not self.go.exists():
                await eventually(lambda: len(list(self.work.glob("*/began"))) >= CPUS)
            yield program

    async def finish(self) -> None:
        """Run the program to the end of all jobs, and check that each was reported once."""
        self.go.touch()
        async with self.running() as program:
            await eventually(lambda: len(self.orchestrator.reports()) == JOBS)
            ended = await program.ended()
        assert ended.code in (0, 1), ended.err
        assert sorted(self.orchestrator.reports()) == sorted(self.ids)
        results = results_of(self.jobs)
        assert sorted(result["job_id"] for result in results) == sorted(self.ids)
        assert {result["attempts"] for result in results} == {1}


@asynccontextmanager
async def open_fleet(folder: Path) -> AsyncGenerator[Fleet]:
    async with open_orchestrator(BLOCKED, DONE) as orchestrator:
        with ray_cluster() as cluster:
            cluster.add_node(CPUS)
            yield Fleet(folder, cluster.address, orchestrator)


async def test_drained_fleet_leaves_the_jobs_in_the_queue(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        async with fleet.running() as program:
            program.signal(signal.SIGINT)
            await eventually(lambda: len(list(fleet.work.glob("*/began"))) == CPUS)
            fleet.go.touch()
            await eventually(lambda: len(fleet.orchestrator.reports()) == CPUS)
            ended = await program.ended()
        assert (ended.code, f"{JOBS - CPUS} left" in ended.err) == (4, True), ended.err
        assert [result["status"] for result in results_of(fleet.jobs)] == ["completed"] * CPUS
        await fleet.finish()


async def test_cancelled_fleet_reports_its_running_jobs(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        async with fleet.running() as program:
            program.signal(signal.SIGTERM)
            await eventually(lambda: len(results_of(fleet.jobs)) == CPUS)
            ended = await program.ended()
        assert (ended.code, f"{JOBS - CPUS} left" in ended.err) == (4, True), ended.err
        assert [result["status"] for result in results_of(fleet.jobs)] == ["cancelled"] * CPUS
        assert survivors("no such mark", fleet.work) == {}
        await fleet.finish()


@pytest.mark.parametrize("signals", [(signal.SIGTERM, signal.SIGINT), (signal.SIGKILL,)])
async def test_workers_and_their_commands_end_with_the_fleet(
    tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    async with open_fleet(tmp_path) as fleet:
        async with fleet.running() as program:
            for number in signals:
                program.signal(number)
            await eventually(lambda: workers_of(fleet.work) == 0)
            await program.ended()
        await eventually(lambda: survivors("no such mark", fleet.work) == {})
        await fleet.finish()
