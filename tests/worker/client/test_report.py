"""The report of the outcome: whether it may have arrived, and whether an answer is still expected.

The orchestrator revokes the token and stops the worker before it answers. A refusal, or SIGTERM, therefore means that
the report arrived, but only if its body was sent.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import trio
import trio.testing

from support.loopback import Loopback
from support.requests import REPORT, connect, send_report
from support.scripted_transport import ScriptedTransport, drip, hang, status
from support.tcp_server import tcp_server
from trioworker.errors import RefusedError
from trioworker.worker.cancellation import ReportDelivery
from trioworker.worker.client.retries import BACKOFF_FIRST

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock


@pytest.mark.parametrize("refusal", [401, 404])
@pytest.mark.parametrize(
    "first", [httpx.ReadError("reset"), hang, drip, status(502)], ids=["reset", "hang", "drip", "502"]
)
async def test_refusal_after_an_attempt_that_may_have_arrived_is_success(
    first: Any, refusal: int, autojump_clock: MockClock
) -> None:
    transport = ScriptedTransport(first, status(refusal))
    async with connect(transport) as client:
        await send_report(client)
    assert len(transport.arrivals) == 2


@pytest.mark.parametrize("refusal", [401, 404])
@pytest.mark.parametrize(
    "before",
    [(), (httpx.ConnectError("refused"),), (httpx.ConnectTimeout("slow"),), (httpx.PoolTimeout("none free"),)],
    ids=["at once", "after a refused connection", "after a slow connection", "after waiting for a connection"],
)
async def test_refusal_without_an_earlier_attempt_that_was_sent_is_an_error(
    before: tuple[Exception, ...], refusal: int, autojump_clock: MockClock
) -> None:
    async with connect(ScriptedTransport(*before, status(refusal))) as client:
        with pytest.raises(RefusedError) as caught:
            await send_report(client)
    assert caught.value.status == refusal


async def test_other_refusal_after_an_attempt_that_may_have_arrived_is_an_error(autojump_clock: MockClock) -> None:
    async with connect(ScriptedTransport(httpx.ReadError("reset"), status(403))) as client:
        with pytest.raises(RefusedError):
            await send_report(client)


async def test_delivery_remembers_the_attempts_of_a_cancelled_report(autojump_clock: MockClock) -> None:
    delivery = ReportDelivery()
    async with connect(ScriptedTransport(hang, status(401))) as client:
        with trio.move_on_after(1):
            await client.report(REPORT, delivery)
        assert delivery.may_have_arrived
        await client.report(REPORT, delivery)


async def test_delivery_awaits_an_answer_from_the_sent_body_to_the_end_of_the_attempt(
    autojump_clock: MockClock,
) -> None:
    delivery = ReportDelivery()
    seen: list[bool] = []

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(delivery.awaits_answer)
            await request.aread()
            seen.append(delivery.awaits_answer)
            return status(503, Retry_After="5") if len(seen) == 2 else status(200)

    async with connect(Slow()) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.report, REPORT, delivery)
        await trio.sleep(3)
        seen.append(delivery.awaits_answer)
    assert seen == [False, True, False, False, True]
    assert not delivery.awaits_answer


async def test_report_may_take_as_long_as_the_container_takes_to_stop(autojump_clock: MockClock) -> None:
    async def slow(_: httpx.Request) -> httpx.Response:
        await trio.sleep(14)
        return status(200)

    transport = ScriptedTransport(slow)
    async with connect(transport) as client:
        await send_report(client)
    assert len(transport.arrivals) == 1


# On real sockets

HUGE = 8 * 1024 * 1024
"""Bytes of a report that exceeds the socket buffers of both ends."""


@asynccontextmanager
async def reporting(url: str, delivery: ReportDelivery, *, message: str = "done") -> AsyncGenerator[None]:
    """Send a report in the background, and cancel it at the end of the block. The clock never reaches a time-out."""
    report = msgspec.structs.replace(REPORT, message=message)
    async with connect(None, url=url) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.report, report, delivery)
        await trio.testing.wait_all_tasks_blocked(0.01)
        yield
        nursery.cancel_scope.cancel()


async def test_delivery_awaits_no_answer_while_connecting(mock_clock: MockClock) -> None:
    delivery = ReportDelivery()
    # The kernel drops connection requests while the backlog is full.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, socket.create_connection(deaf.getsockname()):
        async with reporting(f"http://127.0.0.1:{deaf.getsockname()[1]}", delivery):
            assert not delivery.awaits_answer
    assert not delivery.awaits_answer
    assert not delivery.may_have_arrived


async def test_delivery_awaits_no_answer_after_a_refused_connection(mock_clock: MockClock) -> None:
    delivery = ReportDelivery()
    async with reporting("http://127.0.0.1:9", delivery):
        assert not delivery.awaits_answer
    assert not delivery.may_have_arrived


async def test_delivery_awaits_no_answer_while_the_body_is_being_sent(mock_clock: MockClock) -> None:
    delivery = ReportDelivery()
    reads = trio.Event()
    finished = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        arrived = len(await stream.receive_some(100))
        if not reads.is_set():
            # Stop reading, until the client closes the connection.
            await trio.sleep_forever()
        while arrived < HUGE:
            arrived += len(await stream.receive_some(1 << 20))
        finished.set()
        await trio.sleep_forever()

    async with tcp_server(serve) as port:
        url = f"http://127.0.0.1:{port}"
        async with reporting(url, delivery, message="x" * HUGE):
            assert not delivery.awaits_answer
        assert not delivery.may_have_arrived

        reads.set()
        async with reporting(url, delivery, message="x" * HUGE):
            await finished.wait()
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert delivery.awaits_answer
        assert delivery.may_have_arrived


async def test_delivery_awaits_an_answer_once_the_server_has_the_report(mock_clock: MockClock) -> None:
    delivery = ReportDelivery()
    server = Loopback(b"{}", ignored=1)
    async with server.running() as url, reporting(url, delivery):
        while server.requests < 1:
            await trio.testing.wait_all_tasks_blocked(0.001)
        assert delivery.awaits_answer
        assert not delivery.may_have_arrived
    assert not delivery.awaits_answer
    assert delivery.may_have_arrived


async def test_delivery_awaits_no_answer_while_a_retry_is_connecting(mock_clock: MockClock) -> None:
    delivery = ReportDelivery()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        async with connect(None, url=url) as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.report, REPORT, delivery)
            first = await trio.to_thread.run_sync(lambda: server.accept()[0])
            with first, socket.create_connection(server.getsockname()):
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert delivery.awaits_answer
                # The backlog is full now, so the retry will wait for its connection.
                first.close()
                while not delivery.may_have_arrived:
                    await trio.testing.wait_all_tasks_blocked(0.001)
                mock_clock.jump(BACKOFF_FIRST)
                while client.retries < 1:
                    await trio.testing.wait_all_tasks_blocked(0.001)
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert not delivery.awaits_answer
                nursery.cancel_scope.cancel()
