"""When the reasons of waiting jobs are reported, and how many requests that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.fleets import RecordingObserver
from support.kubeapi import NAMESPACE, KubeApi
from support.kubefleet import NAME, KubeFleet, job_of
from support.kubepods import PodScript, outcome
from support.program import until
from trioworker.fleet.kubernetes.api.client import KubernetesClient
from trioworker.fleet.kubernetes.api.objects import Job, JobSpec, JobStatus, Metadata
from trioworker.fleet.kubernetes.fixed import object_name
from trioworker.fleet.kubernetes.pod_looks import PodLooks

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trioworker.fleet.results import Results

UNSCHEDULABLE = PodScript(
    node=None,
    status={
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "2 Insufficient cpu"}
        ]
    },
)
JOBS = [job_of(str(number)) for number in range(120)]


async def reasons_after(fleet: KubeFleet, seconds: float) -> list[str]:
    """The reasons that a fleet has reported after this time."""
    with trio.move_on_after(seconds):
        await fleet.run()
    return [text for kind, text in fleet.seen if kind == "waiting"]


async def test_unschedulable_job_is_reported_once_within_10_s(results: Results, autojump_clock: MockClock) -> None:
    fleet = KubeFleet(KubeApi(UNSCHEDULABLE), results)
    assert await reasons_after(fleet, 10) == ["1: 2 Insufficient cpu"]
    assert await reasons_after(KubeFleet(KubeApi(UNSCHEDULABLE), results), 300) == ["1: 2 Insufficient cpu"]


async def test_refused_pod_is_reported_within_10_s(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi(PodScript(code=None))

    async def refuse_pods() -> None:
        await until(lambda: ("Job", NAME) in api.objects)
        # Without its template, the fake makes no pods.
        job = api.objects["Job", NAME]
        del job["spec"]["template"]
        api.objects.pop(("Pod", f"{NAME}-0"), None)
        job["status"] = {"active": 0}
        involved = {"kind": "Job", "name": NAME, "uid": job["metadata"]["uid"]}
        message = f'Error creating: pods "{NAME}-x7x2p" is forbidden: exceeded quota: small'
        event = {"reason": "FailedCreate", "message": message, "type": "Warning", "involvedObject": involved}
        api.add({"kind": "Event", "metadata": {"name": "e"}, **event, "lastTimestamp": "2026-01-01T00:00:01Z"})

    fleet = KubeFleet(api, results)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse_pods)
        assert await reasons_after(fleet, 10) == ["1: exceeded quota: small"]


async def test_slow_start_is_reported_within_10_s_and_withdrawn(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi(PodScript(node=None, log=outcome()))
    fleet = KubeFleet(api, results)
    assert await reasons_after(fleet, 10) == ["1: the pod is not scheduled yet"]
    api.objects.clear()
    api.scripts["1"] = (PodScript(log=outcome(), seconds=20),)
    assert await reasons_after(KubeFleet(api, results), 60) == []


async def test_momentary_reason_is_not_reported(results: Results, autojump_clock: MockClock) -> None:
    # The container waits for its Secret, which is created after the Job.
    assert await reasons_after(KubeFleet(KubeApi(PodScript(log=outcome(), seconds=60)), results), 100) == []


async def test_images_that_cannot_be_pulled_have_one_reason(autojump_clock: MockClock) -> None:
    api, observer = KubeApi(), RecordingObserver()
    job = job_of()
    made = made_job(job.job_id)
    pod: dict[str, Any] = {
        "kind": "Pod",
        "metadata": {"name": "p", "labels": made.metadata.labels, "ownerReferences": [{"uid": made.metadata.uid}]},
        "spec": {"nodeName": "node-a"},
        "status": {"phase": "Pending"},
    }
    api.add(pod)
    async with api.client() as http, trio.open_nursery() as nursery:
        looks = PodLooks(KubernetesClient(http, NAMESPACE, observer.notify), observer)
        nursery.start_soon(looks.run)
        for number in range(30):
            reason = "ErrImagePull" if number % 10 < 5 else "ImagePullBackOff"
            waiting = {"reason": reason, "message": f"{reason} of img:1"}
            pod["status"] = {
                "phase": "Pending",
                "containerStatuses": [{"name": "worker", "state": {"waiting": waiting}}],
            }
            looks.look([(job, made)])
            await trio.sleep(2)
        pod["status"] = {"phase": "Running"}
        for _ in range(5):
            looks.look([(job, made)])
            await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert observer.seen == [("waiting", "1: ErrImagePull: ErrImagePull of img:1"), ("waiting", "1: None")]


def made_job(job_id: str, *, active: int = 0, ready: int = 0) -> Job:
    labels = {"app.kubernetes.io/name": "trioworker", "trioworker.io/job-id": job_id}
    metadata = Metadata(name=object_name(job_of(job_id)), uid=f"uid-{job_id}", labels=labels)
    return Job(metadata=metadata, status=JobStatus(active=active, ready=ready))


@pytest.mark.parametrize(("ready", "most"), [(1, 0), (0, 16)])
async def test_only_jobs_without_a_ready_pod_cost_requests(autojump_clock: MockClock, ready: int, most: int) -> None:
    api, observer = KubeApi(), RecordingObserver()
    async with api.client() as http, trio.open_nursery() as nursery:
        looks = PodLooks(KubernetesClient(http, NAMESPACE, observer.notify), observer)
        nursery.start_soon(looks.run)
        for _ in range(10):
            looks.look([(job, made_job(job.job_id, active=1, ready=ready)) for job in JOBS])
            await trio.sleep(2)
        nursery.cancel_scope.cancel()
    # In chunks of 100; after the reason is known, not at each look.
    assert len(api.requests) <= most
    assert len(observer.seen) == (0 if ready else len(JOBS))


async def test_suspended_job_is_reported_until_its_pod_is_ready(autojump_clock: MockClock) -> None:
    api, observer = KubeApi(), RecordingObserver()
    job = job_of()
    suspended = Job(metadata=made_job("1").metadata, spec=JobSpec(suspend=True))
    async with api.client() as http, trio.open_nursery() as nursery:
        looks = PodLooks(KubernetesClient(http, NAMESPACE, observer.notify), observer)
        nursery.start_soon(looks.run)
        for made in [suspended] * 10 + [made_job("1", active=1, ready=1)]:
            looks.look([(job, made)])
            await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert observer.seen == [("waiting", "1: its Job is suspended"), ("waiting", "1: None")]
