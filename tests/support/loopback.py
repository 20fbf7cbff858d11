"""A small HTTP/1.1 server on real sockets, for what only those show: connections that are kept, closed, or cut."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

Manner = Literal["keeps", "closes", "cuts"]
"""What it does after an answer: keep the connection, close it untold; or close it in the middle of every second one."""

_ANSWER = b"HTTP/1.1 %d As Told\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Loopback:
    """Answers every request with the same body, but for the first ones, of which it ignores `ignored`; and counts."""

    def __init__(self, body: bytes, manner: Manner = "keeps", *, status: int = 200, ignored: int = 0) -> None:
        self.connections = 0
        self.requests = 0
        self._answer = _ANSWER % (status, len(body), body)
        self._manner = manner
        self._ignored = ignored

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[str]:
        """Serve while the block runs; gives the URL."""
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, self._serve, 0, host="127.0.0.1"))
            port: int = listeners[0].socket.getsockname()[1]
            yield f"http://127.0.0.1:{port}"
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        received = b""
        try:
            while data := await stream.receive_some():
                received += data
                head, end, body = received.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                if not end or len(body) < (int(length[1]) if length else 0):
                    continue
                received = b""
                self.requests += 1
                if self.requests <= self._ignored:
                    continue
                if self._manner == "cuts" and self.requests % 2:
                    await stream.send_all(self._answer[:-3])
                    return
                await stream.send_all(self._answer)
                if self._manner == "closes":
                    return
        except trio.BrokenResourceError:
            # The client closed its end first.
            return
