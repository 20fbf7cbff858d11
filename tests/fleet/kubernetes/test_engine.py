"""The Kubernetes engine against the fake API, in virtual time: what it makes and how it reads the end of a Job."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from support.fleets import RecordingObserver
from support.kubeapi import NAMESPACE, KubeApi
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.kubernetes.client import KubernetesClient
from trioworker.fleet.kubernetes.engine import KubernetesEngine
from trioworker.fleet.kubernetes.manifests import PodSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

SETTINGS = PodSettings(image="img:1", cpu=0.5, memory="2Gi", attempts=3)
JOB = FleetJob(job_id="1", token="t-1", orchestrator_url="http://x", workspace=None, worker_options=())


@asynccontextmanager
async def open_engine(api: KubeApi) -> AsyncGenerator[KubernetesEngine]:
    observer = RecordingObserver()
    async with api.client() as http, trio.open_nursery() as nursery:
        engine = KubernetesEngine(KubernetesClient(http, NAMESPACE, observer.notify), SETTINGS, observer)
        nursery.start_soon(engine.poll_jobs)
        yield engine
        nursery.cancel_scope.cancel()


async def test_job_that_succeeds_has_its_outcome(autojump_clock: MockClock) -> None:
    async with open_engine(KubeApi()) as engine:
        attempt = await engine.run(JOB, trio.Event())
    assert (attempt.exit_code, attempt.status, attempt.success, attempt.message) == (0, "completed", True, "done")
    assert (attempt.node, attempt.count) == ("node-a", 1)
