"""Requests on real sockets: when one counts as sent, and servers that answer before they have read all of it."""

from __future__ import annotations

import os
from functools import partial

import pytest
import trio
import trio.testing

from support.scripted_server import LIMIT, OK, Server, ask, served
from trioworker.worker.client.connection import open_connection
from trioworker.worker.client.exchange import HttpRequest, HttpResponse, TransientError

HUGE = 8 * 1024 * 1024
"""Bytes of a request that exceeds the socket buffers of both ends."""


async def test_refusal_before_the_whole_request_was_read_is_returned() -> None:
    server = Server([b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"])

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some(100)
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        # Reading a little more keeps the kernel from discarding the response with a reset.
        with trio.move_on_after(0.05):
            while await stream.receive_some(65536):
                pass

    server.serve = refuse
    async with served(server) as connection:
        assert await connection.exchange(HttpRequest("POST", "event", bytes(HUGE)), LIMIT) == HttpResponse(413, b"big")


async def test_refusal_is_returned_while_the_server_stops_reading() -> None:
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
    server = Server([refusal, None], [OK])
    stuck = True

    async def refuse(stream: trio.SocketStream) -> None:
        nonlocal stuck
        server.connections += 1
        await stream.receive_some(100)
        await stream.send_all(refusal if stuck else OK)
        if stuck:
            stuck = False
            await trio.sleep_forever()

    server.serve = refuse
    async with served(server) as connection:
        assert await connection.exchange(HttpRequest("POST", "event", bytes(HUGE)), LIMIT) == HttpResponse(401, b"no")
        # The rest of the request was never sent, so no other may follow it on that connection.
        assert await ask(connection) == HttpResponse(200, b"hello")
    assert server.connections == 2


async def test_cancel_while_a_long_body_is_sent_closes_the_connection() -> None:
    arrived = 0

    async def stall(stream: trio.SocketStream) -> None:
        nonlocal arrived
        arrived += len(await stream.receive_some(100))
        await trio.sleep_forever()

    server = Server()
    server.serve = stall
    async with served(server) as connection:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(connection.exchange, HttpRequest("POST", "event", bytes(HUGE)), LIMIT))
            while not arrived:
                await trio.testing.wait_all_tasks_blocked(0.001)
            descriptors = len(os.listdir("/proc/self/fd"))
            nursery.cancel_scope.cancel()
        assert len(os.listdir("/proc/self/fd")) == descriptors - 1


async def test_long_body_arrives_whole() -> None:
    arrived = 0

    async def count(stream: trio.SocketStream) -> None:
        nonlocal arrived
        while arrived < HUGE:
            arrived += len(await stream.receive_some(1 << 20))
        await stream.send_all(OK)

    server = Server()
    server.serve = count
    async with served(server) as connection:
        assert await connection.exchange(HttpRequest("POST", "event", bytes(HUGE)), LIMIT) == HttpResponse(
            200, b"hello"
        )


async def test_refused_connection_does_not_count_as_sent() -> None:
    connection = open_connection("http://127.0.0.1:9/worker/1/", {})
    sent: list[bool] = []
    with pytest.raises(TransientError, match=r"cannot connect: .*refused"):
        await ask(connection, b"{}", lambda: sent.append(True))
    assert not sent


async def test_body_counts_as_sent_once() -> None:
    sent: list[int] = []
    server = Server([OK])
    async with served(server) as connection:
        await ask(connection, b"{}", lambda: sent.append(len(server.requests)))
    assert len(sent) == 1
