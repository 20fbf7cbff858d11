"""A server on real sockets that sends scripted bytes, and single exchanges with it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from support.tcp_server import tcp_server
from trioworker.worker.client.connection import open_connection
from trioworker.worker.client.exchange import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from trioworker.worker.client.exchange import Connection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
LIMIT = 1000


class Server:
    """Sends one script per connection: each piece answers a request, and the connection is closed after the last one.

    `None` in place of a piece leaves the request unanswered and the connection open.
    """

    def __init__(self, *scripts: Sequence[bytes | None], reads: bool = True) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self._scripts = list(scripts)
        self._reads = reads

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open += 1
        script = self._scripts.pop(0)
        try:
            for piece in script:
                if self._reads:
                    self.requests.append(await received_request(stream))
                if piece is None:
                    await stream.receive_some()
                    return
                await stream.send_all(piece)
        except trio.BrokenResourceError:
            return
        finally:
            self.open -= 1


async def received_request(stream: trio.SocketStream) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n") and b"\r\n\r\n{" not in received:
        data = await stream.receive_some()
        if not data:
            return received
        received += data
    return received


@asynccontextmanager
async def served(server: Server, path: str = "/worker/1/") -> AsyncGenerator[Connection]:
    async with tcp_server(server.serve) as port:
        connection = open_connection(f"http://127.0.0.1:{port}{path}", {"Authorization": "Bearer t"})
        yield connection
        await connection.aclose()


async def ask(
    connection: Connection, body: bytes | None = None, on_sent: Callable[[], None] | None = None
) -> HttpResponse:
    return await connection.exchange(HttpRequest("POST" if body else "GET", "job", body, on_sent=on_sent), LIMIT)
