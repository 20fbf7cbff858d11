"""Refusals and outages of a real control plane: none is recorded; temporary ones are waited for, others are final."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import yaml

from support.cluster import BATCH, CORE, FLEET_TIMEOUT, assert_each_reported_once
from support.fleets import open_orchestrator, results_of
from support.program import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from support.cluster import Cluster
    from support.program import Ended

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"
NO_SEATS = {"nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0}
ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["*"]}


def kubeconfig(cluster: Cluster, path: Path, *, server: str | None = None, token: str | None = None) -> Path:
    """Write the fleet's kubeconfig with another server or token."""
    config: Any = yaml.safe_load(cluster.kubeconfig().read_text())
    if server is not None:
        config["clusters"][0]["cluster"]["server"] = server
    if token is not None:
        config["users"][0]["user"]["token"] = token
    path.write_text(json.dumps(config))
    return path


def count_results(jobs: Path) -> int:
    return len(results_of(jobs)) if jobs.with_suffix(".results.jsonl").exists() else 0


@asynccontextmanager
async def overload(cluster: Cluster) -> AsyncGenerator[None]:
    """Let the API server serve one request of the user of the fleet at a time, and keep it busy with others.

    The rest is answered 429, in plain text and with Retry-After.
    """
    limited = {"type": "Limited", "limited": {**NO_SEATS, "limitResponse": {"type": "Reject"}}}
    rule = {"subjects": [{"kind": "User", "user": {"name": "fleet"}}], "resourceRules": [ALL]}
    flow = {"matchingPrecedence": 2, "priorityLevelConfiguration": {"name": "full"}, "rules": [rule]}
    paths = [f"{FLOW}/prioritylevelconfigurations", f"{FLOW}/flowschemas"]
    headers = {"Authorization": "Bearer fleet-token", "User-Agent": "another program"}

    async def ask() -> None:
        while True:
            await cluster.admin.get(f"{BATCH}/jobs", headers=headers)

    try:
        for path, spec in zip(paths, (limited, flow), strict=True):
            (await cluster.admin.post(path, json={"metadata": {"name": "full"}, "spec": spec})).raise_for_status()
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask)
            yield
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(10, shield=True):
            for path in reversed(paths):
                await cluster.admin.delete(f"{path}/full")


def statuses(cluster: Cluster) -> Counter[int]:
    """Count what the API server has answered to fleets."""
    events = (json.loads(line) for line in (cluster.folder / "audit.log").read_text().splitlines())
    return Counter(event["responseStatus"]["code"] for event in events if event.get("userAgent") == "trioworker")


async def assert_stopped(cluster: Cluster, jobs: Path, ended: Ended, reason: str) -> None:
    """The fleet ended with exit code 2 and one line of this reason, and left no results and no objects."""
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    last = ended.err.splitlines()[-1]
    assert last.startswith("trioworker: ")
    assert reason in last
    assert count_results(jobs) == 0
    for kind in ("jobs", "secrets"):
        # A deletion takes a moment: a Job goes after its pods.
        await cluster.wait_for(kind, lambda found: not found)


@pytest.mark.parametrize(
    ("user", "options", "reason"),
    [
        ("fleet", ["--namespace", "kube-system"], "answers 403 (jobs.batch is forbidden: "),
        ("admin", ["--namespace", "nope"], 'answers 404 (namespaces "nope" not found); create the namespace'),
        ("fleet", ["--memory", "2Gigs"], "is not an amount of memory"),
        ("poor", [], "answers 403 (secrets is forbidden: "),
    ],
    ids=["no-rights", "no-namespace", "bad-quantity", "no-secrets"],
)
async def test_refusal_stops_the_fleet(
    cluster: Cluster, tmp_path: Path, user: str, options: list[str], reason: str
) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator() as orchestrator:
        orchestrator.jobs(jobs, 20)
        ended = await cluster.run_fleet(jobs, orchestrator, *options, user=user)
    await assert_stopped(cluster, jobs, ended, reason)
    assert ended.seconds < 30


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": "wrong"}, "answers 401 (Unauthorized); log in again"),
        ({"server": "https://127.0.0.1:1"}, "can't be reached (Connection refused); check the server"),
        ({"server": "http://127.0.0.1:6443"}, "answers 400 (Client sent an HTTP request to an HTTPS server.)"),
    ],
    ids=["wrong-token", "no-server", "no-tls"],
)
async def test_wrong_kubeconfig_stops_the_fleet(
    cluster: Cluster, tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    jobs = tmp_path / "jobs.jsonl"
    config = kubeconfig(cluster, tmp_path / "config", **changes)
    async with open_orchestrator() as orchestrator:
        orchestrator.jobs(jobs, 3)
        ended = await cluster.run_fleet(jobs, orchestrator, "--kubeconfig", str(config))
    await assert_stopped(cluster, jobs, ended, reason)
    assert str(config) in ended.err


async def test_quota_is_waited_for(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    quotas = f"{CORE}/resourcequotas"
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"count/jobs.batch": "1"}}}
    (await cluster.admin.post(quotas, json=quota)).raise_for_status()
    try:
        with trio.fail_after(20):
            while "used" not in (await cluster.admin.get(f"{quotas}/q")).json()["status"]:  # noqa: ASYNC110 - the API has it
                await trio.sleep(0.2)
        async with open_orchestrator() as orchestrator:
            ids = orchestrator.jobs(jobs, 5)
            async with cluster.fleet(jobs, orchestrator) as program:
                await until(lambda: count_results(jobs) == 1)
                await trio.sleep(5)
                assert count_results(jobs) == 1
                await cluster.admin.delete(f"{quotas}/q")
                ended = await program.ended()
            assert_each_reported_once(jobs, ids, orchestrator)
    finally:
        with trio.move_on_after(10, shield=True):
            await cluster.admin.delete(f"{quotas}/q")
    assert ended.code == 0, ended.err
    assert ended.err.count("answers 403 (exceeded quota: q, ") == 1
    assert "has room in the quota again" in ended.err


async def test_overloaded_api_is_waited_for(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    before = statuses(cluster)
    async with open_orchestrator() as orchestrator:
        ids = orchestrator.jobs(jobs, 30)
        async with cluster.fleet(jobs, orchestrator, "--parallel", "10") as program:
            await until(lambda: count_results(jobs) >= 1)
            async with overload(cluster):
                await trio.sleep(12)
            ended = await program.ended()
        assert_each_reported_once(jobs, ids, orchestrator)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    # Some of its requests are served, so there need not be a line; there are no more than one per outage.
    assert ended.err.count("answers 429 (") <= ended.err.count("answers again") + 1, ended.err
    assert (statuses(cluster) - before)[429] > 0


@pytest.mark.parametrize("seconds", [0, 8])
async def test_restarted_api_is_waited_for(cluster: Cluster, tmp_path: Path, seconds: float) -> None:
    jobs = tmp_path / "jobs.jsonl"
    api = cluster.component("api")
    async with open_orchestrator() as orchestrator:
        ids = orchestrator.jobs(jobs, 30)
        async with cluster.fleet(jobs, orchestrator, "--parallel", "10") as program:
            await until(lambda: count_results(jobs) >= 1)
            await api.kill()
            try:
                await trio.sleep(seconds)
            finally:
                api.start()
            ended = await program.ended(FLEET_TIMEOUT)
        assert_each_reported_once(jobs, ids, orchestrator)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    # The second one: it starts, and answers 403.
    assert ended.err.count("; waiting") <= 2, ended.err
