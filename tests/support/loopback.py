"""A small HTTP/1.1 server on real sockets, for tests of connections that are kept, closed, or cut."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

import trio

from support.http_messages import HttpMessages, IncompleteMessageError
from support.tcp_server import tcp_server

if TYPE_CHECKING:
    import ssl
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
        self.paths: list[str] = []
        self._response = _RESPONSE % (status, len(body), body)
        self._manner = manner
        self._ignored = ignored
        self._tls: tuple[ssl.SSLContext, ...] = ()

    @asynccontextmanager
    async def running(self, *tls: ssl.SSLContext) -> AsyncGenerator[str]:
        """Serve while the block runs; gives the URL.

        With `tls`, the first connection is encrypted with the first context and so on, further ones with the last.
        """
        self._tls = tls
        async with tcp_server(self._serve) as port:
            yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"

    async def _serve(self, connection: trio.SocketStream) -> None:
        self.connections += 1
        stream = connection
        if self._tls:
            context = self._tls[min(self.connections, len(self._tls)) - 1]
            stream = trio.SSLStream(connection, context, server_side=True, https_compatible=True)
        messages = HttpMessages(stream)
        try:
            while message := await messages.next():
                self.requests += 1
                self.paths.append(message.path)
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
