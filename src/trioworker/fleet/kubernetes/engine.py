"""Runs workers as Kubernetes Jobs, whose pods the cluster replaces by the rules of the Job.

A fleet that was killed and is run again finds its Jobs by their names, and waits for them, or reads how they ended.
"""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import msgspec
import trio

from trioworker.fleet.engine import REPORTED, Attempt
from trioworker.fleet.kubernetes.api.client import KubernetesClient
from trioworker.fleet.kubernetes.fixed import object_name
from trioworker.fleet.kubernetes.job_creation import BEING_DELETED, JobCreator
from trioworker.fleet.kubernetes.leftovers import describe_leftovers, kubectl_command
from trioworker.fleet.kubernetes.login.kubeconfig import find_cluster
from trioworker.fleet.kubernetes.logs import open_live_logs
from trioworker.fleet.kubernetes.pod_looks import PodLooks
from trioworker.fleet.kubernetes.pod_outcome import DEADLINE_EXCEEDED, read_outcome
from trioworker.fleet.kubernetes.poll import POLL_INTERVAL, JobPoller
from trioworker.protocol.exit_codes import BAD_USAGE
from trioworker.supervision.nurseries import cancelled_after

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trioworker.fleet.display import Observer
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.kubernetes.api.objects import Job
    from trioworker.fleet.kubernetes.job_creation import Placed
    from trioworker.fleet.kubernetes.logs import LiveLogs
    from trioworker.fleet.kubernetes.manifests.settings import PodSettings
    from trioworker.fleet.kubernetes.poll import Watch

DELETION_MARGIN = 30.0
"""Seconds for the pods of a deleted Job to end, in addition to their grace period."""
STOP_MARGIN = 15.0
"""Seconds for the requests of a stop, in addition to the time for the pods."""


class KubernetesEngine:
    """Runs the pods of one fleet in one namespace. `poll_jobs` must run in another task."""

    name = "kubernetes"

    def __init__(
        self,
        client: KubernetesClient,
        settings: PodSettings,
        observer: Observer,
        *,
        logs: LiveLogs | None = None,
        kubectl: str = "kubectl",
    ) -> None:
        """`logs` copies the pods' logs; `kubectl` is the beginning of the commands that messages suggest."""
        self._client = client
        self._observer = observer
        self._kubectl = kubectl
        self._may_run: dict[str, str] = {}
        """The names of the Jobs that aren't known to have ended, by the jobs' ids."""
        self._looks = PodLooks(client, observer, logs)
        self._attempts = settings.attempts
        self._pods_timeout = settings.grace_seconds + DELETION_MARGIN
        self.stop_timeout = self._pods_timeout + STOP_MARGIN
        self._creator = JobCreator(client, settings, observer)
        self._poller = JobPoller(client, self._looks.look)
        self._used: Counter[str] = Counter()
        """How many attempts this fleet has used, by the job's id."""
        self._read: dict[str, Job] = {}
        """The ended Jobs that had no outcome, by the job's id."""

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """See `Engine`. The Job is deleted when the fleet is stopped; after a cancel, it keeps running, for a rerun."""
        async with cancelled_after(stopping.wait):
            attempt = await self._run(job)
            self._may_run.pop(job.job_id, None)
            return attempt
        return await self._stop(job)

    def left_behind(self) -> str | None:
        """See `Engine`."""
        return describe_leftovers(self._may_run.values(), self._client.namespace, self._kubectl)

    async def close(self) -> None:
        """Complete the copies of the logs."""
        await self._looks.close()

    async def poll_jobs(self) -> None:
        """Look at all Jobs until cancelled, and wake the tasks whose Job has ended or is gone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._looks.run)
            await self._poller.run()

    async def _run(self, job: FleetJob) -> Attempt:
        if (read := self._read.pop(job.job_id, None)) is not None:
            await self._creator.delete(job, read)
        placed = await self._creator.place(job, max(1, self._attempts - self._used[job.job_id]))
        self._may_run[job.job_id] = placed.job.metadata.name
        if placed.job.metadata.deletion_timestamp is not None:
            self._observer.waiting(job, BEING_DELETED)
        watch = await self._watch(job, placed.job)
        if placed.job.metadata.deletion_timestamp is not None:
            self._observer.waiting(job, None)
        attempt = await (
            self._read_deleted(job, placed, watch) if watch.is_gone else self._read_ended(job, placed, watch)
        )
        if placed.is_new and not watch.was_disrupted:
            return attempt
        # Workers that are gone may have reported the job.
        return msgspec.structs.replace(attempt, had_predecessors=True)

    async def _watch(self, job: FleetJob, made: Job) -> Watch:
        """Wait until `made`, the Job of `job`, has ended or is gone."""
        was_disrupted = False
        while True:
            watch = await self._poller.watch(job, made)
            watch.was_disrupted = was_disrupted = was_disrupted or watch.was_disrupted
            # A list may be that of a cache that is behind, and lacks a Job whose labels were changed.
            found = await self._client.job(made.metadata.name) if watch.is_gone else None
            if found is None or found.metadata.uid != made.metadata.uid:
                return watch
            made = found

    async def _read_ended(self, job: FleetJob, placed: Placed, watch: Watch) -> Attempt:
        """Read the outcome. Without one, the next call of `run` creates another Job, if there are attempts left."""
        attempt = await read_outcome(self._client, job.job_id, watch.job)
        self._used[job.job_id] += watch.job.status.counted - placed.job.status.counted
        if placed.job.end is not None and attempt.exit_code not in REPORTED:
            # The attempts were another fleet's; and an option that its worker refused may have been corrected since.
            attempt = msgspec.structs.replace(attempt, exit_code=None, is_last=False)
        else:
            exceeded = watch.job.end is not None and watch.job.end.reason == DEADLINE_EXCEEDED
            attempt = msgspec.structs.replace(attempt, is_last=exceeded or self._is_used_up(job))
        if not attempt.is_last:
            self._read[job.job_id] = watch.job
        return attempt

    async def _read_deleted(self, job: FleetJob, placed: Placed, watch: Watch) -> Attempt:
        """Wait for the pods, which may still report the job. The scheduler then asks the orchestrator."""
        with trio.move_on_after(self._pods_timeout):
            while await self._has_workers(job, watch.job):  # noqa: ASYNC110 - only the API knows
                await trio.sleep(POLL_INTERVAL)
        if placed.job.metadata.deletion_timestamp is None:
            self._used[job.job_id] += 1
        return Attempt(
            exit_code=None,
            message="its Job was deleted",
            count=watch.job.status.counted + watch.job.status.active,
            is_last=self._is_used_up(job),
        )

    async def _stop(self, job: FleetJob) -> Attempt:
        """Delete the Job; its pod gets SIGTERM and time to report. If it has ended, read its outcome instead."""
        with trio.move_on_after(self._pods_timeout):
            found = await self._creator.find(job)
            if found is not None and found.end is not None:
                attempt = await read_outcome(self._client, job.job_id, found)
                self._may_run.pop(job.job_id, None)
                # It may be another fleet's; a rerun tries what its worker refused.
                is_refusal = attempt.exit_code == BAD_USAGE
                return msgspec.structs.replace(attempt, exit_code=None) if is_refusal else attempt
            if found is not None:
                await self._creator.delete(job, found)
            self._may_run.pop(job.job_id, None)
            return Attempt(exit_code=None, message="its Job was deleted when the fleet was stopped")
        self._may_run[job.job_id] = object_name(job)
        return Attempt(exit_code=None, message="its Job is being deleted; its pod may still be running")

    async def _has_workers(self, job: FleetJob, deleted: Job) -> bool:
        """Whether workers of a deleted Job run, also in orphans, which have no owner; not those of another Job."""
        pods = [pod for pod in await self._client.pods([job.job_id]) if pod.worker.terminated is None]
        owned = [pod.metadata.is_owned_by(deleted.metadata) or not pod.metadata.owner_references for pod in pods]
        return any(owned)

    def _is_used_up(self, job: FleetJob) -> bool:
        return self._used[job.job_id] >= self._attempts


@asynccontextmanager
async def open_kubernetes_engine(
    settings: PodSettings,
    *,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    logs: Path | None,
    observer: Observer,
) -> AsyncGenerator[KubernetesEngine]:
    """Connect to the cluster of the kubeconfig, or to that of the pod that this process runs in.

    With `logs`, a folder, the logs of the pods are copied there.

    Raises:
        ConfigError: no cluster is configured, or the login fails.
    """
    cluster = find_cluster(kubeconfig, context)
    async with cluster.connect() as http:
        client = KubernetesClient(http, namespace or cluster.namespace or "default", observer.notify, cluster.source)
        copies = nullcontext() if logs is None else open_live_logs(client, logs, observer.notify)
        kubectl = kubectl_command(kubeconfig, context, client.namespace)
        async with copies as live_logs, trio.open_nursery() as nursery:
            engine = KubernetesEngine(client, settings, observer, logs=live_logs, kubectl=kubectl)
            nursery.start_soon(engine.poll_jobs)
            yield engine
            await engine.close()
            nursery.cancel_scope.cancel()
