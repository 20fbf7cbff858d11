"""Retries: which failures are transient, the pauses between attempts, and the limits of each request."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from support.identity import JOB_ID, TOKEN, URL
from support.requests import JOB, Longest, Request, ask_for_text, ask_with_tools, connect, post_event, send_report
from support.scripted_transport import ScriptedTransport, drip, hang, status
from trioworker.errors import RefusedError, UnreachableError
from trioworker.worker.client.orchestrator_client import OrchestratorClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

TRANSIENT = [
    *(status(code) for code in (408, 425, 429, 500, 502, 503, 504, 599)),
    httpx.ReadError("reset"),
    httpx.WriteError("broken pipe"),
    httpx.ConnectError("refused"),
    httpx.RemoteProtocolError("disconnected"),
    httpx.PoolTimeout("none free"),
    httpx.ConnectTimeout("slow"),
]


@pytest.mark.parametrize("failure", TRANSIENT, ids=repr)
async def test_transient_failure_is_retried(failure: httpx.Response | Exception, autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(failure, failure, JOB)
    async with connect(transport) as client:
        assert (await client.job()).title == "Fix it"
        assert client.retries == 2
    assert len(transport.arrivals) == 3


@pytest.mark.parametrize("code", [301, 302, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 422])
async def test_refusal_is_final_at_once(code: int, autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(status(code, b"<html>\n go away </html>", Location="http://elsewhere.test/"))
    async with connect(transport) as client:
        with pytest.raises(RefusedError) as caught:
            await client.job()
        assert client.retries == 0
    assert caught.value.status == code
    assert str(caught.value) == f"GET {URL}/worker/{JOB_ID}/job: answered {code}: <html> go away </html>"
    assert TOKEN not in str(caught.value)
    assert len(transport.arrivals) == 1
    assert trio.current_time() - transport.arrivals[0].at < 1


async def test_pauses_double_up_to_five_seconds(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(status(503))
    async with connect(transport, rng=Longest()) as client:
        with pytest.raises(UnreachableError):
            await client.job()
    assert transport.pauses[:8] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


async def test_pauses_have_full_jitter(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(status(503))
    async with connect(transport) as client:
        with pytest.raises(UnreachableError):
            await client.job()
    longest = [min(5.0, 0.1 * 2**n) for n in range(len(transport.pauses))]
    shares = [pause / bound for pause, bound in zip(transport.pauses, longest, strict=True)]
    assert all(0 <= share <= 1.001 for share in shares)
    assert min(shares) < 0.3
    assert max(shares) > 0.7


async def test_retry_after_in_seconds_is_honoured(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(status(429, Retry_After="7"), status(503, Retry_After=" 2 "), JOB)
    async with connect(transport) as client:
        await client.job()
    assert [int(pause) for pause in transport.pauses] == [7, 2]


async def test_retry_after_as_a_date_is_honoured(autojump_clock: MockClock) -> None:
    date = formatdate(time.time() + 30, usegmt=True)
    transport = ScriptedTransport(status(503, Retry_After=date), JOB)
    async with connect(transport) as client:
        await client.job()
    assert 25 < transport.pauses[0] <= 30


@pytest.mark.parametrize(
    "value", ["soon", "-5", "", "1.5", "\u00b2", "Thu, 99 Foo 2026 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"]
)
async def test_invalid_or_past_retry_after_is_ignored(value: str, autojump_clock: MockClock) -> None:
    response = httpx.Response(503, headers=[(b"retry-after", value.encode())])
    transport = ScriptedTransport(response, response, JOB)
    async with connect(transport, rng=Longest()) as client:
        await client.job()
    assert transport.pauses == pytest.approx([0.1, 0.2])


async def test_retry_after_zero_still_backs_off(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(status(503, Retry_After="0"))
    async with connect(transport, rng=Longest()) as client:
        with pytest.raises(UnreachableError):
            await client.job()
    assert len(transport.arrivals) < 30


async def test_retry_after_over_the_limit_ends_the_request_at_the_limit(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(status(503, b"down for the day", Retry_After="86400"))
    start = trio.current_time()
    async with connect(transport) as client:
        with pytest.raises(UnreachableError, match="answered 503: down for the day"):
            await client.job()
    assert trio.current_time() - start == pytest.approx(60)


@pytest.mark.parametrize("answer", [hang, drip], ids=["no answer", "a body without end"])
async def test_attempt_without_a_complete_response_times_out_and_is_retried(
    answer: Callable[[httpx.Request], Awaitable[httpx.Response]], autojump_clock: MockClock
) -> None:
    transport = ScriptedTransport(answer, JOB)
    async with connect(transport, rng=Longest()) as client:
        await client.job()
    assert transport.pauses == pytest.approx([15.1])


@pytest.mark.parametrize(
    ("request_", "seconds"),
    [
        (OrchestratorClient.job, 60),
        (OrchestratorClient.credentials, 60),
        (OrchestratorClient.prompt, 10),
        (ask_for_text, 590),
        (ask_with_tools, 590),
        (post_event, 300),
        (send_report, 60),
    ],
)
@pytest.mark.parametrize("answer", [hang, drip, status(503)], ids=["hang", "drip", "503"])
async def test_request_ends_within_its_limit(
    request_: Request, seconds: float, answer: Any, autojump_clock: MockClock
) -> None:
    async with connect(ScriptedTransport(answer)) as client:
        with pytest.raises(UnreachableError) as caught:
            await request_(client)
    assert trio.current_time() <= seconds + 0.01
    message = str(caught.value)
    assert f"{URL}/worker/{JOB_ID}/" in message
    assert "is the orchestrator up and its URL right?" in message
    assert "\n" not in message


async def test_poll_is_not_retried(autojump_clock: MockClock) -> None:
    transport = ScriptedTransport(status(503), status(204))
    async with connect(transport) as client:
        with pytest.raises(UnreachableError):
            await client.prompt()
        assert client.retries == 0
        assert await client.prompt() is None


async def test_request_can_be_cancelled(autojump_clock: MockClock) -> None:
    async with connect(ScriptedTransport(hang)) as client:
        with trio.move_on_after(3) as scope:
            await client.job()
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(3)
