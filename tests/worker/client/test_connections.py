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

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_given_transport_stays_open_until_the_client_closes(autojump_clock: MockClock) -> None:
    closed: list[int] = []

    class Handed(ScriptedTransport):
        async def aclose(self) -> None:
            closed.append(len(self.arrivals))

    async with connect(Handed(httpx.PoolTimeout("none free"), JOB)) as client:
        await client.job()
        assert closed == []
    assert closed == [2]


async def test_connection_is_kept_for_the_next_request() -> None:
    server = Loopback(JOB.content)
    async with server.running() as url, connect(None, url=url) as client:
        for _ in range(3):
            await client.job()
            await post_event(client)
    assert server.requests == 6
    assert server.connections == 1


async def test_connection_closed_by_the_server_causes_no_retry() -> None:
    server = Loopback(JOB.content, "closes")
    async with server.running() as url, connect(None, url=url) as client:
        for _ in range(4):
            await client.job()
            # Let the server's end of the connection arrive.
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert client.retries == 0
    assert server.connections == 4


async def test_truncated_response_is_retried() -> None:
    server = Loopback(JOB.content, "cuts")
    async with server.running() as url, connect(None, url=url) as client:
        assert (await client.job()).title == "Fix it"
        assert client.retries == 1


async def test_refused_connection_is_reported() -> None:
    async with connect(None, url="http://127.0.0.1:9") as client:
        with pytest.raises(UnreachableError, match=r"GET http://127.0.0.1:9.*/worker/.*/prompt: cannot connect"):
            await client.prompt()
