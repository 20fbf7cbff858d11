"""A small HTTP/1.1 server on real sockets, for tests of connections that are kept, closed, or cut."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

import trio

from support.http_messages import HttpMessages, IncompleteMessageError
from support.tcp_server import tcp_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

Manner = Literal["keeps", "closes", "cuts"]
"""What it does with a connection: keep it after a response, close it without saying so in the headers, or close it
within every second response.
"""

_RESPONSE = b"HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Loopback:
    """Sends the same response to every request, except to the first ones, of which it ignores `ignored`; and counts."""

    def __init__(self, body: bytes, manner: Manner = "keeps", *, status: int = 200, ignored: int = 0) -> None:
        self.connections = 0
        self.requests = 0
        self._response = _RESPONSE % (status, len(body), body)
        self._manner = manner
        self._ignored = ignored

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[str]:
        """Serve while the block runs; gives the URL."""
        async with tcp_server(self._serve) as port:
            yield f"http://127.0.0.1:{port}"

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        messages = HttpMessages(stream)
        try:
            while await messages.next():
                self.requests += 1
                if self.requests <= self._ignored:
                    continue
                if self._manner == "cuts" and self.requests % 2:
                    await stream.send_all(self._response[:-3])
                    return
                await stream.send_all(self._response)
                if self._manner == "closes":
                    return
        except (trio.BrokenResourceError, IncompleteMessageError):
            # The client closed its end first.
            return
