"""Jobs, events and logs that the Kubernetes client requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
import trio

from support.scripted_kubeapi import API, JOB, Api, in_turn, jobs_response, refusal
from trioworker.fleet.kubernetes.api.objects import Job
from trioworker.fleet.kubernetes.api.refusals import RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock


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
