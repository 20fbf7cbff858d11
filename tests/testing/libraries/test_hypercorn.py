"""hypercorn's server for trio: connections of HTTP/1.1 and HTTP/2."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpcore2
import pytest
import trio

from support.library_scenarios import Defect, Scenario, verify
from support.memory_network import CAPACITY_BYTES, MemoryNetwork
from support.memory_servers import hypercorn_handler
from support.survivors import run_beside

STOP_SECONDS = 60
"""Seconds of virtual time after which a cancelled server counts as hung."""


class ServerScenario(Scenario):
    """A server whose application sends a body in two parts, and a client."""

    library = "hypercorn"
    http2 = False
    part = b"x" * 1000

    async def body(self) -> None:
        self.start()
        await run_beside([self.get], [self.get], [self.serve])

    def start(self) -> None:
        self.network = MemoryNetwork().install()
        self.running = 0

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.running += 1
        try:
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": self.part, "more_body": True})
            await trio.sleep(1)
            await send({"type": "http.response.body", "body": self.part})
        finally:
            self.running -= 1

    async def serve(self) -> None:
        await trio.serve_listeners(hypercorn_handler(self.app), [self.network.listen(80)])

    async def get(self) -> None:
        async with httpcore2.AsyncConnectionPool(http1=not self.http2, http2=self.http2) as pool:
            response = await pool.request("GET", "http://server/")
            assert response.content == self.part * 2

    async def check(self) -> None:
        await run_beside([], [self.get], [self.serve])
        self.check_closed()

    def check_closed(self) -> None:
        assert not self.network.open_sockets, f"not closed: {self.network.open_sockets}"
        assert not self.running


class NextClient(ServerScenario):
    """A client that is cancelled: the server continues to serve another one, and the next one."""


class ClientOfHTTP2(ServerScenario):
    """A client of HTTP/2 that is cancelled: its connection and its streams end."""

    http2 = True

    async def body(self) -> None:
        self.start()
        await run_beside([self.get], [], [self.serve])

    async def check(self) -> None:
        self.check_closed()


class StoppedServer(ServerScenario):
    """The server is cancelled while its client reads."""

    async def body(self) -> None:
        self.start()
        self.cancelled = self.ended = 0.0
        await run_beside([self.serve_until_cancelled], [self.client])

    async def check(self) -> None:
        assert self.ended - self.cancelled < STOP_SECONDS, f"stopped after {self.ended - self.cancelled} s"
        await super().check()

    async def serve_until_cancelled(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.note_cancel)
            self.stop = nursery.cancel_scope
            try:
                await self.serve()
            finally:
                self.ended = trio.current_time()

    async def note_cancel(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.cancelled = trio.current_time()

    async def client(self) -> None:
        await trio.sleep(1)
        with suppress(httpcore2.NetworkError, httpcore2.ProtocolError):
            await self.get()
        self.stop.cancel()


class ClientDoesNotRead(StoppedServer):
    """The server is cancelled while its client, which doesn't read, is connected."""

    part = b"x" * CAPACITY_BYTES
    defect = Defect(
        "stopped after",
        "trio/tcp_server.py, protocol_send: `send_all` is shielded without a deadline, so neither a cancel nor the"
        " graceful timeout ends it while a client is connected and doesn't read",
    )

    async def client(self) -> None:
        await trio.sleep(1)
        try:
            async with await trio.open_tcp_stream("server", 80) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: server\r\n\r\n")
                await trio.sleep(300)
        except (OSError, trio.BrokenResourceError):
            pass
        self.stop.cancel()


SCENARIOS = [kind() for kind in (NextClient, ClientOfHTTP2, StoppedServer, ClientDoesNotRead)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_matrix_finds_only_the_known_defects(scenario: Scenario) -> None:
    verify(scenario)
