"""httpcore and its fork httpcore2: connection pools."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import partial
from typing import Any

import httpcore
import httpcore2
import pytest
import trio

from support.library_scenarios import Defect, Scenario, verify
from support.memory_network import MemoryNetwork
from support.memory_servers import received_request
from support.survivors import run_beside

KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
POOL_TIMEOUT = {"timeout": {"pool": 100}}
NO_SLOT = "no slot is left in the pool"
NOT_CLOSED = "not closed"
# httpcore #1093. Our clients work around it: no request of the worker's waits for another's connection
# (worker/client/over_sockets.py), and the embedded orchestrator's has no limit (orchestrator/backends/http_client.py).
WAIT_LEAK = Defect(
    NO_SLOT,
    "_async/connection_pool.py, handle_async_request: a request that was given a new connection, and is cancelled"
    " before it wakes, is removed, but the connection stays: never connected, so never idle, closed or expired",
)
NEW_LEAK = Defect(
    NO_SLOT,
    "_async/http11.py, handle_async_request: a cancel in `async with self._state_lock` comes before the `try`, so the"
    " connection stays in the state NEW, which is never idle, closed or expired",
)
HANDSHAKE_LEAK = Defect(
    NOT_CLOSED, "_backends/trio.py, start_tls: the stream is closed on Exception, which a cancel isn't"
)


class PoolScenario(Scenario):
    """A pool, and a server that takes a second for each response."""

    url = "http://example/"
    response = KEPT
    limit = 1

    def __init__(self, library: Any) -> None:
        self.module = library
        self.library = library.__name__  # type: ignore[misc]

    def open_pool(self) -> Any:
        return self.module.AsyncConnectionPool(max_connections=self.limit)

    def start(self) -> None:
        self.network = MemoryNetwork().install()
        self.pool = self.open_pool()

    async def serve(self) -> None:
        await trio.serve_listeners(self.respond, [self.network.listen(80)])

    async def respond(self, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            while await received_request(stream):
                await trio.sleep(1)
                await stream.send_all(self.response)
                if self.response is CLOSED:
                    return

    async def get(self) -> None:
        response = await self.pool.request("GET", self.url, extensions=POOL_TIMEOUT)
        assert response.content == b"ok"

    async def check(self) -> None:
        try:
            await run_beside([], [self.get], [self.serve])
        except* self.module.PoolTimeout:
            raise AssertionError(f"{NO_SLOT}: {self.pool}") from None
        await self.check_closed()

    async def check_closed(self) -> None:
        await self.pool.aclose()
        assert not self.network.open_sockets, f"{NOT_CLOSED}: {self.network.open_sockets}"


class OneUser(PoolScenario):
    """A request on a new connection, one on the kept connection."""

    async def body(self) -> None:
        self.start()

        async def user() -> None:
            await self.get()
            await self.get()

        await run_beside([user], [], [self.serve])


class UsersInTurn(PoolScenario):
    """Three users of a pool with two connections; all are cancelled."""

    limit = 2

    async def body(self) -> None:
        self.start()
        await run_beside([self.get] * 3, [], [self.serve])


class WaitForSlot(PoolScenario):
    """Two users wait for the slot of a third, whose server closes the connection after the response."""

    response = CLOSED

    def __init__(self, library: Any) -> None:
        super().__init__(library)
        # The fork has fixed it: it drops connections that were never connected and that no request waits for.
        self.defect = WAIT_LEAK if library is httpcore else None

    async def body(self) -> None:
        self.start()

        async def wait() -> None:
            await trio.sleep(0.5)
            await self.get()

        await run_beside([wait, wait], [self.get], [self.serve])


class UnixSocket(PoolScenario):
    """A connection over a Unix socket, which connects at once."""

    defect = NEW_LEAK

    def open_pool(self) -> Any:
        return self.module.AsyncConnectionPool(max_connections=1, uds="80")

    async def body(self) -> None:
        self.start()
        await run_beside([self.get], [], [self.serve])


class Handshake(PoolScenario):
    """A TLS handshake in which the server only closes the connection."""

    url = "https://example/"
    defect = HANDSHAKE_LEAK

    def open_pool(self) -> Any:
        return self.module.AsyncConnectionPool(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    async def body(self) -> None:
        self.start()
        await run_beside([self.fail_to_get], [], [partial(trio.serve_listeners, hang_up, [self.network.listen(443)])])

    async def fail_to_get(self) -> None:
        with pytest.raises(self.module.ConnectError):
            await self.get()

    async def check(self) -> None:
        await self.check_closed()


async def hang_up(stream: trio.abc.Stream) -> None:
    """Close a connection after a second."""
    await stream.receive_some()
    await trio.sleep(1)


SCENARIOS = [
    kind(lib) for lib in (httpcore, httpcore2) for kind in (OneUser, UsersInTurn, WaitForSlot, UnixSocket, Handshake)
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_matrix_finds_only_the_known_defects(scenario: Scenario) -> None:
    verify(scenario)
