"""A fleet on Kubernetes: the real client over real HTTP, against a fake API server."""

from __future__ import annotations

import json
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from support.fleets import open_orchestrator, results_of
from support.kubeapi import KubeApi
from support.program import started, until
from trioworker.orchestrator.server import bind, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from support.fleets import OrchestratorForFleet
    from support.program import Program


pytestmark = pytest.mark.integration

OUTCOME = '{"status":"failed","success":false,"message":"no way","iterations":1,"reported":true,"metrics":{}}\n'


@asynccontextmanager
async def kubernetes_fleet(api: KubeApi, orchestrator: OrchestratorForFleet, jobs: Path) -> AsyncGenerator[Program]:
    async with trio.open_nursery() as nursery:
        url: str = await nursery.start(serve, api.app(), bind("127.0.0.1", 0))
        config = jobs.parent / "kubeconfig"
        api.kubeconfig(config, url)
        options = ("--engine", "kubernetes", "--namespace", "jobs", "--image", "img:1")
        options = (*options, "--orchestrator-url", orchestrator.url)
        async with started("fleet", str(jobs), *options, environment={"KUBECONFIG": str(config)}) as program:
            yield program
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("codes", "log", "expected"),
    [
        ((0,), "", (0, "completed", True, 1, "node-0")),
        ((5, 3, 0), "", (0, "completed", True, 3, "node-2")),
        ((1,), "a line of the log\n" + OUTCOME, (1, "failed", False, 1, "node-0")),
        ((3, 3, 3), "", (3, "refused", False, 3, "node-2")),
        ((137, 137), "", (None, "lost", False, 2, "node-1")),
    ],
)
async def test_outcome_of_the_pods_is_the_result(
    tmp_path: Path, codes: tuple[int, ...], log: str, expected: tuple[object, ...]
) -> None:
    jobs = tmp_path / "jobs.jsonl"
    api = KubeApi(codes, log, failing=1)
    async with open_orchestrator() as orchestrator:
        ids = orchestrator.jobs(jobs, 2)
        async with kubernetes_fleet(api, orchestrator, jobs) as program:
            ended = await program.ended()

    assert ended.code == (0 if codes[-1] == 0 else 1), ended.err
    results = results_of(jobs)
    assert sorted(result["job_id"] for result in results) == sorted(ids)
    for result in results:
        actual = (result["exit_code"], result["status"], result["success"], result["attempts"], result["node"])
        assert actual == expected
    tokens = {json.loads(line)["token"] for line in jobs.read_text().splitlines()}
    assert {secret["stringData"]["token"] for secret in api.of("Secret")} == tokens
    uids = {job["metadata"]["uid"] for job in api.of("Job")}
    assert {secret["metadata"]["ownerReferences"][0]["uid"] for secret in api.of("Secret")} == uids
    assert not any(token in json.dumps(api.of("Job")) + ended.err for token in tokens)


async def test_rerun_of_a_killed_fleet_waits_for_its_jobs(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    api = KubeApi(())
    async with open_orchestrator() as orchestrator:
        ids = orchestrator.jobs(jobs, 2)
        async with kubernetes_fleet(api, orchestrator, jobs) as program:
            await until(lambda: len(api.of("Secret")) == 2)
            program.signal(signal.SIGKILL)
            await program.ended()
        made = json.dumps(api.of("Job"))
        api.codes = (0,)
        async with kubernetes_fleet(api, orchestrator, jobs) as program:
            ended = await program.ended()

    assert ended.code == 0, ended.err
    assert json.dumps(api.of("Job")) == made
    assert sorted(result["job_id"] for result in results_of(jobs)) == sorted(ids)


async def test_stop_deletes_unfinished_jobs_and_records_no_result(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    api = KubeApi(())
    async with open_orchestrator() as orchestrator:
        orchestrator.jobs(jobs, 2)
        async with kubernetes_fleet(api, orchestrator, jobs) as program:
            await until(lambda: len(api.of("Secret")) == 2)
            program.signal(signal.SIGTERM)
            ended = await program.ended()

    assert ended.code == 4, ended.err
    assert "2 left" in ended.err
    assert api.of("Job") == []
    assert results_of(jobs) == []
