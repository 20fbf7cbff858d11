"""trio-websocket."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio_websocket

from support.library_scenarios import Defect, Scenario, verify
from support.memory_network import MemoryNetwork
from support.survivors import run_beside

NOT_CLOSED = "not closed"


class WebSocketScenario(Scenario):
    """A server that returns each message, and a client that sends three."""

    library = "trio-websocket"
    sent = ("one", "two", "three")

    async def body(self) -> None:
        self.start()
        await run_beside([self.client], [], [self.serve])

    def start(self) -> None:
        self.network = MemoryNetwork().install()

    async def serve(self) -> None:
        await trio_websocket.serve_websocket(self.handle, "10.0.0.1", 80, None)

    async def handle(self, request: trio_websocket.WebSocketRequest) -> None:
        socket = await request.accept()
        try:
            while True:
                await socket.send_message(await socket.get_message())
        except trio_websocket.ConnectionClosed:
            pass

    async def client(self) -> None:
        async with trio_websocket.open_websocket("server", 80, "/", use_ssl=False) as socket:
            for message in self.sent:
                await socket.send_message(message)
                assert await socket.get_message() == message

    async def check(self) -> None:
        assert not self.network.open_sockets, f"{NOT_CLOSED}: {self.network.open_sockets}"


class CancelledClient(WebSocketScenario):
    """A client that connects, sends and receives."""

    defect = Defect(
        NOT_CLOSED,
        "_impl.py, connect_websocket: a cancel in `connection._open_handshake.wait()` leaves the stream open",
    )


class ConnectedScenario(WebSocketScenario):
    """One user of a connected client, after whom the client uses the connection itself."""

    async def body(self) -> None:
        self.start()
        connected, left = trio.Event(), trio.Event()
        sockets: list[trio_websocket.WebSocketConnection] = []

        async def user() -> None:
            try:
                await connected.wait()
                await self.use(sockets[0])
            finally:
                left.set()

        async def client() -> None:
            async with trio_websocket.open_websocket("server", 80, "/", use_ssl=False) as socket:
                sockets.append(socket)
                connected.set()
                await left.wait()
                await self.use_afterwards(socket)

        await run_beside([user], [client], [self.serve])

    async def use(self, socket: trio_websocket.WebSocketConnection) -> None:
        raise NotImplementedError

    async def use_afterwards(self, socket: trio_websocket.WebSocketConnection) -> None:
        raise NotImplementedError


class ConnectedClient(ConnectedScenario):
    """The connection can still be used, and closed."""

    async def use(self, socket: trio_websocket.WebSocketConnection) -> None:
        for message in self.sent:
            await socket.send_message(message)
            await socket.get_message()

    async def use_afterwards(self, socket: trio_websocket.WebSocketConnection) -> None:
        await socket.send_message("last")
        while await socket.get_message() != "last":
            pass


class CancelledPing(ConnectedScenario):
    """A ping that is cancelled can be sent again."""

    defect = Defect(
        "is already in flight",
        "_impl.py, ping: `_pings` keeps the payload of a ping that was cancelled, until a later pong",
    )

    async def use(self, socket: trio_websocket.WebSocketConnection) -> None:
        await socket.ping(b"alive")

    async def use_afterwards(self, socket: trio_websocket.WebSocketConnection) -> None:
        await trio.sleep(10)
        await socket.ping(b"alive")


class ServerCloses(WebSocketScenario):
    """The server closes the connection first. This fails without a cancel, too."""

    defect = Defect(
        NOT_CLOSED, "_impl.py, _aclose: returns at once after the other side has closed, and leaves the client's stream"
    )

    async def handle(self, request: trio_websocket.WebSocketRequest) -> None:
        await (await request.accept()).aclose()

    async def client(self) -> None:
        async with trio_websocket.open_websocket("server", 80, "/", use_ssl=False) as socket:
            with pytest.raises(trio_websocket.ConnectionClosed):
                await socket.get_message()


class SilentServer(WebSocketScenario):
    """The server never responds. This fails without a cancel, too."""

    defect = Defect(
        "TooSlowError",
        "_impl.py, open_websocket: after `connect_timeout`, the nursery waits for `_reader_task`, which reads for ever",
    )

    async def handle(self, request: trio_websocket.WebSocketRequest) -> None:
        await trio.sleep_forever()

    async def client(self) -> None:
        with pytest.raises(trio_websocket.ConnectionTimeout):
            async with trio_websocket.open_websocket("server", 80, "/", use_ssl=False, connect_timeout=10):
                pass


class CancelledServer(WebSocketScenario):
    """A server that is cancelled closes its sides of the connections."""

    async def body(self) -> None:
        self.start()
        stop = trio.CancelScope()

        async def serve() -> None:
            with stop:
                await self.serve()

        async def client() -> None:
            await trio.sleep(1)
            with suppress(trio_websocket.ConnectionClosed, trio_websocket.HandshakeError):
                await self.client()
            stop.cancel()

        await run_beside([serve], [client])

    async def check(self) -> None:
        left = [socket for socket in self.network.open_sockets if socket.getsockname()[1] == 80]
        assert not left, f"{NOT_CLOSED}: {left}"


SCENARIOS = [
    kind() for kind in (CancelledClient, ConnectedClient, CancelledPing, ServerCloses, SilentServer, CancelledServer)
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_matrix_finds_only_the_known_defects(scenario: Scenario) -> None:
    verify(scenario)
