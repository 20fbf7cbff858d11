"""quart-trio: an application under hypercorn, and its test client."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpcore2
import pytest
import quart
import trio
from quart_trio import QuartTrio

from support.library_scenarios import Defect, Scenario, verify
from support.memory_network import MemoryNetwork
from support.memory_servers import hypercorn_handler
from support.survivors import run_beside


class AppScenario(Scenario):
    """An application that counts what it has open. Its functions are asynchronous: synchronous ones run in threads."""

    library = "quart-trio"
    path = "/work"

    async def body(self) -> None:
        self.start()
        await run_beside([self.get], [], [self.serve])

    def start(self) -> None:
        self.network = MemoryNetwork().install()
        self.open = self.begun = self.torn_down = 0
        self.app = QuartTrio("app")
        self.app.get("/work")(self.work)
        self.app.get("/stream")(self.stream)
        self.app.websocket("/echo")(self.echo)
        self.app.before_request(self.begin)
        self.app.before_websocket(self.begin)
        self.app.teardown_request(self.tear_down)
        self.app.teardown_websocket(self.tear_down)

    async def begin(self) -> None:
        self.begun += 1

    async def tear_down(self, _: object) -> None:
        self.torn_down += 1

    async def work(self) -> str:
        self.open += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 1)
                await trio.sleep(1)
        finally:
            self.open -= 1
        return "onetwo"

    async def stream(self) -> Any:
        async def parts() -> Any:
            self.open += 1
            try:
                yield b"one"
                await trio.sleep(1)
                yield b"two"
            finally:
                self.open -= 1

        return parts()

    async def echo(self) -> None:
        self.open += 1
        try:
            while True:
                await quart.websocket.send(await quart.websocket.receive())
        finally:
            self.open -= 1

    async def serve(self) -> None:
        await trio.serve_listeners(hypercorn_handler(self.app), [self.network.listen(80)])

    async def get(self) -> None:
        async with httpcore2.AsyncConnectionPool() as pool:
            response = await pool.request("GET", f"http://server{self.path}")
            assert response.content == b"onetwo"

    async def check(self) -> None:
        await run_beside([], [self.get], [self.serve])
        assert self.open == 0
        assert self.torn_down == self.begun, f"{self.begun} begun, {self.torn_down} torn down"


class Requests(AppScenario):
    """Clients that are cancelled: their requests are torn down."""


class Streams(AppScenario):
    """The same with a body that is generated while it is sent."""

    path = "/stream"


class StoppedServer(AppScenario):
    """The server is cancelled."""

    async def body(self) -> None:
        self.start()

        async def client() -> None:
            await trio.sleep(1)
            with suppress(httpcore2.NetworkError, httpcore2.ProtocolError):
                await self.get()
            stop.cancel()

        stop = trio.CancelScope()

        async def serve() -> None:
            with stop:
                await self.serve()

        await run_beside([serve], [client])


class CancelledTestClient(AppScenario):
    """A request of the test client is cancelled."""

    defect = Defect(
        "Nursery stack corrupted",
        "testing/connections.py, TestHTTPConnection.__aexit__: a cancel in `await self.disconnect()` leaves the nursery"
        " open, which was entered by hand",
    )

    async def body(self) -> None:
        self.start()
        await run_beside([self.get], [])

    async def get(self) -> None:
        response = await self.app.test_client().get("/work")
        assert await response.get_data() == b"onetwo"


SCENARIOS = [kind() for kind in (Requests, Streams, StoppedServer, CancelledTestClient)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_matrix_finds_only_the_known_defects(scenario: Scenario) -> None:
    verify(scenario)
