"""A proxy on real sockets that closes each connection after its one answer, without a word of it in the headers."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class ClosingProxy:
    """Stands before the server at `upstream`, and counts connections."""

    def __init__(self, upstream: str) -> None:
        self.connections = 0
        self.url = ""
        self._port = urlsplit(upstream).port or 80

    async def carry(self, client: trio.SocketStream) -> None:
        """One request there and its answer back."""
        self.connections += 1
        request = await _request(client)
        if not request:
            return
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as server:
            # The server closes after its answer, and so tells where that ends; the client is not told.
            await server.send_all(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            answer = b"".join([bytes(piece) async for piece in server])
            await client.send_all(re.sub(rb"(?i)\r\nconnection: close", b"", answer, count=1))


@asynccontextmanager
async def closing_proxy(upstream: str) -> AsyncGenerator[ClosingProxy]:
    """The proxy while the block runs."""
    proxy = ClosingProxy(upstream)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, proxy.carry, 0, host="127.0.0.1"))
        proxy.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield proxy
        nursery.cancel_scope.cancel()


async def _request(client: trio.SocketStream) -> bytes:
    received = b""
    async for data in client:
        received += data
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if end and len(body) >= (int(length[1]) if length else 0):
            break
    return received
