"""Exchanges on real sockets: responses in any pieces, errors, and whether the connection is reused or closed."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from support.scripted_server import LIMIT, OK, Server, ask, received_request, served
from trioworker.errors import BadReplyError
from trioworker.worker.client.exchange import HttpRequest, HttpResponse, TransientError


async def test_request_has_target_headers_and_length() -> None:
    server = Server([OK])
    async with served(server, "/base/worker/1/") as connection:
        assert await connection.exchange(
            HttpRequest("POST", "event", b"{}", {"traceparent": "00-1-2-01"}), LIMIT
        ) == HttpResponse(200, b"hello")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    assert line == "POST /base/worker/1/event HTTP/1.1"
    sent_headers = {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)}
    assert sent_headers.pop("host").startswith("127.0.0.1:")
    assert sent_headers == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": "Bearer t",
        "traceparent": "00-1-2-01",
        "content-type": "application/json",
        "content-length": "2",
    }
    assert body == b"{}"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (OK, HttpResponse(200, b"hello")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", HttpResponse(204, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, HttpResponse(200, b"hello")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            HttpResponse(200, b"hello"),
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", HttpResponse(200, b"hello")),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", HttpResponse(503, b"", 7.0)),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: Identity\r\nContent-Length: 1\r\n\r\nx", HttpResponse(200, b"x")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * LIMIT, HttpResponse(200, b"x" * LIMIT)),
    ],
    ids=["sized", "empty", "interim", "chunked", "until closed", "retry-after", "identity", "at the limit"],
)
async def test_response_is_read_to_its_end(sent: bytes, answer: HttpResponse) -> None:
    async with served(Server([sent])) as connection:
        assert await ask(connection) == answer


@pytest.mark.parametrize(
    ("sent", "error", "said"),
    [
        (b"", TransientError, "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", TransientError, "no HTTP response"),
        (OK[:-1], TransientError, "no HTTP response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", TransientError, "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", TransientError, "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", TransientError, "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000, TransientError, "no HTTP response"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", TransientError, "no HTTP response"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
            BadReplyError,
            "Content-Encoding 'gzip'",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LIMIT + 1), BadReplyError, "over 1000 bytes"),
    ],
    ids=[
        "nothing",
        "half a head",
        "half a body",
        "ssh",
        "size below 0",
        "two sizes",
        "long head",
        "101",
        "compressed",
        "long",
    ],
)
async def test_invalid_response_is_an_error_and_closes_the_connection(
    sent: bytes, error: type[Exception], said: str
) -> None:
    server = Server([sent], [OK])
    async with served(server) as connection:
        with pytest.raises(error, match=said) as caught:
            await ask(connection)
        assert getattr(caught.value, "sent", True)
        assert await ask(connection) == HttpResponse(200, b"hello")
    assert server.connections == 2


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 120), max_size=8))
def test_response_may_arrive_in_any_pieces(cuts: list[int]) -> None:
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    edges = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(edges)]

    async def serve(stream: trio.SocketStream) -> None:
        await received_request(stream)
        for piece in pieces:
            await stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()

    async def main() -> HttpResponse:
        server = Server()
        server.serve = serve
        async with served(server) as connection:
            return await ask(connection)

    assert trio.run(main) == HttpResponse(200, b"hello")


async def test_connection_with_unexpected_bytes_is_not_reused() -> None:
    server = Server([OK, OK, OK + b"more"], [OK])
    async with served(server) as connection:
        for _ in range(4):
            assert await ask(connection) == HttpResponse(200, b"hello")
    assert server.connections == 2


@pytest.mark.parametrize("announced", [True, False])
async def test_connection_closed_between_exchanges_causes_no_failure(announced: bool) -> None:
    answer = OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if announced else OK
    server = Server([answer], [answer])
    async with served(server) as connection:
        for _ in range(2):
            await ask(connection)
            # Let the server's end of the connection arrive.
            await trio.testing.wait_all_tasks_blocked(0.01)
    assert server.connections == 2


async def test_concurrent_requests_do_not_wait_for_each_other() -> None:
    server = Server([None], [OK], [OK])
    async with served(server) as connection, trio.open_nursery() as nursery:
        nursery.start_soon(ask, connection)
        while server.connections < 1:
            await trio.testing.wait_all_tasks_blocked(0.001)
        nursery.start_soon(ask, connection)
        assert await ask(connection) == HttpResponse(200, b"hello")
        nursery.cancel_scope.cancel()


async def test_cancel_during_an_exchange_closes_the_connection() -> None:
    server = Server([None], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", None], [OK])
    async with served(server) as connection:
        descriptors = len(os.listdir("/proc/self/fd"))
        for asked in (1, 2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, connection)
                while len(server.requests) < asked:
                    await trio.testing.wait_all_tasks_blocked(0.001)
                await trio.testing.wait_all_tasks_blocked(0.001)
                nursery.cancel_scope.cancel()
            while server.open:
                await trio.testing.wait_all_tasks_blocked(0.001)
            assert len(os.listdir("/proc/self/fd")) == descriptors
        assert await ask(connection) == HttpResponse(200, b"hello")
