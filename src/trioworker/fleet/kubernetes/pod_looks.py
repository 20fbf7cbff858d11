"""Inspects the pods of Jobs whose workers aren't running, reports why, and passes the pods on so that logs are copied.

A running worker costs no requests: the status of its Job, which the fleet polls anyway, says that a pod is ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import trio

from trioworker.fleet.kubernetes.waiting import newest, why_not_created, why_not_started, why_suspended, why_waiting
from trioworker.fleet.waits import kind_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from trioworker.fleet.display import Observer
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.kubernetes.api.client import KubernetesClient
    from trioworker.fleet.kubernetes.api.objects import Event, Job, Pod
    from trioworker.fleet.kubernetes.logs import LiveLogs

START_TIME = 5.0
"""Seconds that a pod may take to start before this is reported."""
REPORTED_INTERVAL = 8.0
"""Seconds between two inspections of the pods of a job whose reason is known."""
CLOSE_TIMEOUT = 5.0
"""Seconds for the last inspection at the end of a fleet."""
FEW = 3
"""Up to this many objects, their events are requested one by one: a namespace may have thousands of events."""
IMAGE_PULL = ("ErrImagePull", "ImagePullBackOff")
"""The alternating states of a failing pull; only the first one gives the cause in all versions of Kubernetes."""


class _Waiting:
    """What is known about a Job whose worker may not be running.

    Attributes:
        since: when it began to wait for its pod, or the pod for its start.
        pods: those of the last inspection.
        running_at: the counts in its status when its pod was last seen running; None if it never was.
        seen: the reason at the last inspection. It counts if seen twice, since each pod first waits for its Secret.
    """

    def __init__(self, job: FleetJob, made: Job) -> None:
        self.job = job
        self.made = made
        self.since = self.next_look = trio.current_time()
        self.pods: Sequence[Pod] = ()
        self.running_at: tuple[int, ...] | None = None
        self.seen: str | None = None

    @property
    def counts(self) -> tuple[int, ...]:
        """What changes in the status when a pod starts or ends."""
        status = self.made.status
        return status.active, status.ready, status.failed, status.succeeded

    @property
    def pod(self) -> Pod | None:
        """The newest pod."""
        return newest(self.pods)

    @property
    def lacks_pod(self) -> bool:
        """Whether the cluster is to create the next pod."""
        return not self.made.spec.suspend and (self.pod is None or self.pod.has_ended)

    @property
    def is_slow(self) -> bool:
        """Whether it has waited unusually long."""
        starts = self.pod is None or self.pod.status.phase == "Pending"
        return starts and trio.current_time() >= self.since + START_TIME

    def update(self, made: Job) -> None:
        """Update with the current Job."""
        counts, now = self.counts, trio.current_time()
        self.made = made
        if self.counts != counts:
            self.next_look = now
        if made.status.ready or self.running_at == counts:
            self.since = now


class PodLooks:
    """`look` receives the Jobs; `run` sends the requests in a task of its own, so that results aren't delayed."""

    def __init__(self, client: KubernetesClient, observer: Observer, logs: LiveLogs | None = None) -> None:
        self._client = client
        self._observer = observer
        self._logs = logs
        self._waiting: dict[str, _Waiting] = {}
        self._over: list[FleetJob] = []
        self._reported: dict[str, str] = {}
        """The reported reasons by the jobs' ids. They outlive a Job: the next one may have the same reason."""
        self._looked = trio.Event()
        self._lock = trio.Lock()

    def look(self, jobs: Collection[tuple[FleetJob, Job]]) -> None:
        """Update with the polled Jobs; those that are missing or have ended are over."""
        for job, made in jobs:
            known = self._waiting.get(job.job_id)
            if known is None or known.made.metadata.uid != made.metadata.uid:
                self._waiting[job.job_id] = _Waiting(job, made)
            else:
                known.update(made)
            if made.status.ready:
                self._report(job, None)
        running = {job.job_id for job, made in jobs if made.end is None}
        for job_id in self._waiting.keys() - running:
            self._over.append(self._waiting.pop(job_id).job)
        self._looked.set()

    async def run(self) -> None:
        """Inspect the pods after each call of `look`, until cancelled."""
        while True:
            await self._looked.wait()
            self._looked = trio.Event()
            await self._look_at_pods()

    async def close(self) -> None:
        """Wait until the logs of the jobs that are over are complete."""
        if self._logs is not None:
            with trio.move_on_after(CLOSE_TIMEOUT):
                await self._look_at_pods()
            await self._logs.close()

    async def _look_at_pods(self) -> None:
        async with self._lock:
            over, self._over = self._over if self._logs is not None else [], []
            due = [each for each in self._waiting.values() if self._is_due(each)]
            await self._find_pods(due, over)
            job_events = await self._events("Job", [each.made.metadata.name for each in due if each.lacks_pod])
            slow = [each.pod for each in due if each.is_slow]
            pod_events = await self._events("Pod", [pod.metadata.name for pod in slow if pod and not why_waiting(pod)])
            for each in due:
                self._judge(each, job_events, pod_events)

    def _is_due(self, each: _Waiting) -> bool:
        if each.running_at == each.counts or trio.current_time() < each.next_look:
            return False
        return not each.made.status.ready or self._logs is not None

    async def _find_pods(self, due: Iterable[_Waiting], over: Iterable[FleetJob]) -> None:
        jobs = [*over, *(each.job for each in due)]
        found: dict[str | None, list[Pod]] = {}
        for pod in await self._client.pods([job.job_id for job in jobs]):
            found.setdefault(pod.metadata.job_id, []).append(pod)
        for each in due:
            # Pods of an older Job with the same name may still be terminating.
            pods = found.get(each.job.job_id, ())
            each.pods = [pod for pod in pods if pod.metadata.is_owned_by(each.made.metadata)]
        if self._logs is not None:
            for job in jobs:
                self._logs.see(job, found.get(job.job_id, ()))

    async def _events(self, kind: Literal["Job", "Pod"], names: Sequence[str]) -> list[Event]:
        if len(names) > FEW:
            return await self._client.events(kind)
        return [event for name in names for event in await self._client.events(kind, name)]

    def _judge(self, each: _Waiting, job_events: Sequence[Event], pod_events: Sequence[Event]) -> None:
        """Report why the job waits, if that has changed."""
        pod, now = each.pod, trio.current_time()
        reason = why_suspended(each.made) or (None if pod is None else why_waiting(pod))
        if reason is None and each.lacks_pod:
            reason = why_not_created(each.made, each.pods, job_events)
        if reason is None and each.is_slow:
            reason = each.seen = why_not_started(pod, pod_events)
        if pod is not None and pod.status.phase == "Running":
            each.running_at = each.counts
        if reason is None:
            if each.job.job_id in self._reported:
                each.since = now
            self._report(each.job, None)
        elif each.seen is not None and kind_of(reason) == kind_of(each.seen):
            self._report(each.job, reason)
            each.next_look = now + REPORTED_INTERVAL
        each.seen = reason

    def _report(self, job: FleetJob, reason: str | None) -> None:
        known = self._reported.get(job.job_id)
        if reason == known or (known and reason and known.startswith(IMAGE_PULL) and reason.startswith(IMAGE_PULL)):
            return
        if reason is None:
            del self._reported[job.job_id]
        else:
            self._reported[job.job_id] = reason
        self._observer.waiting(job, reason)
