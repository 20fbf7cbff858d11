"""A Ray cluster that goes away and comes back, and clusters that can't be used."""

from __future__ import annotations

import signal
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from support.fleets import open_orchestrator, results_of
from support.program import ran, started
from support.ray_cluster import eventually, ray_cluster, workers_of
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from support.program import Ended

# Ray leaves sockets and files open until the interpreter exits.
pytestmark = [pytest.mark.integration, pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

JOBS = 4
CPUS = 2
BLOCKED = call("shell", command="touch began; until test -e ../../go; do sleep 0.1; done")


async def run_on(address: str, jobs: Path, *options: str) -> Ended:
    url = ("--orchestrator-url", "http://127.0.0.1:9")
    return await ran("fleet", str(jobs), "--engine", "ray", "--address", address, *url, *options)


async def test_cluster_that_comes_back_continues_the_jobs(tmp_path: Path) -> None:
    jobs, go, work = tmp_path / "jobs.jsonl", tmp_path / "go", tmp_path / "work"
    async with open_orchestrator(BLOCKED, DONE) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        with ray_cluster() as cluster:
            cluster.add_node(CPUS)
            options = ("--engine", "ray", "--address", cluster.address, "--cpu", "1", "--attempts", "1")
            options = (*options, "--orchestrator-url", orchestrator.url, "--workspace", f"{work}/{{job_id}}")
            async with started("fleet", str(jobs), *options) as program:
                await eventually(lambda: len(list(work.glob("*/began"))) == CPUS)
                # Not in a thread, since Ray installs signal handlers.
                cluster.stop()
                cluster.start()
                await eventually(lambda: workers_of(work) == 0)
                cluster.add_node(CPUS)
                go.touch()
                await eventually(lambda: len(orchestrator.reports()) == JOBS)
                ended = await program.ended()
        assert ended.code == 0, ended.err
        assert sorted(orchestrator.reports()) == sorted(ids)
    assert "trioworker: the Ray cluster is lost: " in ended.err
    assert "trioworker: the Ray cluster is back\n" in ended.err
    results = results_of(jobs)
    assert sorted(result["job_id"] for result in results) == sorted(ids)
    assert {(result["status"], result["attempts"]) for result in results} == {("completed", 1)}


async def test_cluster_that_does_not_answer_stops_the_fleet(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator() as orchestrator:
        orchestrator.jobs(jobs, 1)
    ended = await run_on("127.0.0.1:9", jobs)
    assert ended.code == 2
    assert ended.complaint == "trioworker: --address 127.0.0.1:9: no answer within 30 s; name a running cluster"
    assert results_of(jobs) == []


async def test_too_many_processors_are_reported_and_left(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator() as orchestrator:
        orchestrator.jobs(jobs, 1)
        with ray_cluster() as cluster:
            cluster.add_node(CPUS)
            options = ("--engine", "ray", "--address", cluster.address, "--cpu", "64")
            async with started("fleet", str(jobs), *options, "--orchestrator-url", orchestrator.url) as program:
                # Longer than the program takes to start; if it is still starting then, it stops all the same.
                await trio.sleep(30)
                program.signal(signal.SIGINT)
                ended = await program.ended()
    assert ended.code == 4, ended.err
    assert "no node of the Ray cluster has 64 processors; the largest has 2" in ended.err
    assert results_of(jobs) == []


async def test_node_without_the_program_stops_the_fleet(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    venv.create(tmp_path / "bare")
    packages = tmp_path / "bare/lib" / Path(sysconfig.get_path("purelib")).parent.name / "site-packages"
    # Ray, without the .pth file of the program.
    (packages / "ray.pth").write_text(sysconfig.get_path("purelib") + "\n")
    async with open_orchestrator() as orchestrator:
        orchestrator.jobs(jobs, 2)
        with ray_cluster() as cluster:
            cluster.add_node(CPUS, python=tmp_path / "bare/bin/python")
            ended = await run_on(cluster.address, jobs)
    assert ended.code == 2, ended.err
    assert ended.err.splitlines()[-1] == (
        "trioworker: a node can't run workers: No module named 'trioworker'; install this version of trioworker there"
    )
    assert results_of(jobs) == []
