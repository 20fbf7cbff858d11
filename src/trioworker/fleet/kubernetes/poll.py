"""Polls all Jobs that the fleet waits for in one request, until they have ended or are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.kubernetes.api.client import KubernetesClient
    from trioworker.fleet.kubernetes.api.objects import Job

POLL_INTERVAL = 2.0
"""Seconds between two polls."""


class Watch:
    """What polling has shown about one Job.

    Attributes:
        job: the Job as it was last seen.
        is_gone: whether it is deleted; a Job whose deletion is under way isn't gone yet.
        was_disrupted: whether a pod was terminated while the Job ran: such pods aren't counted in its status.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.is_gone = False
        self.was_disrupted = False
        self._over = trio.Event()
        if job.end is not None:
            self._over.set()

    def look(self, found: Job | None) -> None:
        """Update with the Job that now has this name; None if there is none."""
        if found is None or found.metadata.uid != self.job.metadata.uid:
            self.is_gone = True
            self._over.set()
            return
        self.job = found
        self.was_disrupted = self.was_disrupted or found.status.terminating > 0
        if found.end is not None:
            self._over.set()

    async def wait(self) -> None:
        """Wait until the Job has ended or is gone."""
        await self._over.wait()


class JobPoller:
    """Makes the requests for all watches. `run` must run in another task."""

    def __init__(self, client: KubernetesClient, looked: Callable[[Collection[tuple[FleetJob, Job]]], None]) -> None:
        """`looked` is called after each poll with the jobs whose Jobs were found, and those Jobs."""
        self._client = client
        self._looked = looked
        self._watches: dict[str, tuple[FleetJob, Watch]] = {}

    async def watch(self, job: FleetJob, made: Job) -> Watch:
        """Wait until `made`, the Job of `job`, has ended or is gone."""
        watch = Watch(made)
        self._watches[job.job_id] = job, watch
        try:
            await watch.wait()
        finally:
            del self._watches[job.job_id]
        return watch

    async def run(self) -> None:
        """Poll the Jobs until cancelled."""
        while True:
            await trio.sleep(POLL_INTERVAL)
            # Jobs that are created during the request may be missing from the answer.
            watches = dict(self._watches)
            found = {job.metadata.name: job for job in await self._client.jobs(watches)}
            for _, watch in watches.values():
                watch.look(found.get(watch.job.metadata.name))
            self._looked([(job, watch.job) for job, watch in self._watches.values() if not watch.is_gone])
