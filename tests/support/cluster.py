"""A Kubernetes control plane for tests: the folder KUBE_DIR of a running one, its programs and its API.

`KUBE_DIR/cluster` has, for each program (`api`, `controllers`, `scheduler`, `node-a`, …), its pid in `NAME.pid` and
its output in `NAME.log`. The kubeconfigs `admin.conf`, `fleet.conf` (minimal permissions) and `poor.conf` (no Secrets)
name the namespace `jobs`. The nodes run real processes, in the network namespace of the tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
from base64 import b64decode
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import create_default_context
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
import yaml

from orchestrator.serving import ADMIN_TOKEN
from support.fleets import results_of
from support.program import is_running, started, until
from trioworker.cli.admin_token import ADMIN_TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from support.fleets import OrchestratorForFleet
    from support.program import Ended, Program

NAMESPACE = "jobs"
BATCH, CORE = f"/apis/batch/v1/namespaces/{NAMESPACE}", f"/api/v1/namespaces/{NAMESPACE}"
LABEL = "app.kubernetes.io/name=trioworker"
FLEET_TIMEOUT = 1200.0
"""Seconds in which a fleet on the cluster must end: 300 jobs take about 100 s on two idle processors."""


class Component:
    """A program of the control plane, which a test may kill and start again."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._process = Path("/proc", str(self.pid))
        self._arguments = (self._process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        variables = (self._process / "environ").read_bytes().rstrip(b"\0").split(b"\0")
        self._environment = dict(variable.split(b"=", 1) for variable in variables)
        self._working_directory = (self._process / "cwd").readlink()

    @property
    def pid(self) -> int:
        return int((self._folder / f"{self._name}.pid").read_text())

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill it, and wait until it is gone. SIGUSR1 kills a node with all of its pods."""
        os.kill(self.pid, number)
        await until(lambda: not is_running(self.pid))

    def start(self) -> None:
        """Start it again, as it was started before. It runs until the control plane is stopped."""
        with (self._folder / f"{self._name}.log").open("ab") as log:
            process = subprocess.Popen(
                self._arguments,
                env=self._environment,
                cwd=self._working_directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self._folder / f"{self._name}.pid").write_text(str(process.pid))
        # It outlives this object on purpose.
        process.returncode = 0


class Cluster:
    """A running control plane, with a client that may do anything.

    Attributes:
        admin: the client; its paths are those of the API.
        folder: the folder `KUBE_DIR/cluster`.
    """

    def __init__(self, folder: Path, admin: httpx.AsyncClient) -> None:
        self.folder = folder
        self.admin = admin

    def kubeconfig(self, user: str = "fleet") -> Path:
        return self.folder / f"{user}.conf"

    def component(self, name: str) -> Component:
        return Component(self.folder, name)

    async def node_ready(self, name: str) -> None:
        """Wait until the scheduler can use a restarted node."""
        with trio.fail_after(60):
            while not await self._is_ready(name):  # noqa: ASYNC110 - the API has the state
                await trio.sleep(0.5)

    async def objects(self, kind: str = "jobs", selector: str = LABEL) -> list[dict[str, Any]]:
        """Return the `jobs`, `secrets`, `pods` or `events` of the fleets."""
        path = f"{BATCH if kind == 'jobs' else CORE}/{kind}"
        response = await self.admin.get(path, params={"labelSelector": selector} if kind != "events" else {})
        return response.raise_for_status().json()["items"]

    async def delete_job(self, name: str, propagation: str = "Background") -> None:
        response = await self.admin.request("DELETE", f"{BATCH}/jobs/{name}", json={"propagationPolicy": propagation})
        assert response.status_code in {200, 404}, response.text

    async def wait_for(self, kind: str, condition: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
        """Wait until the condition holds for the objects of this kind, and return them."""
        with trio.fail_after(60):
            while True:
                found = await self.objects(kind)
                if condition(found):
                    return found
                await trio.sleep(0.2)

    @asynccontextmanager
    async def fleet(
        self, jobs: Path, orchestrator: OrchestratorForFleet, *options: str, user: str = "fleet", image: str = "worker"
    ) -> AsyncGenerator[Program]:
        """Start `trioworker fleet` on the cluster. A pod asks for 50 m of a processor unless `options` say more."""
        arguments = ("--engine", "kubernetes", "--image", image, "--cpu", "0.05", "--memory", "256Mi")
        arguments = (*arguments, "--parallel", "30", "--orchestrator-url", orchestrator.url, *options)
        environment = {"KUBECONFIG": str(self.kubeconfig(user)), ADMIN_TOKEN_VARIABLE: ADMIN_TOKEN}
        async with started("fleet", str(jobs), *arguments, environment=environment) as program:
            yield program

    async def run_fleet(
        self, jobs: Path, orchestrator: OrchestratorForFleet, *options: str, user: str = "fleet", image: str = "worker"
    ) -> Ended:
        """Run `trioworker fleet` on the cluster to its end."""
        async with self.fleet(jobs, orchestrator, *options, user=user, image=image) as program:
            return await program.ended(FLEET_TIMEOUT)

    async def uids(self, kind: str) -> set[str]:
        return {item["metadata"]["uid"] for item in await self.objects(kind)}

    async def delete_all(self, kind: str) -> None:
        """Delete the `jobs`, `secrets` or `pods` of the fleets at once, without time for the pods to end."""
        path = f"{BATCH if kind == 'jobs' else CORE}/{kind}"
        body = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}
        response = await self.admin.request("DELETE", path, params={"labelSelector": LABEL}, json=body)
        response.raise_for_status()

    @asynccontextmanager
    async def foreign_job(self, name: str) -> AsyncGenerator[str]:
        """Create a suspended Job that isn't a fleet's; return its uid."""
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "other", "image": "other"}]}}
        job = {"metadata": {"name": name}, "spec": {"suspend": True, "template": template}}
        made = (await self.admin.post(f"{BATCH}/jobs", json=job)).raise_for_status().json()
        try:
            yield made["metadata"]["uid"]
        finally:
            with trio.move_on_after(10, shield=True):
                await self.delete_job(name)

    async def clean(self) -> None:
        """Delete the Jobs of the fleets with their pods and Secrets, and wait until they are gone."""
        for kind in ("jobs", "pods", "secrets"):
            await self.delete_all(kind)
        for kind in ("jobs", "pods", "secrets"):
            await self.wait_for(kind, lambda found: not found)

    async def _is_ready(self, node: str) -> bool:
        found = (await self.admin.get(f"/api/v1/nodes/{node}")).raise_for_status().json()
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in found["status"]["conditions"])
        return ready and not found["spec"].get("taints")


def admin_options() -> tuple[Path, dict[str, Any]]:
    """Return the folder of the running control plane and its client's options; without one, skip the test."""
    if "KUBE_DIR" not in os.environ:
        pytest.skip("needs KUBE_DIR, the folder of a running Kubernetes control plane")
    folder = Path(os.environ["KUBE_DIR"], "cluster")
    try:
        config: Any = yaml.safe_load((folder / "admin.conf").read_text())
    except OSError as error:
        pytest.skip(f"needs a running control plane: {error}")
    server = config["clusters"][0]["cluster"]
    options: dict[str, Any] = {
        "base_url": server["server"],
        "verify": create_default_context(cadata=b64decode(server["certificate-authority-data"]).decode()),
        "headers": {"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
        "timeout": 30,
        "trust_env": False,
    }
    try:
        with httpx.Client(**options) as client:
            client.get("/readyz")
    except httpx.TransportError as error:
        pytest.skip(f"the control plane at {server['server']} doesn't answer: {error}")
    return folder, options


@asynccontextmanager
async def open_cluster(folder: Path, options: dict[str, Any]) -> AsyncGenerator[Cluster]:
    """Connect to a control plane. The namespace is cleaned before and after."""
    async with httpx.AsyncClient(**options) as admin:
        cluster = Cluster(folder, admin)
        await cluster.clean()
        try:
            yield cluster
        finally:
            with trio.move_on_after(60, shield=True):
                await cluster.clean()


def assert_each_reported_once(
    jobs: Path, ids: list[str], orchestrator: OrchestratorForFleet, status: str = "completed"
) -> None:
    """Each job has one result with this status, and the orchestrator has exactly one report of it."""
    results = results_of(jobs)
    assert sorted(result["job_id"] for result in results) == sorted(ids)
    others = [result for result in results if result["status"] != status]
    assert not others, others[:3]
    assert sorted(orchestrator.reports()) == sorted(ids)
