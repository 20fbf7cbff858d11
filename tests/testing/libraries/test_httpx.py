"""httpx: a client that several tasks share."""

from __future__ import annotations

import ssl
from contextlib import suppress

import httpx
import pytest
import trio

from support.library_scenarios import Defect, Scenario, verify
from support.memory_network import MemoryNetwork
from support.memory_servers import received_request
from support.survivors import run_beside

# Loading the certificates takes longer than all the rest.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n"


class ClientScenario(Scenario):
    """A client, and a server that sends its response in two parts with a second before each."""

    library = "httpx"
    closing = False

    def start(self) -> None:
        self.network = MemoryNetwork().install()
        self.client = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=1),
            timeout=httpx.Timeout(None, pool=100),
            trust_env=False,
            verify=NO_CERTIFICATES,
        )

    async def serve(self) -> None:
        await trio.serve_listeners(self.respond, [self.network.listen(80)])

    async def respond(self, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            while await received_request(stream):
                await trio.sleep(1)
                await stream.send_all(HEAD + b"Connection: close\r\n" * self.closing + b"\r\none")
                await trio.sleep(1)
                await stream.send_all(b"two")
                if self.closing:
                    return

    async def get(self) -> None:
        assert (await self.client.get("http://server/")).text == "onetwo"

    async def check(self) -> None:
        try:
            await run_beside([], [self.get], [self.serve])
        except* httpx.PoolTimeout:
            raise AssertionError("no slot is left in the pool") from None
        await self.client.aclose()
        assert not self.network.open_sockets, f"not closed: {self.network.open_sockets}"


class Downloads(ClientScenario):
    """A download that is cancelled while another user waits for the connection."""

    async def body(self) -> None:
        self.start()
        await run_beside([self.download, self.get], [self.get], [self.serve])

    async def download(self) -> None:
        async with self.client.stream("GET", "http://server/") as response:
            parts = [part async for part in response.aiter_bytes()]
        assert b"".join(parts) == b"onetwo"


class WaitForSlot(ClientScenario):
    """Two users wait for the connection of a third, whose server closes it after the response."""

    closing = True
    # httpcore's: see test_httpcore.py.
    defect = Defect("no slot is left in the pool", "httpcore: a cancelled wait for a slot leaks it")

    async def body(self) -> None:
        self.start()

        async def wait() -> None:
            await trio.sleep(0.5)
            await self.get()

        await run_beside([wait, wait], [self.get], [self.serve])


SCENARIOS = [kind() for kind in (Downloads, WaitForSlot)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_matrix_finds_only_the_known_defects(scenario: Scenario) -> None:
    verify(scenario)
