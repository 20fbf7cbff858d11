"""Ctrl-C on a real cluster: the first one waits, the second one deletes the Jobs in bounded time, the third one quits.

Also with an API server that doesn't answer. What may still be running is the last line.
"""

from __future__ import annotations

import os
import re
import signal
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest
import trio

from support.fleets import open_orchestrator, results_of
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from support.cluster import Cluster
    from support.program import Program

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

JOBS = 3
STOP_TIMEOUT = 75.0
"""Seconds from the second Ctrl-C to the end of a fleet whose pods have the default grace: docs/kubernetes.md."""
STOPPABLE = "sh:trap 'exit 3' TERM; sleep 1000 & wait"
UNSTOPPABLE = "sh:trap '' TERM; sleep 1000"


@asynccontextmanager
async def running_fleet(cluster: Cluster, jobs: Path, image: str) -> AsyncGenerator[Program]:
    """A fleet all of whose pods run."""
    async with open_orchestrator(call("shell", command="sleep 300"), DONE) as orchestrator:
        orchestrator.jobs(jobs, JOBS)
        async with cluster.fleet(jobs, orchestrator, image=image) as program:
            await cluster.wait_for("pods", lambda pods: [pod["status"]["phase"] for pod in pods] == ["Running"] * JOBS)
            yield program


async def interrupt(program: Program, times: int) -> None:
    for _ in range(times):
        program.signal(signal.SIGINT)
        await trio.sleep(1)


@asynccontextmanager
async def frozen_api(cluster: Cluster) -> AsyncGenerator[None]:
    """An API server that doesn't answer. After that, the nodes are usable again."""
    pid = cluster.component("api").pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        with trio.CancelScope(shield=True):
            # Their leases may have expired. A node that starts says at once that it is ready.
            for name in ("node-a", "node-b"):
                node = cluster.component(name)
                await node.kill(signal.SIGUSR1)
                node.start()
            await trio.sleep(4)
            for name in ("node-a", "node-b"):
                await cluster.node_ready(name)


def assert_left_behind(err: str) -> None:
    assert f"{JOBS} jobs: 0 succeeded, 0 did not, {JOBS} left; run the same command to continue\n" in err
    names = r" trioworker-[0-9a-f-]{36}" * JOBS
    text = (
        rf"{JOBS} Jobs may still be running in the namespace jobs; run the same command to continue, or delete them: "
    )
    assert re.fullmatch(rf"trioworker: {text}kubectl -n jobs delete job{names}", err.splitlines()[-1]), err


async def test_second_interrupt_deletes_the_jobs(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with running_fleet(cluster, jobs, STOPPABLE) as program:
        await interrupt(program, 2)
        ended = await program.ended()
    assert ended.code == 4, ended.err
    assert "may still be running" not in ended.err
    assert await cluster.objects("jobs") == []
    assert await cluster.objects("pods") == []
    assert results_of(jobs) == []


async def test_workers_that_are_cancelled_report_it(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with running_fleet(cluster, jobs, "worker") as program:
        await trio.sleep(8)
        await interrupt(program, 2)
        ended = await program.ended()
    assert ended.code == 1, ended.err
    results = [(result["status"], result["message"]) for result in results_of(jobs)]
    assert results == [("cancelled", "Execution stopped: the fleet was stopped")] * JOBS, ended.err
    assert await cluster.objects("jobs") == []


@pytest.mark.parametrize(("image", "api"), [(UNSTOPPABLE, nullcontext), (STOPPABLE, frozen_api)], ids=["", "no-api"])
async def test_third_interrupt_quits_at_once_and_names_what_is_left(
    cluster: Cluster, tmp_path: Path, image: str, api: Callable[[Cluster], AbstractAsyncContextManager[object]]
) -> None:
    async with running_fleet(cluster, tmp_path / "jobs.jsonl", image) as program, api(cluster):
        await interrupt(program, 2)
        program.signal(signal.SIGINT)
        ended = await program.ended(5)
    assert ended.code == 4, ended.err
    assert_left_behind(ended.err)


async def test_second_interrupt_is_bounded_without_the_api(cluster: Cluster, tmp_path: Path) -> None:
    async with running_fleet(cluster, tmp_path / "jobs.jsonl", STOPPABLE) as program, frozen_api(cluster):
        await interrupt(program, 2)
        ended = await program.ended(STOP_TIMEOUT + 15)
    assert ended.code == 4, ended.err
    assert_left_behind(ended.err)
