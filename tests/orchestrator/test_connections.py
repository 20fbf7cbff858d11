"""The limits of connections over real sockets: slow heads and bodies, unread responses, and too many clients."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from orchestrator.serving import serving
from support.program import until
from trioworker.orchestrator import connections, request_checks
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@asynccontextmanager
async def served(store: Store) -> AsyncGenerator[str]:
    async with serving(make_app(store, NoBackend())) as url:
        yield url


async def connect(url: str) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))


async def answered(stream: trio.SocketStream, request: bytes = HEALTH) -> bytes:
    await stream.send_all(request)
    received = b""
    while not received.endswith((b"\r\n\r\nok", b" s")):
        received += await stream.receive_some()
    return received


async def ends(stream: trio.SocketStream) -> bool:
    """Wait until the server closes the connection."""
    with trio.fail_after(30):
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
    return True


@pytest.mark.parametrize("head", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
async def test_a_connection_that_sends_no_complete_head_is_closed(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.3)
    with Store() as store:
        async with served(store) as url, await connect(url) as stream:
            if head:
                await stream.send_all(head)
            assert await ends(stream)


async def test_a_head_sent_byte_by_byte_is_cut_off_also_after_a_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.5)
    with Store() as store:
        async with served(store) as url, await connect(url) as stream:
            assert b"200" in await answered(stream)

            async def drip() -> None:
                try:
                    while True:
                        await stream.send_all(b"G")
                        await trio.sleep(0.05)
                except trio.BrokenResourceError:
                    pass

            async with trio.open_nursery() as nursery:
                nursery.start_soon(drip)
                assert await ends(stream)
                nursery.cancel_scope.cancel()


async def test_an_idle_connection_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.2)
    with Store() as store:
        async with served(store) as url, await connect(url) as stream:
            for _ in range(3):
                assert b"200" in await answered(stream)
                await trio.sleep(0.5)


async def test_a_body_that_does_not_arrive_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_checks, "BODY_TIMEOUT", 0.3)
    with Store() as store:
        job = store.create_job("x", title="x")
        async with served(store) as url, await connect(url) as stream:
            head = f"POST /worker/{job.id}/event HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n"
            answer = await answered(stream, f"{head}Authorization: Bearer {job.token}\r\n\r\n{{".encode())
            assert b" 408 " in answer


async def test_beyond_the_limit_idle_connections_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 5)
    with Store() as store:
        async with served(store) as url:
            streams = [await connect(url) for _ in range(5)]
            for stream in streams[:4]:
                assert b"200" in await answered(stream)
            with trio.fail_after(30):
                async with httpx.AsyncClient(base_url=url) as client:
                    # The fifth has been without a request for longest.
                    assert (await client.get("/health")).status_code == 200
                assert await ends(streams[4])
                assert b"200" in await answered(streams[0])
            for stream in streams:
                await stream.aclose()


@pytest.mark.parametrize(
    "garbage",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200,
        b"\x16\x03\x01\x02\x00\x01" * 50,
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + b"\xff" * 50,
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nHTTP2-Settings: !\r\n\r\n" + b"\xff" * 50,
        b"GET / HTTP/1.1\r\nContent-Length: 9999999999999999999999\r\nHost: x\r\n\r\n",
        b"A" * 100_000,
    ],
)
async def test_bytes_that_are_not_a_request_end_only_their_connection(
    garbage: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.5)
    with Store() as store:
        async with served(store) as url:
            async with await connect(url) as stream:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(garbage)
                with trio.move_on_after(2):
                    await ends(stream)
            async with httpx.AsyncClient(base_url=url) as client:
                assert (await client.get("/health")).status_code == 200
    assert "Traceback" not in capfd.readouterr().err


async def test_a_client_that_does_not_read_delays_no_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    with Store() as store:
        job = store.create_job("x" * 1_900_000, title="x")
        began = 0

        async def request_much(url: str) -> None:
            nonlocal began
            async with await connect(url) as stream:
                head = f"GET /worker/{job.id}/job HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {job.token}\r\n\r\n"
                await stream.send_all(head.encode() * 20)
                began += 1
                await trio.sleep_forever()

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                async with served(store) as url:
                    nursery.start_soon(request_much, url)
                    await until(lambda: began)
                    await trio.sleep(0.5)
                nursery.cancel_scope.cancel()


async def test_a_client_that_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SEND_TIMEOUT", 0.3)
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 1)
    with Store() as store:
        job = store.create_job("x" * 1_900_000, title="x")
        async with served(store) as url, await connect(url) as stream:
            head = f"GET /worker/{job.id}/job HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {job.token}\r\n\r\n"
            await stream.send_all(head.encode() * 20)
            with trio.fail_after(30):
                async with httpx.AsyncClient(base_url=url, timeout=30.0) as client:
                    assert (await client.get("/health")).status_code == 200
