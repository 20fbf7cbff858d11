"""Retries, outages and lists of the Kubernetes client, in virtual time."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
import trio

from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.api.client import KubernetesClient
from trioworker.fleet.kubernetes.api.objects import Job
from trioworker.fleet.kubernetes.api.refusals import RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from trio.testing import MockClock

    Answer = httpx.Response | Exception
    Handler = Callable[[httpx.Request], Answer]

JOB = {"kind": "Job", "metadata": {"name": "trioworker-1", "uid": "u-1"}}
FORBIDDEN = 'jobs.batch is forbidden: User "u" cannot list resource "jobs" in API group "batch" in the namespace "jobs"'
QUOTA = 'jobs.batch "trioworker-1" is forbidden: exceeded quota: q, used: count/jobs.batch=1'
HTML = "<html><body>nginx</body></html>"
API = "the Kubernetes API at http://kubernetes.test"


def refusal(code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return httpx.Response(code, json=body, headers=headers)


def jobs_response(count: int = 0, **metadata: str) -> httpx.Response:
    return httpx.Response(200, json={"kind": "JobList", "metadata": metadata, "items": [JOB] * count})


class Api:
    """Answers with a handler's responses, and records the requests, their times, and the lines that are shown."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []
        self.lines: list[str] = []
        self.latency = 0.0

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[KubernetesClient]:
        transport = httpx.MockTransport(self._answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://kubernetes.test") as http:
            yield KubernetesClient(http, "jobs", self.lines.append, "/home/u/.kube/config")

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.times.append(trio.current_time())
        await trio.sleep(self.latency)
        answer = self.handler(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


def in_turn(*answers: Answer) -> Handler:
    """Return a handler of these answers, the last of which repeats."""
    left = list(answers)

    def handler(request: httpx.Request) -> Answer:
        answer = left.pop(0) if len(left) > 1 else left[0]
        # A response object can be sent once.
        return (
            answer
            if isinstance(answer, Exception)
            else httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        )

    return handler


def failing_between(start: float, end: float, failure: Answer) -> Handler:
    """Return a handler that answers with a failure from `start` to `end`, in seconds from now."""
    now = trio.current_time()
    failing, working = in_turn(failure), in_turn(jobs_response(1))
    return lambda request: (failing if now + start <= trio.current_time() < now + end else working)(request)


async def stop_of(client: KubernetesClient) -> tuple[str, float]:
    """Return the error with which a request stops the fleet, and the seconds until it does."""
    started_at = trio.current_time()
    with pytest.raises(ConfigError) as caught:
        await client.jobs(["1"])
    return str(caught.value), trio.current_time() - started_at


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
    async with api.client() as client:
        await client.jobs(["1"])
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(client.jobs, [str(number)])
    assert api.lines == [f"{API} answers 503 (Service Unavailable); waiting", f"{API} answers again"]


async def test_waiting_requests_do_not_overload_an_api_that_fails(autojump_clock: MockClock) -> None:
    api = Api(failing_between(1, 61, httpx.Response(429)))
    api.latency = 0.1
    async with api.client() as client:
        await client.jobs(["1"])
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(client.jobs, [str(number)])
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


async def test_warnings_of_the_api_are_shown_once(autojump_clock: MockClock) -> None:
    headers = [("Warning", r'299 - "would violate PodSecurity \"restricted:latest\": runAsNonRoot != true"')]
    response = httpx.Response(201, json=JOB, headers=[*headers, ("Warning", '299 - "batch/v0 is deprecated"')])
    api = Api(in_turn(response))
    async with api.client() as client:
        await client.create_job({})
        await client.create_job({})
    assert api.lines == [
        f'{API} warns: would violate PodSecurity "restricted:latest": runAsNonRoot != true',
        f"{API} warns: batch/v0 is deprecated",
    ]


async def test_existing_object_is_refused_after_a_lost_answer(autojump_clock: MockClock) -> None:
    api = Api(in_turn(httpx.ReadError(""), refusal(409, "AlreadyExists", 'jobs.batch "trioworker-1" already exists')))
    async with api.client() as client:
        with pytest.raises(RequestRefusedError, match="already exists") as caught:
            await client.create_job({})
    assert caught.value.status == 409


async def test_missing_objects_are_no_error(autojump_clock: MockClock) -> None:
    api = Api(in_turn(refusal(404, "NotFound", 'jobs.batch "trioworker-1" not found')))
    async with api.client() as client:
        assert await client.job("trioworker-1") is None
        assert await client.secret("trioworker-1") is None
        assert await client.last_lines("trioworker-1-x", 20) == b""
        await client.delete_job(msgspec.convert(JOB, Job))


async def test_jobs_are_listed_by_at_most_100_ids(autojump_clock: MockClock) -> None:
    api = Api(in_turn(jobs_response()))
    async with api.client() as client:
        await client.jobs([f"{number:036}" for number in range(250)])
    selectors = [request.url.params["labelSelector"] for request in api.requests]
    assert [selector.count(",") for selector in selectors] == [100, 100, 50]
    assert all(len(str(request.url)) < 6_000 for request in api.requests)


async def test_no_request_without_jobs(autojump_clock: MockClock) -> None:
    api = Api(in_turn(jobs_response()))
    async with api.client() as client:
        assert await client.jobs([]) == []
    assert not api.requests


async def test_list_is_continued(autojump_clock: MockClock) -> None:
    api = Api(in_turn(jobs_response(500, **{"continue": "more"}), jobs_response(3)))
    async with api.client() as client:
        assert len(await client.jobs(["1"])) == 503
    assert [request.url.params.get("continue") for request in api.requests] == [None, "more"]


async def test_list_whose_continuation_has_expired_starts_again(autojump_clock: MockClock) -> None:
    expired = refusal(410, "Expired", "The provided continue parameter is too old")
    api = Api(in_turn(jobs_response(500, **{"continue": "more"}), expired, jobs_response(503)))
    async with api.client() as client:
        assert len(await client.jobs(["1"])) == 503
    assert "limit" not in api.requests[-1].url.params


async def test_list_that_always_expires_is_requested_once_a_second(autojump_clock: MockClock) -> None:
    api = Api(in_turn(refusal(410, "Expired", "The provided continue parameter is too old")))
    async with api.client() as client:
        with trio.move_on_after(9.5):
            await client.jobs(["1"])
    assert len(api.requests) == 10


async def test_events_are_those_of_a_kind_or_of_one_object(autojump_clock: MockClock) -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Job", "name": "trioworker-1", "uid": "u-1"},
        "reason": "FailedCreate",
        "message": "Error creating: pods is forbidden",
        "lastTimestamp": "2026-11-26T16:49:25Z",
        "eventTime": None,
    }
    api = Api(in_turn(httpx.Response(200, json={"kind": "EventList", "metadata": {}, "items": [event]})))
    async with api.client() as client:
        (found,) = await client.events("Job")
        await client.events("Pod", "trioworker-1-x")
    assert (found.reason, found.time, found.involved_object.uid) == ("FailedCreate", "2026-11-26T16:49:25Z", "u-1")
    assert [request.url.params["fieldSelector"] for request in api.requests] == [
        "type=Warning,involvedObject.kind=Job",
        "type=Warning,involvedObject.kind=Pod,involvedObject.name=trioworker-1-x",
    ]


async def test_events_are_empty_without_the_permission_to_list_them(autojump_clock: MockClock) -> None:
    api = Api(in_turn(refusal(403, "Forbidden", 'events is forbidden: User "u" cannot list resource "events"')))
    async with api.client() as client:
        for _ in range(10):
            assert await client.events("Job") == []
        assert len(api.requests) == 1
        # An API server that was restarted grants it soon.
        await trio.sleep(60)
        await client.events("Job")
    assert len(api.requests) == 2
    assert not api.lines


async def test_log_of_a_node_that_is_gone_is_empty(autojump_clock: MockClock) -> None:
    message = 'Get "https://10.0.0.7:10250/containerLogs/jobs/x/worker": dial tcp 10.0.0.7:10250: connection refused'
    api = Api(in_turn(refusal(500, "", message)))
    async with api.client() as client:
        assert await client.last_lines("x", 20) == b""
    assert len(api.requests) == 1


async def test_log_is_followed_to_its_end_and_after_a_line(autojump_clock: MockClock) -> None:
    first, second = "2026-11-26T16:49:25.000000001Z", "2026-11-26T16:49:25.000000002Z"
    api = Api(in_turn(httpx.Response(503), httpx.Response(200, text=f"{first} one\n{second} two\n")))
    async with api.client() as client:
        async with client.follow_log("x") as lines:
            assert [line.text async for line in lines] == [b"one\n", b"two\n"]
        async with client.follow_log("x", since=first) as lines:
            assert [line async for line in lines] == [(second, b"two\n")]
    assert api.requests[-1].url.params["sinceTime"] == first


async def test_followed_log_ends_where_the_connection_fails(autojump_clock: MockClock) -> None:
    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncGenerator[bytes]:
            yield b"one\ntw"
            raise httpx.ReadError("reset")

    api = Api(lambda _: httpx.Response(200, stream=Broken()))
    async with api.client() as client, client.follow_log("x") as lines:
        assert [line.text async for line in lines] == [b"one\n", b"tw"]


async def test_log_of_a_container_that_has_not_started_is_refused(autojump_clock: MockClock) -> None:
    api = Api(in_turn(refusal(400, "BadRequest", 'container "worker" in pod "x" is waiting to start')))
    async with api.client() as client:
        with pytest.raises(RequestRefusedError, match="waiting to start"):
            async with client.follow_log("x"):
                pass
