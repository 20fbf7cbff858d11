"""Opening connections on real sockets: addresses, time-outs and errors."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from support.loopback import Loopback
from trioworker.errors import OrchestratorError
from trioworker.worker.client.connecting import NEXT_ADDRESS_DELAY
from trioworker.worker.client.connection import open_connection
from trioworker.worker.client.exchange import CONNECT_TIMEOUT, HttpRequest, HttpResponse, TransientError
from trioworker.worker.client.over_sockets import SocketConnection

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trioworker.worker.client.name_lookup import Address

GET = HttpRequest("GET", "job")
OK = HttpResponse(200, b"{}")
LIMIT = 1000
INVALID_ADDRESS: Address = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 9, 0, 0))


def address(port: int) -> Address:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))


async def jump_when_blocked(clock: MockClock, seconds: float) -> None:
    await trio.testing.wait_all_tasks_blocked(0.05)
    clock.jump(seconds)


async def test_unknown_host_is_a_transient_error() -> None:
    connection = open_connection("http://no-such-host.invalid/worker/1/", {})
    with pytest.raises(TransientError, match=r"cannot look up no-such-host\.invalid: "):
        await connection.exchange(GET, LIMIT)


async def test_invalid_header_is_an_error() -> None:
    connection = open_connection("http://127.0.0.1:9/worker/1/", {"Authorization": "Bearer a\nb"})
    with pytest.raises(OrchestratorError, match=r"GET http://127\.0\.0\.1:9/worker/1/job: "):
        await connection.exchange(GET, LIMIT)


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "."], ids=["empty label", "long label", "dot"])
async def test_invalid_host_name_is_an_error(host: str) -> None:
    connection = open_connection(f"http://{host}/worker/1/", {})
    with pytest.raises(OrchestratorError, match=f"GET http://{host}/worker/1/job: .*label"):
        await connection.exchange(GET, LIMIT)


@pytest.mark.parametrize("host", ["127.0.0.1:99999", "[1::2::3]"])
def test_invalid_address_is_an_error_at_once(host: str) -> None:
    with pytest.raises(OrchestratorError, match=r"http://.*/worker/1/: .*(99999|Port out of range|1::2::3)"):
        open_connection(f"http://{host}/worker/1/", {})


async def test_path_that_is_not_ascii_is_encoded() -> None:
    server = Loopback(b"{}")
    async with server.running() as url:
        connection = open_connection(f"{url}/ä b/worker/1/", {})
        assert await connection.exchange(GET, LIMIT) == OK
        await connection.aclose()
    assert server.paths == ["/%C3%A4%20b/worker/1/job"]


async def test_ipv6_address_is_reached_and_in_brackets_in_the_host_header() -> None:
    received: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        received.append(await stream.receive_some())
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with trio.open_nursery() as nursery:
        try:
            listeners = await trio.open_tcp_listeners(0, host="::1")
        except OSError:
            pytest.skip("this machine has no IPv6 on loopback")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        connection = open_connection(f"http://[::1]:{port}/worker/1/", {})
        assert await connection.exchange(GET, LIMIT) == OK
        await connection.aclose()
        nursery.cancel_scope.cancel()
    assert f"Host: [::1]:{port}\r\n".encode() in received[0]


async def test_connecting_times_out(mock_clock: MockClock) -> None:
    # The kernel drops connection requests while the backlog is full.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, socket.create_connection(deaf.getsockname()):
        connection = open_connection(f"http://127.0.0.1:{deaf.getsockname()[1]}/worker/1/", {})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jump_when_blocked, mock_clock, CONNECT_TIMEOUT)
            with pytest.raises(TransientError, match="cannot connect: no answer within 3 s"):
                await connection.exchange(GET, LIMIT)


async def test_address_after_one_that_refuses_is_used() -> None:
    server = Loopback(b"{}")
    async with server.running() as url:
        known = [address(9), INVALID_ADDRESS, address(int(url.rpartition(":")[2]))]
        connection = SocketConnection("http://orchestrator.test/", {}, resolve=lambda _host, _port: known)
        assert await connection.exchange(GET, LIMIT) == OK
        await connection.aclose()


async def test_address_after_one_that_does_not_answer_is_used(mock_clock: MockClock) -> None:
    server = Loopback(b"{}")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, socket.create_connection(deaf.getsockname()):
        async with server.running() as url, trio.open_nursery() as nursery:
            known = [address(deaf.getsockname()[1]), address(int(url.rpartition(":")[2]))]
            connection = SocketConnection("http://orchestrator.test/", {}, resolve=lambda _host, _port: known)
            nursery.start_soon(jump_when_blocked, mock_clock, NEXT_ADDRESS_DELAY)
            assert await connection.exchange(GET, LIMIT) == OK
            await connection.aclose()


async def test_last_failure_is_reported_if_no_address_accepts() -> None:
    known = [address(9), address(9)]
    connection = SocketConnection("http://orchestrator.test/", {}, resolve=lambda _host, _port: known)
    with pytest.raises(TransientError, match="cannot connect: connection refused"):
        await connection.exchange(GET, LIMIT)
