"""What the fleet asks the orchestrator about a job whose worker was lost, and who gets the secret."""

from __future__ import annotations

import httpx
import pytest

from trioworker.fleet.engine import Attempt
from trioworker.fleet.job_status import HttpJobStatusClient
from trioworker.fleet.jobs import FleetJob

ORCHESTRATOR = "http://127.0.0.1:50051"
SECRET = "secret-of-the-orchestrator"
REPORT = {"state": "failed", "report": {"success": False, "message": "no way", "iterations": 3}}


def job(url: str = ORCHESTRATOR) -> FleetJob:
    return FleetJob(job_id="job", token="token-of-the-job", orchestrator_url=url, workspace=None, worker_options=())


class Requests:
    """The requests of a client, each answered by `answers`, with 401 by default."""

    def __init__(self, **answers: httpx.Response) -> None:
        self.answers = answers
        self.seen: list[tuple[str, str]] = []
        self.servers: list[str] = []
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.servers.append(str(request.url.copy_with(path="")).rstrip("/"))
        self.seen.append((request.url.path, request.headers["authorization"]))
        return self.answers.get(request.url.path.split("/")[1], httpx.Response(401))


async def test_the_secret_gets_the_report() -> None:
    requests = Requests(jobs=httpx.Response(200, json=REPORT))
    client = HttpJobStatusClient(requests.client, (f"{ORCHESTRATOR}/", SECRET))
    assert await client.fetch_outcome(job()) == Attempt(exit_code=1, status="failed", success=False, message="no way")
    assert requests.seen == [("/jobs/job", f"Bearer {SECRET}")]


async def test_the_fleet_reaches_the_orchestrator_at_another_url_than_the_workers() -> None:
    requests = Requests(jobs=httpx.Response(200, json=REPORT))
    client = HttpJobStatusClient(requests.client, (ORCHESTRATOR, SECRET))
    outcome = await client.fetch_outcome(job("http://orchestrator.jobs.svc:50051"))
    assert outcome == Attempt(exit_code=1, status="failed", success=False, message="no way")


@pytest.mark.parametrize("url", ["http://127.0.0.1:50052", "http://other.test"])
async def test_no_other_orchestrator_gets_the_secret(url: str) -> None:
    requests = Requests(jobs=httpx.Response(404))
    client = HttpJobStatusClient(requests.client, (ORCHESTRATOR, SECRET))
    assert await client.fetch_outcome(job(url)) == "revoked"
    assert requests.seen == [("/jobs/job", f"Bearer {SECRET}"), ("/worker/job/job", "Bearer token-of-the-job")]
    assert requests.servers == [ORCHESTRATOR, url]


async def test_a_job_that_the_orchestrator_does_not_know_was_not_reported() -> None:
    requests = Requests(jobs=httpx.Response(404), worker=httpx.Response(404))
    assert await HttpJobStatusClient(requests.client, (ORCHESTRATOR, SECRET)).fetch_outcome(job()) is None


@pytest.mark.parametrize("admin", [None, (ORCHESTRATOR, "wrong-secret")])
async def test_without_the_secret_the_jobs_token_is_tried(admin: tuple[str, str] | None) -> None:
    requests = Requests(worker=httpx.Response(200, json={}))
    assert await HttpJobStatusClient(requests.client, admin).fetch_outcome(job()) is None
    assert requests.seen[-1] == ("/worker/job/job", "Bearer token-of-the-job")


async def test_a_wrong_secret_is_one_line_however_many_jobs_are_looked_up(capsys: pytest.CaptureFixture[str]) -> None:
    requests = Requests()
    client = HttpJobStatusClient(requests.client, (ORCHESTRATOR, "wrong-secret"))
    for _ in range(3):
        await client.fetch_outcome(job())

    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"trioworker: {ORCHESTRATOR}: the orchestrator's secret is wrong, so ended jobs can't be looked up; correct it"
    )


async def test_an_orchestrator_that_cannot_be_reached_is_one_line_per_outage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reachable = False

    def answer(request: httpx.Request) -> httpx.Response:
        if not reachable:
            raise httpx.ConnectError("All connection attempts failed")
        return httpx.Response(200, json=REPORT)

    client = HttpJobStatusClient(httpx.AsyncClient(transport=httpx.MockTransport(answer)), (ORCHESTRATOR, SECRET))
    for reachable in (False, False, True, False):
        assert (await client.fetch_outcome(job()) == "unanswered") == (not reachable)
    line = f"trioworker: {ORCHESTRATOR}: ended jobs can't be looked up: All connection attempts failed"
    assert capsys.readouterr().err.splitlines() == [line] * 2


PAGE, DEEP = httpx.Response(200, html="<html>Log in</html>"), httpx.Response(200, text='{"a": ' * 100_000)


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.Response(429), PAGE, DEEP])
async def test_an_orchestrator_that_is_overloaded_does_not_answer(answer: httpx.Response) -> None:
    requests = Requests(jobs=answer, worker=answer)
    assert await HttpJobStatusClient(requests.client, (ORCHESTRATOR, SECRET)).fetch_outcome(job()) == "unanswered"


async def test_an_orchestrator_that_is_down_does_not_answer() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as client:
        assert await HttpJobStatusClient(client).fetch_outcome(job()) == "unanswered"
