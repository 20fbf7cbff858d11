"""The client's connections on real sockets: kept, closed, cut off and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio
import trio.testing

from support.loopback import Loopback
from support.requests import JOB, connect, post_event
from support.scripted_transport import ScriptedTransport
from trioworker.errors import UnreachableError
from trioworker.worker.client.over_httpx import MAX_CONNECTIONS, POOL_TIMEOUT

if TYPE_CHECKING:
    from trio.testing import MockClock

NON_ASCII = "/ä"
"""A path that selects httpx."""
implementations = pytest.mark.parametrize("path", ["", NON_ASCII], ids=["plain_http", "httpx"])


async def test_given_transport_stays_open_until_the_client_closes(autojump_clock: MockClock) -> None:
    closed: list[int] = []

    class Handed(ScriptedTransport):
        async def aclose(self) -> None:
            closed.append(len(self.arrivals))

    async with connect(Handed(httpx.PoolTimeout("none free"), JOB)) as client:
        await client.job()
        assert closed == []
    assert closed == [2]


@implementations
async def test_connection_is_kept_for_the_next_request(path: str) -> None:
    server = Loopback(JOB.content)
    async with server.running() as url, connect(None, url=url + path) as client:
        for _ in range(3):
            await client.job()
            await post_event(client)
    assert server.requests == 6
    assert server.connections == 1


@implementations
async def test_connection_closed_by_the_server_causes_no_retry(path: str) -> None:
    server = Loopback(JOB.content, "closes")
    async with server.running() as url, connect(None, url=url + path) as client:
        for _ in range(4):
            await client.job()
            # Let the server's end of the connection arrive.
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert client.retries == 0
    assert server.connections == 4


@implementations
async def test_truncated_response_is_retried(path: str) -> None:
    server = Loopback(JOB.content, "cuts")
    async with server.running() as url, connect(None, url=url + path) as client:
        assert (await client.job()).title == "Fix it"
        assert client.retries == 1


@implementations
async def test_refused_connection_is_reported(path: str) -> None:
    async with connect(None, url="http://127.0.0.1:9" + path) as client:
        with pytest.raises(UnreachableError, match=r"GET http://127.0.0.1:9.*/worker/.*/prompt: cannot connect"):
            await client.prompt()


async def test_exhausted_pool_is_replaced(mock_clock: MockClock) -> None:
    mock_clock.rate = 1
    server = Loopback(JOB.content, ignored=MAX_CONNECTIONS)
    async with server.running() as url, connect(None, url=url + NON_ASCII) as client, trio.open_nursery() as nursery:
        for _ in range(MAX_CONNECTIONS):
            nursery.start_soon(client.job)
        while server.requests < MAX_CONNECTIONS:
            await trio.testing.wait_all_tasks_blocked(0.001)
        nursery.start_soon(client.job)
        await trio.testing.wait_all_tasks_blocked(0.001)
        mock_clock.jump(POOL_TIMEOUT)
    assert server.connections > MAX_CONNECTIONS
    assert server.requests == 2 * MAX_CONNECTIONS + 1
