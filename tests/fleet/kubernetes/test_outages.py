"""Failures and refusals of the Kubernetes API: what is retried, what is waited for, and what stops the fleet."""

from __future__ import annotations

import ssl
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from support.scripted_kubeapi import API, JOB, Api, failing_between, in_turn, jobs_response, refusal
from trioworker.errors import ConfigError

if TYPE_CHECKING:
    from trio.testing import MockClock

    from support.scripted_kubeapi import Answer
    from trioworker.fleet.kubernetes.api.client import KubernetesClient

FORBIDDEN = 'jobs.batch is forbidden: User "u" cannot list resource "jobs" in API group "batch" in the namespace "jobs"'
QUOTA = 'jobs.batch "trioworker-1" is forbidden: exceeded quota: q, used: count/jobs.batch=1'
HTML = "<html><body>nginx</body></html>"


async def stop_of(client: KubernetesClient) -> tuple[str, float]:
    """Return the error with which a request stops the fleet, and the seconds until it does."""
    started_at = trio.current_time()
    with pytest.raises(ConfigError) as caught:
        await client.jobs(["1"])
    return str(caught.value), trio.current_time() - started_at


async def request_at_once(api: Api, count: int) -> None:
    """Make a request, and a second later many at once."""
    async with api.client() as client:
        await client.jobs(["1"])
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(client.jobs, [str(number)])


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(429, text="Too many requests, please try again later.\n", headers={"Retry-After": "1"}),
        httpx.Response(502, html=HTML),
        httpx.Response(503, html=HTML),
        httpx.Response(500),
        httpx.Response(200, html=HTML),
        httpx.Response(200, content=b'{"kind": "JobList", "items": [{"metadata": {"na'),
        httpx.Response(200, json={}),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.DecodingError("incorrect header check"),
        httpx.Response(404, text="404 page not found\n"),
        httpx.Response(401, text="Unauthorized"),
        refusal(403, "Forbidden", FORBIDDEN),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout(""),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
    ],
    ids=lambda failure: f"{failure!r:.40}",
)
async def test_failure_of_a_second_is_retried_without_a_line(autojump_clock: MockClock, failure: Answer) -> None:
    api = Api(in_turn(failure, jobs_response(1)))
    async with api.client() as client:
        assert [job.metadata.name for job in await client.jobs(["1"])] == ["trioworker-1"]
    assert len(api.requests) == 2
    assert 0.5 <= api.times[1] - api.times[0] <= 2.5
    assert not api.lines


async def test_outage_is_shown_once_and_when_it_is_over(autojump_clock: MockClock) -> None:
    api = Api(failing_between(1, 60, httpx.Response(503, html=HTML)))
    await request_at_once(api, 100)
    assert api.lines == [f"{API} answers 503 (Service Unavailable); waiting", f"{API} answers again"]


async def test_waiting_requests_do_not_overload_an_api_that_fails(autojump_clock: MockClock) -> None:
    api = Api(failing_between(1, 61, httpx.Response(429)))
    api.latency = 0.1
    await request_at_once(api, 200)
    failed = [at for at in api.times if 1 <= at - api.times[0] < 61]
    # At first those under way, then one at a time; the back-off reaches 15 s, with jitter down to a half.
    assert 20 + 5 <= len(failed) <= 20 + 14


async def test_all_requests_wait_for_retry_after(autojump_clock: MockClock) -> None:
    overloaded = httpx.Response(429, headers={"Retry-After": "30"})
    api = Api(in_turn(overloaded, jobs_response(1)))
    async with api.client() as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.jobs, ["1"])
        await trio.sleep(1)
        nursery.start_soon(client.jobs, ["2"])
        nursery.start_soon(client.pods, ["3"])
        await trio.sleep(28)
        assert len(api.requests) == 1
    assert len(api.requests) == 4
    assert api.lines[0] == f"{API} answers 429 (Too Many Requests); waiting"


@pytest.mark.parametrize("days", [0.0001, 1])
async def test_retry_after_may_be_a_date_and_is_bounded(autojump_clock: MockClock, days: float) -> None:
    header = formatdate(time() + days * 86_400, usegmt=True)
    api = Api(in_turn(httpx.Response(429, headers={"Retry-After": header}), jobs_response(1)))
    async with api.client() as client:
        await client.jobs(["1"])
    assert min(days * 86_400, 60) - 2 <= api.times[1] - api.times[0] <= 62


async def test_at_most_20_requests_are_sent_at_a_time(autojump_clock: MockClock) -> None:
    api = Api(in_turn(jobs_response(1)))
    api.latency = 1.0
    async with api.client() as client, trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(client.jobs, [str(number)])
        await trio.sleep(0.5)
        assert len(api.requests) == 20


async def test_unreachable_api_at_the_start_stops_the_fleet(autojump_clock: MockClock) -> None:
    api = Api(in_turn(httpx.ConnectError("All connection attempts failed")))
    async with api.client() as client:
        message, seconds = await stop_of(client)
    reason = "can't be reached (All connection attempts failed)"
    assert message == f"{API} {reason}; check the server in /home/u/.kube/config"
    assert seconds == pytest.approx(30)
    assert api.lines == [f"{API} {reason}; waiting for up to 30 s"]


async def test_program_that_is_not_the_api_stops_the_fleet(autojump_clock: MockClock) -> None:
    api = Api(in_turn(httpx.Response(200, html=HTML)))
    async with api.client() as client:
        message, _ = await stop_of(client)
    assert message == f"{API} answers GET jobs with an unexpected body; check the server in /home/u/.kube/config"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(302, headers={"Location": "/login"}), "answers 302 (Found); check the server in"),
        (refusal(422, "Invalid", "memory: no"), "answers 422 (memory: no); check the server in"),
        (
            httpx.LocalProtocolError("Illegal header value b'Bearer t'"),
            "can't be used: the request has an invalid header",
        ),
        (
            refusal(403, "Forbidden", "a policy denied the request"),
            "answers 403 (a policy denied the request); a cluster policy",
        ),
    ],
)
async def test_final_refusal_stops_the_fleet_at_once(autojump_clock: MockClock, answer: Answer, reason: str) -> None:
    api = Api(in_turn(answer))
    async with api.client() as client:
        message, seconds = await stop_of(client)
    assert message.startswith(f"{API} {reason}")
    assert (len(api.requests), seconds) == (1, 0)


async def test_untrusted_certificate_stops_the_fleet_at_once(autojump_clock: MockClock) -> None:
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.__cause__ = ssl.SSLCertVerificationError()
    error.__cause__.verify_message = "self-signed certificate"
    api = Api(in_turn(error))
    async with api.client() as client:
        message, seconds = await stop_of(client)
    assert message.startswith(
        f"{API} has an untrusted certificate (self-signed certificate); correct the server or its certificate"
    )
    assert seconds == 0


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (refusal(401, "Unauthorized", "Unauthorized"), "log in again, or correct the user in /home/u/.kube/config"),
        (refusal(403, "Forbidden", FORBIDDEN), "grant the permission, or name another namespace with --namespace"),
    ],
)
@pytest.mark.parametrize(("granted", "patience"), [(False, 5), (True, 30)])
async def test_login_and_permissions_are_waited_for_in_case_the_api_was_restarted(
    autojump_clock: MockClock, answer: httpx.Response, remedy: str, granted: bool, patience: float
) -> None:
    api = Api(failing_between(1 if granted else 0, 1_000, answer))
    async with api.client() as client:
        if granted:
            await client.jobs(["1"])
            await trio.sleep(1)
        message, seconds = await stop_of(client)
    text = f"{API} answers {answer.status_code} ({answer.json()['message']})"
    assert message == f"{text}; {remedy}"
    assert seconds == pytest.approx(patience)
    assert api.lines == [f"{text}; waiting for up to {patience} s"]


async def test_quota_is_waited_for_without_limit(autojump_clock: MockClock) -> None:
    created: list[httpx.Request] = []

    def handler(request: httpx.Request) -> Answer:
        if request.method == "GET":
            return jobs_response(1)
        if trio.current_time() < start + 90:
            return refusal(403, "Forbidden", QUOTA)
        created.append(request)
        return httpx.Response(201, json=JOB)

    api, start = Api(handler), trio.current_time()
    async with api.client() as client, trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(client.create_job, JOB)
        await trio.sleep(60)
        refused = len(api.requests)
        # Other requests don't wait.
        before = trio.current_time()
        await client.jobs(["1"])
        assert trio.current_time() == before
    assert len(created) == 30
    # At first those under way, then one every 2.5 to 5 s.
    assert refused <= 20 + 28
    quota = "exceeded quota: q, used: count/jobs.batch=1"
    assert api.lines == [f"{API} answers 403 ({quota}); waiting", f"{API} has room in the quota again"]


async def test_cancelled_request_ends_an_outage_without_a_line(autojump_clock: MockClock) -> None:
    api = Api(failing_between(1, 1_000, httpx.Response(503)))
    async with api.client() as client:
        await client.jobs(["1"])
        await trio.sleep(1)
        with trio.move_on_after(60):
            await client.jobs(["1"])
    assert api.lines == [f"{API} answers 503 (Service Unavailable); waiting"]
