"""A node of a Ray cluster is lost: each job is reported once, and one that was reported isn't run again."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import trio

from orchestrator.serving import ADMIN_TOKEN, pages_of
from support.fleets import OrchestratorForFleet, open_orchestrator, results_of
from support.model import ScriptedModel
from support.program import started
from support.ray_cluster import eventually, ray_cluster, workers_of
from trioworker.cli.admin_token import ADMIN_TOKEN_VARIABLE
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.server import bind, serve
from trioworker.orchestrator.store import Store
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from pathlib import Path

# Ray leaves sockets and files open until the interpreter exits.
pytestmark = [pytest.mark.integration, pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

JOBS = int(os.environ.get("FLEET_RAY_JOBS", "12"))
"""Enough for each node to run some when one is removed."""
CPUS = 2
"""Per node, and so the number of workers that are lost with it."""


async def test_every_job_is_reported_once_when_a_node_is_lost(tmp_path: Path) -> None:
    jobs, go, work = tmp_path / "jobs.jsonl", tmp_path / "go", tmp_path / "work"
    go.touch()
    command = "touch began; until test -e ../../go; do sleep 0.1; done; touch finished"
    acting = call("shell", command=command)

    def blocked() -> int:
        return len(list(work.glob("*/began"))) - len(list(work.glob("*/finished")))

    async with open_orchestrator(acting, DONE) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        with ray_cluster() as cluster:
            doomed, *_ = [cluster.add_node(CPUS) for _ in range(3)]
            options = ("--engine", "ray", "--address", cluster.address, "--cpu", "1", "--attempts", "5")
            options = (*options, "--orchestrator-url", orchestrator.url, "--workspace", f"{work}/{{job_id}}")
            async with started("fleet", str(jobs), *options) as program:
                await eventually(lambda: len(orchestrator.reports()) >= JOBS // 3)
                # Remove the node when each CPU, including its own, runs a worker.
                go.unlink()
                await eventually(lambda: blocked() == 3 * CPUS)
                await trio.to_thread.run_sync(cluster.kill_node, doomed)
                await eventually(lambda: workers_of(work) == 2 * CPUS)
                go.touch()
                await eventually(lambda: len(orchestrator.reports()) == JOBS)
                ended = await program.ended()

        assert ended.code == 0, ended.err
        assert sorted(orchestrator.reports()) == sorted(ids)
    results = results_of(jobs)
    print(
        f"{JOBS} jobs in {ended.seconds:.0f} s; attempts {dict(Counter(result['attempts'] for result in results))};",
        f"nodes {dict(Counter(result['node'] for result in results))}",
    )
    assert sorted(result["job_id"] for result in results) == sorted(ids)
    assert all(result["success"] for result in results)
    assert sum(result["attempts"] - 1 for result in results) == CPUS


class SlowReports:
    """An orchestrator that accepts a report, or not yet, and doesn't answer until `go` is set."""

    def __init__(self, app: Any, *, accepts: bool) -> None:
        self._app = app
        self._accepts = accepts
        self.seen = trio.Event()
        self.go = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope.get("path", "").endswith("/complete") or "/llm/" in scope["path"] or self.go.is_set():
            await self._app(scope, receive, send)
            return
        self.seen.set()
        if not self._accepts:
            await self.go.wait()
            # The worker is gone, and its request with it.
            return

        async def send_later(message: Any) -> None:
            await self.go.wait()
            await send(message)

        await self._app(scope, receive, send_later)


@pytest.mark.parametrize(("accepts", "attempts"), [(True, 1), (False, 2)])
async def test_node_lost_while_its_worker_reports(tmp_path: Path, accepts: bool, attempts: int) -> None:
    jobs, work = tmp_path / "jobs.jsonl", tmp_path / "work"
    with Store() as store, ray_cluster() as cluster:
        app = SlowReports(make_app(store, ScriptedModel((DONE,)), pages_of(store)), accepts=accepts)
        async with trio.open_nursery() as nursery:
            url: str = await nursery.start(serve, app, bind("127.0.0.1", 0))
            orchestrator = OrchestratorForFleet(store, url)
            # With the journal, the second worker sends no event twice.
            ids = orchestrator.jobs(jobs, 1, options={"state-dir": str(tmp_path / "state")})
            doomed = cluster.add_node(1)
            options = ("--engine", "ray", "--address", cluster.address, "--cpu", "1", "--orchestrator-url", url)
            options = (*options, "--workspace", f"{work}/{{job_id}}")
            secret = {ADMIN_TOKEN_VARIABLE: ADMIN_TOKEN}
            async with started("fleet", str(jobs), *options, environment=secret) as program:
                await app.seen.wait()
                if accepts:
                    await eventually(lambda: orchestrator.reports() == ids)
                # Not in a thread, since Ray installs signal handlers. The orchestrator in this process waits.
                cluster.add_node(1)
                await trio.to_thread.run_sync(cluster.kill_node, doomed)
                await eventually(lambda: workers_of(work) == 0)
                app.go.set()
                await eventually(lambda: orchestrator.reports() == ids)
                ended = await program.ended()
            nursery.cancel_scope.cancel()
        assert ended.code == 0, ended.err
        assert orchestrator.reports() == ids
    (result,) = results_of(jobs)
    assert (result["status"], result["success"], result["attempts"]) == ("completed", True, attempts)
    assert result["node"] is not None
