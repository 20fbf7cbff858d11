"""Runs workers as Kubernetes Jobs: creates them, polls them together, deletes them on a stop.

The cluster restarts pods by the rules of the Job. A fleet that was killed and is run again finds its Jobs by their
names, and waits for them.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.fleet.engine import Attempt, attempt_from_exit
from trioworker.fleet.kubernetes.client import KubernetesClient, RequestRefusedError
from trioworker.fleet.kubernetes.kubeconfig import find_cluster
from trioworker.fleet.kubernetes.manifests import job_manifest, object_name, secret_manifest
from trioworker.protocol.exit_codes import FAILED, STOPPED, SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trioworker.fleet.display import Observer
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.kubernetes.manifests import PodSettings
    from trioworker.fleet.kubernetes.objects import Job, Pod

POLL_INTERVAL = 2.0
"""Seconds between requests for all Jobs."""
REQUEST_TIMEOUT = 60.0
"""Seconds for an answer of the API server."""
CONFLICT = 409
STATUS_BY_EXIT_CODE = {SUCCEEDED: "completed", FAILED: "failed", STOPPED: "cancelled"}
"""The status to assume if the pod's log, with the outcome, is gone."""
LOG_LINES = 20


class KubernetesEngine:
    """Creates Jobs in one namespace. `poll_jobs` must run in another task."""

    name = "kubernetes"

    def __init__(self, client: KubernetesClient, settings: PodSettings, observer: Observer) -> None:
        self._client = client
        self._observer = observer
        self._settings = settings
        self._waiting: dict[str, tuple[trio.Event, list[Job]]] = {}

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """See `Engine`."""
        ended, seen = trio.Event(), list["Job"]()
        made = await self._create_objects(job)
        self._waiting[job.job_id] = (ended, seen)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop, made, stopping, nursery.cancel_scope)
                await ended.wait()
                nursery.cancel_scope.cancel()
            if not ended.is_set():
                return Attempt(exit_code=None, message="its Job was deleted when the fleet was stopped")
            return await self._read(job, seen[0])
        finally:
            del self._waiting[job.job_id]

    async def poll_jobs(self) -> None:
        """Poll all Jobs until cancelled, and wake the tasks whose Job has ended."""
        while True:
            await trio.sleep(POLL_INTERVAL)
            # Jobs that are created during the request may be missing in the response.
            expected = set(self._waiting)
            found = {job.job_id: job for job in await self._client.jobs(expected)}
            for job_id in expected & set(self._waiting):
                ended, seen = self._waiting[job_id]
                job = found.get(job_id)
                if job is not None and job.end is not None:
                    seen.append(job)
                    ended.set()

    async def _create_objects(self, job: FleetJob) -> Job:
        """Create the Job and its Secret, unless an earlier run of the fleet has."""
        try:
            made = await self._client.create_job(job_manifest(job, self._settings))
        except RequestRefusedError as error:
            if error.status != CONFLICT:
                raise
            made = await self._client.job(object_name(job))
            if made is None:
                raise
        try:
            await self._client.create_secret(secret_manifest(job, made.metadata.uid))
        except RequestRefusedError as error:
            if error.status != CONFLICT:
                raise
        return made

    async def _stop(self, made: Job, stopping: trio.Event, running: trio.CancelScope) -> None:
        """Delete the Job when the fleet is stopped; its pod gets SIGTERM, and time to report."""
        await stopping.wait()
        await self._client.delete_job(made)
        while True:
            if await self._client.job(made.metadata.name) is None:
                running.cancel()
            await trio.sleep(POLL_INTERVAL)

    async def _read(self, job: FleetJob, ended: Job) -> Attempt:
        """Read the outcome of the last pod of a finished Job."""
        pods = [(pod, pod.worker_end) for pod in await self._client.pods([job.job_id])]
        count = max(1, ended.status.failed + ended.status.succeeded)
        ends = [(pod, end) for pod, end in pods if end is not None]
        if not ends:
            if ended.status.succeeded:
                return Attempt(exit_code=0, status="completed", success=True, count=count)
            return Attempt(exit_code=None, message=_reason(ended), count=count, is_last=True)
        # In a Job that succeeded, the pod that did; otherwise the last one that failed.
        if ended.status.succeeded:
            pod, end = min(ends, key=lambda one: one[1].exit_code != 0)
        else:
            pod, end = max(ends, key=lambda one: one[1].finished_at)
        return await self._read_pod(pod, end.exit_code, ended, count)

    async def _read_pod(self, pod: Pod, code: int, ended: Job, count: int) -> Attempt:
        out = await self._client.last_lines(pod.metadata.name, LOG_LINES)
        # Above 128: the container was killed by a signal.
        attempt = attempt_from_exit(code if code < 128 else 128 - code, out, b"", pod.spec.node_name)
        return Attempt(
            exit_code=code if code < 128 else None,
            status=attempt.status or STATUS_BY_EXIT_CODE.get(code),
            success=code == 0 if attempt.success is None else attempt.success,
            message=attempt.message or _reason(ended),
            node=attempt.node,
            count=count,
            is_last=True,
        )


@asynccontextmanager
async def open_kubernetes_engine(
    settings: PodSettings,
    *,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    observer: Observer,
) -> AsyncGenerator[KubernetesEngine]:
    """Connect to the cluster of the kubeconfig, or to that of the pod that this process runs in.

    Raises:
        ConfigError: no cluster is configured, or it refuses.
    """
    cluster = find_cluster(kubeconfig, context)
    async with cluster.connect(REQUEST_TIMEOUT) as http:
        client = KubernetesClient(http, namespace or cluster.namespace or "default", observer.notify)
        engine = KubernetesEngine(client, settings, observer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.poll_jobs)
            yield engine
            nursery.cancel_scope.cancel()


def _reason(job: Job) -> str:
    reasons = (f"{each.reason}: {each.message}" for each in job.status.conditions if each.reason)
    return next(reasons, "its pod was deleted")
