"""A fleet that is cancelled at any of its checkpoints leaves no half-made Job, and its rerun completes all jobs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from support.kubeapi import KubeApi
from support.kubefleet import KubeFleet, job_of
from support.kubepods import PodScript, outcome
from trioworker.fleet.results import Results
from trioworker.testing import cancel_matrix, cancel_target

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

JOBS = (job_of("1"), job_of("2"))
LONGEST_STOP = 75.0


def pods() -> KubeApi:
    """The first worker of each job is lost, the second one ends well."""
    api = KubeApi(PodScript(code=3), PodScript(log=outcome()))
    api.deletion_seconds = 3
    return api


def assert_whole(api: KubeApi) -> None:
    jobs = {item["metadata"]["name"] for item in api.of("Job") if "deletionTimestamp" not in item["metadata"]}
    assert jobs <= {item["metadata"]["name"] for item in api.of("Secret")}


@contextmanager
def removed_after(path: Path) -> Generator[None]:
    yield
    path.unlink()


def statuses(results: Results) -> set[str | None]:
    return {result.status for result in results.done.values()}


async def rerun(api: KubeApi, path: Path) -> None:
    with removed_after(path), Results(path) as results:
        await KubeFleet(api, results).run(*JOBS)
        assert set(results.done) == {"1", "2"}
        assert statuses(results) == {"completed"}


def test_fleet_that_is_cut_off_anywhere_is_completed_by_its_rerun(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"

    async def body() -> None:
        api = pods()
        with cancel_target("fleet"), Results(path) as results:
            await KubeFleet(api, results).run(*JOBS)
        assert statuses(results) <= {"completed"}
        assert_whole(api)
        await rerun(api, path)

    cancel_matrix(body, scopes=["fleet"], where=lambda _: True).raise_if_failed()


def test_fleet_that_is_stopped_anywhere_ends_in_time_and_is_completed_by_its_rerun(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"

    async def body() -> None:
        api = pods()
        with Results(path) as results:
            fleet = KubeFleet(api, results)
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def _() -> None:
                    with cancel_target("user"):
                        await trio.sleep(600)
                    fleet.stop.cancel()
                    await trio.sleep(LONGEST_STOP)
                    raise AssertionError("the fleet has not ended")

                await fleet.run(*JOBS)
                nursery.cancel_scope.cancel()
        assert statuses(results) <= {"completed"}
        assert_whole(api)
        await rerun(api, path)

    cancel_matrix(body, scopes=["user"], where=lambda _: True).raise_if_failed()
