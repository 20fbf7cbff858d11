"""What a fleet that ends early says about the Jobs that may still be running."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from support.fleets import RecordingObserver
from support.kubeapi import NAMESPACE, KubeApi
from support.kubefleet import JOB, NAME, SETTINGS
from support.kubepods import PodScript, outcome
from trioworker.fleet.kubernetes.api.client import KubernetesClient
from trioworker.fleet.kubernetes.engine import KubernetesEngine
from trioworker.fleet.kubernetes.leftovers import describe_leftovers, kubectl_command
from trioworker.fleet.kubernetes.manifests.pod_template import PodTemplate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from trioworker.fleet.kubernetes.manifests.settings import PodSettings

LEFT = (
    "1 Job may still be running in the namespace jobs; run the same command to continue, or delete it: "
    f"kubectl -n jobs delete job {NAME}"
)


@asynccontextmanager
async def open_engine(api: KubeApi, settings: PodSettings = SETTINGS) -> AsyncGenerator[KubernetesEngine]:
    observer = RecordingObserver()
    async with api.client() as http, trio.open_nursery() as nursery:
        client = KubernetesClient(http, NAMESPACE, observer.notify)
        engine = KubernetesEngine(client, settings, observer, kubectl=kubectl_command(None, None, NAMESPACE))
        nursery.start_soon(engine.poll_jobs)
        yield engine
        nursery.cancel_scope.cancel()


async def test_job_that_has_ended_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_engine(KubeApi(PodScript(log=outcome()))) as engine:
        await engine.run(JOB, trio.Event())
        assert engine.left_behind() is None


async def test_job_that_was_deleted_leaves_nothing(autojump_clock: MockClock) -> None:
    stopping = trio.Event()
    async with open_engine(KubeApi(PodScript(code=None))) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(engine.run, JOB, stopping)
        await trio.sleep(5)
        assert engine.left_behind() == LEFT
        stopping.set()
        await trio.sleep(5)
        assert engine.left_behind() is None


async def test_fleet_that_quits_leaves_its_jobs(autojump_clock: MockClock) -> None:
    async with open_engine(KubeApi(PodScript(code=None))) as engine:
        with trio.move_on_after(5):
            await engine.run(JOB, trio.Event())
        assert engine.left_behind() == LEFT


@pytest.mark.parametrize("grace", [30, 300])
async def test_stop_without_the_api_is_bounded_by_the_grace(autojump_clock: MockClock, grace: int) -> None:
    api, stopping = KubeApi(PodScript(code=None)), trio.Event()
    template = PodTemplate(pod_spec={"terminationGracePeriodSeconds": grace})
    async with open_engine(api, msgspec.structs.replace(SETTINGS, template=template)) as engine:
        with trio.fail_after(grace + 60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(engine.run, JOB, stopping)
                await trio.sleep(5)
                api.fail(503, times=float("inf"))
                await trio.sleep(1)
                stopping.set()
        assert trio.current_time() > grace
        assert engine.left_behind() == LEFT


def test_many_jobs_are_deleted_by_their_label() -> None:
    assert describe_leftovers([], "jobs", "kubectl") is None
    names = [f"trioworker-{number}" for number in range(6)]
    assert describe_leftovers(names[:2], "jobs", kubectl_command(None, None, "jobs")) == (
        "2 Jobs may still be running in the namespace jobs; run the same command to continue, or delete them: "
        "kubectl -n jobs delete job trioworker-0 trioworker-1"
    )
    assert describe_leftovers(names, "jobs", kubectl_command(Path("a b"), "prod", "jobs")) == (
        "6 Jobs may still be running in the namespace jobs; run the same command to continue, or delete all Jobs of "
        "fleets there: kubectl --kubeconfig 'a b' --context prod -n jobs delete job "
        "-l app.kubernetes.io/name=trioworker"
    )
