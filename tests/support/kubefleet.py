"""A fleet on the fake Kubernetes API, in this process: scheduler, engine and client, without the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from support.fleets import FixedStatus, RecordingObserver
from support.kubeapi import NAMESPACE
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.kubernetes.api.client import KubernetesClient
from trioworker.fleet.kubernetes.engine import KubernetesEngine
from trioworker.fleet.kubernetes.fixed import object_name
from trioworker.fleet.kubernetes.manifests.job import job_manifest, secret_manifest
from trioworker.fleet.kubernetes.manifests.settings import PodSettings
from trioworker.fleet.scheduler import Scheduler
from trioworker.fleet.stopping import Stop

if TYPE_CHECKING:
    from support.kubeapi import KubeApi, Object
    from trioworker.fleet.results import Result, Results

SETTINGS = PodSettings(image="img:1", cpu=0.5, memory="2Gi", attempts=3)


def job_of(job_id: str = "1", token: str = "t-1") -> FleetJob:  # noqa: S107 - of a job of the tests
    return FleetJob(job_id=job_id, token=token, orchestrator_url="http://x", workspace=None, worker_options=())


JOB = job_of()
NAME = object_name(JOB)


def put_job(api: KubeApi, **fields: Any) -> Object:
    """Put the Job of `JOB` there, as another fleet makes it."""
    return api.add({**job_manifest(JOB, SETTINGS), **fields})


def put_secret(api: KubeApi, owner: str, token: str = JOB.token) -> Object:
    """Put the Secret of `JOB` there, as another fleet makes it for the Job with the uid `owner`."""
    return api.add(secret_manifest(job_of(token=token), owner))


class KubeFleet:
    """One run of a fleet.

    Attributes:
        status: what the orchestrator answers.
        seen: what the observer was told.
    """

    def __init__(self, api: KubeApi, results: Results, *, attempts: int = 3) -> None:
        self.status = FixedStatus()
        self.stop = Stop()
        self._api = api
        self._observer = RecordingObserver()
        self._results = results
        self._attempts = attempts

    @property
    def seen(self) -> list[tuple[str, str]]:
        return self._observer.seen

    async def run(self, *jobs: FleetJob) -> Result | None:
        """Run the jobs, by default `JOB`, and return the result of the first one."""
        jobs = jobs or (JOB,)
        settings = PodSettings(image="img:1", cpu=0.5, memory="2Gi", attempts=self._attempts)
        async with self._api.client() as http, trio.open_nursery() as nursery:
            client = KubernetesClient(http, NAMESPACE, self._observer.notify)
            engine = KubernetesEngine(client, settings, self._observer)
            nursery.start_soon(engine.poll_jobs)
            scheduler = Scheduler(
                engine, self.status, self._results, self._observer, self.stop, parallel=100, attempts=self._attempts
            )
            await scheduler.run(jobs)
            nursery.cancel_scope.cancel()
        return self._results.done.get(jobs[0].job_id)
