"""Logins at a real API server: credential plugins and a token file that is rotated."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trio
import yaml

from support.cluster import CORE, assert_each_reported_once
from support.fleets import open_orchestrator
from support.kubeconfigs import exec_user, plugin, write
from support.program import ran
from trioworker.fleet.kubernetes.login.credentials import FETCH_PAUSE
from trioworker.fleet.kubernetes.login.kubeconfig import find_cluster
from trioworker.testing import say

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from support.cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

GROUP = "client.authentication.k8s.io"


def kubeconfig(cluster: Cluster, file: Path, user: dict[str, Any]) -> Path:
    """The kubeconfig of the user `fleet`, with another login."""
    config: Any = yaml.safe_load(cluster.kubeconfig().read_text())
    config["users"][0]["user"] = user
    return write(file, config)


def token_plugin(folder: Path, version: str, lifetime: float) -> Path:
    """A plugin that prints the token of `fleet`, and adds a line to `runs`."""
    end = (datetime.now(UTC) + timedelta(seconds=lifetime)).isoformat()
    status = {"token": "fleet-token", "expirationTimestamp": end}
    credential = {"apiVersion": version, "kind": "ExecCredential", "status": status}
    return plugin(folder / "plugin", f"echo >>{folder}/runs; echo '{json.dumps(credential)}'")


async def user_of(client: httpx.AsyncClient) -> str:
    """Return the user as whom the API server sees us."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    response = await client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json=body)
    return response.raise_for_status().json()["status"]["userInfo"]["username"]


@pytest.mark.parametrize("version", [f"{GROUP}/v1", f"{GROUP}/v1beta1"])
async def test_fleet_logs_in_by_a_plugin(cluster: Cluster, tmp_path: Path, version: str) -> None:
    jobs = tmp_path / "jobs.jsonl"
    user = exec_user(token_plugin(tmp_path, version, 0), apiVersion=version)
    options = ("--kubeconfig", str(kubeconfig(cluster, tmp_path / "config", user)), "--image", "worker")
    # Longer than the pause between two runs of a plugin.
    async with open_orchestrator(say("The job is complete.", delay=2 * FETCH_PAUSE)) as orchestrator:
        ids = orchestrator.jobs(jobs, 2)
        options = (*options, "--cpu", "0.05", "--memory", "256Mi", "--orchestrator-url", orchestrator.url)
        ended = await ran("fleet", str(jobs), "--engine", "kubernetes", *options)

        assert ended.code == 0, ended.err
        assert_each_reported_once(jobs, ids, orchestrator)
    # Its token has expired by its own account, so it ran again.
    assert len((tmp_path / "runs").read_text()) > 1


async def test_plugin_with_a_wrong_token_is_run_again_after_the_401(cluster: Cluster, tmp_path: Path) -> None:
    credential = {"apiVersion": f"{GROUP}/v1", "kind": "ExecCredential", "status": {"token": "wrong"}}
    write(tmp_path / "credential", json.dumps(credential))
    user = exec_user(plugin(tmp_path / "plugin", f"cat {tmp_path}/credential"))
    async with find_cluster(kubeconfig(cluster, tmp_path / "config", user), None).connect() as client:
        write(tmp_path / "credential", json.dumps({**credential, "status": {"token": "fleet-token"}}))
        assert await user_of(client) == "fleet"


async def test_rotated_token_file_is_used_when_the_old_token_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    token = tmp_path / "token"
    names = ("rotated-1", "rotated-2")
    for name in names:
        await cluster.admin.post(f"{CORE}/serviceaccounts", json={"metadata": {"name": name}})
    try:
        tokens = [await service_account_token(cluster, name) for name in names]
        token.write_text(tokens[0])
        access = find_cluster(kubeconfig(cluster, tmp_path / "config", {"tokenFile": "token"}), None)
        async with access.connect() as client:
            assert await user_of(client) == "system:serviceaccount:jobs:rotated-1"
            token.write_text(tokens[1])
            await cluster.admin.delete(f"{CORE}/serviceaccounts/rotated-1")
            with trio.fail_after(40):
                # The API server accepts a token for some seconds after its account is gone.
                while await user_of(client) != "system:serviceaccount:jobs:rotated-2":  # noqa: ASYNC110
                    await trio.sleep(0.5)
    finally:
        with trio.move_on_after(10, shield=True):
            for name in names:
                await cluster.admin.delete(f"{CORE}/serviceaccounts/{name}")


async def service_account_token(cluster: Cluster, name: str) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    response = await cluster.admin.post(f"{CORE}/serviceaccounts/{name}/token", json=body)
    return response.raise_for_status().json()["status"]["token"]
