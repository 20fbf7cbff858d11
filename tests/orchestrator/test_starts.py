"""A job is granted to the start of a worker that asked for it last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from orchestrator.serving import Worker, orchestrator, serving
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.store import Store
from trioworker.protocol.values import START_HEADER

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, THIRD = ("0" * 32, "1" * 32, "2" * 32)
SUPERSEDED = (409, "superseded")


class Start(Worker):
    """The requests of one start of a worker."""

    def __init__(self, worker: Worker, start: str) -> None:
        super().__init__(worker.client, worker.id, worker.token)
        self.start = start

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, START_HEADER: self.start}


def answer(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.text


async def test_all_requests_of_an_earlier_start_are_refused() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        first, second = Start(worker, FIRST), Start(worker, SECOND)
        assert (await first.get("job")).status_code == 200
        assert (await first.event(0)).status_code == 200
        assert (await second.get("job")).status_code == 200

        for refused in (
            await first.get("credentials"),
            await first.get("prompt"),
            await first.event(1),
            await first.post("status", {"state": "in_progress", "message": "late", "iteration": 9}),
            await first.post("llm/complete", {"messages": [], "max_tokens": 1}),
            await first.complete(),
        ):
            assert answer(refused) == SUPERSEDED
        assert (await second.event(1)).status_code == 200
        assert (await second.complete()).status_code == 200
        assert [event.data["seq"] for event in server.store.events(worker.id, 0)] == [0, 1]


async def test_earlier_start_that_asks_again_does_not_get_the_job_back() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        first, second = Start(worker, FIRST), Start(worker, SECOND)
        await first.get("job")
        await second.get("job")

        assert answer(await first.get("job")) == SUPERSEDED
        assert (await second.get("job")).status_code == 200
        assert (await second.complete()).status_code == 200


async def test_start_that_never_asked_is_refused_once_another_has_the_job() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        assert (await Start(worker, FIRST).event(0)).status_code == 200
        await Start(worker, SECOND).get("job")
        assert answer(await Start(worker, FIRST).event(1)) == SUPERSEDED


async def test_late_start_is_told_that_it_was_superseded_after_the_job_has_ended() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        first, second = Start(worker, FIRST), Start(worker, SECOND)
        await first.get("job")
        await second.get("job")
        await second.complete()

        assert answer(await first.complete()) == SUPERSEDED
        assert (await second.complete()).status_code == 401
        assert (await Start(worker, THIRD).get("job")).status_code == 401


async def test_start_with_a_wrong_token_is_not_granted_the_job() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        first, stranger = Start(worker, FIRST), Start(worker, SECOND)
        stranger.token = "wrong"
        await first.get("job")

        assert (await stranger.get("job")).status_code == 401
        assert (await first.event(0)).status_code == 200


async def test_worker_without_the_header_is_always_admitted() -> None:
    async with orchestrator() as server:
        worker = await server.new_job()
        await Start(worker, FIRST).get("job")

        assert (await worker.get("job")).status_code == 200
        assert (await Start(worker, FIRST).event(0)).status_code == 200
        assert (await worker.complete()).status_code == 200


@pytest.mark.parametrize("start", ["", "0" * 31, "0" * 33, "x" * 32, "0" * 10_000])
async def test_header_that_identifies_no_start_is_refused(start: str) -> None:
    async with orchestrator() as server:
        response = await Start(await server.new_job(), start).get("job")
        assert response.status_code == 400
        assert START_HEADER in response.text


async def test_starts_of_different_jobs_are_independent() -> None:
    async with orchestrator() as server:
        one, other = await server.new_job(), await server.new_job()
        await Start(one, FIRST).get("job")
        await Start(other, SECOND).get("job")
        assert (await Start(one, FIRST).event(0)).status_code == 200
        assert (await Start(other, FIRST).event(0)).status_code == 409


async def test_restarted_orchestrator_keeps_the_granted_start(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite"
    with Store(database) as store:
        job = store.create_job("fix it", title="Fix")
        store.starts.ask(job.id, FIRST)
        store.starts.ask(job.id, SECOND)
    with Store(database) as store:
        async with serving(make_app(store, NoBackend())) as url, _client(url) as client:
            worker = Worker(client, job.id, job.token)
            assert answer(await Start(worker, FIRST).event(0)) == SUPERSEDED
            assert (await Start(worker, SECOND).event(0)).status_code == 200


def test_event_of_the_granted_start_is_stored_beside_one_of_an_earlier_start_with_its_seq() -> None:
    with Store() as store:
        job = store.create_job("fix it", title="Fix")
        store.add_event(job.id, "status", {"seq": 0, "message": "opened"})
        store.add_event(job.id, "status", {"seq": 1, "message": "of the first start"})
        for _ in range(2):  # delivered at least once
            store.add_event(job.id, "status", {"seq": 0, "message": "opened"})
            store.add_event(job.id, "status", {"seq": 1, "message": "of the second start"})
        messages = [event.data["message"] for event in store.events(job.id, 0)]
        assert messages == ["opened", "of the first start", "of the second start"]


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, trust_env=False)
