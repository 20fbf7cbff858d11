"""Limits of connections that Hypercorn lacks: their number, and the time to send a request's head or read a response.

Hypercorn's `read_timeout` would also close the connections of workers that wait for a model or for their next request.
"""

from __future__ import annotations

import math
import resource
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HEAD_TIMEOUT = 20.0
"""Seconds from the first byte of a request, or from the connection's start, to the end of its head."""
SEND_TIMEOUT = 60.0
"""Seconds in which a client must read a part of a response."""
MAX_CONNECTIONS = 8192
"""A worker has about four connections: for events, prompts, the model and the report."""
RESERVED_DESCRIPTORS = 32
"""Descriptors that connections leave to the database, the model server and files."""

POLL_INTERVAL = 0.1
"""Seconds between searches for an idle connection while there are too many."""


class Connection:
    """One connection, as the stream of Hypercorn's server and as its application."""

    def __init__(self, stream: trio.SocketStream, app: ASGIApp) -> None:
        self.socket = stream.socket
        self._stream = stream
        self._app = app
        self._requests = 0
        self.idle_since = trio.current_time()
        """When it was opened, or its last request ended."""
        self.scope = trio.CancelScope(deadline=trio.current_time() + HEAD_TIMEOUT)
        """Everything that the connection does runs within this scope."""
        self._sending = trio.CancelScope()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._requests > 0

    def close(self) -> None:
        """End the connection, also while Hypercorn shields a write that the client doesn't read."""
        self.scope.cancel()
        self._sending.cancel()

    async def __call__(self, scope: Any, receive: Any, send: Any, *_: Any) -> None:
        """Answer a request whose head has arrived. The other arguments are Hypercorn's, for threads."""
        self._requests += 1
        self.scope.deadline = math.inf
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            self.idle_since = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive bytes; the first ones of a request start its time limit."""
        received = bytes(await self._stream.receive_some(max_bytes))
        if not self.busy and self.scope.deadline == math.inf:
            self.scope.deadline = trio.current_time() + HEAD_TIMEOUT
        return received

    async def send_all(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            trio.BrokenResourceError: the client doesn't read, or `close` was called.
        """
        self._sending = trio.CancelScope(deadline=trio.current_time() + SEND_TIMEOUT)
        with self._sending:
            return await self._stream.send_all(data)
        # Hypercorn would wait for the client, which may have sent its next request.
        self.close()
        raise trio.BrokenResourceError("the client does not read its response")

    async def send_eof(self) -> None:
        """Close the sending side."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()


class LimitedListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts connections up to a limit. Beyond it, the one that has been without a request for longest is closed."""

    def __init__(self, listener: trio.SocketListener, limit: int) -> None:
        self._listener = listener
        self._limit = limit
        self._open: set[Connection] = set()
        self._one_closed = trio.Event()

    def add(self, connection: Connection) -> None:
        """Count an open connection."""
        self._open.add(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that was closed."""
        self._open.remove(connection)
        self._one_closed.set()
        self._one_closed = trio.Event()

    def close_all(self) -> None:
        """End all connections."""
        for connection in self._open:
            connection.close()

    async def accept(self) -> trio.SocketStream:
        """Accept a connection, and make room for it."""
        stream = await self._listener.accept()
        try:
            while len(self._open) >= self._limit:
                if idle := [connection for connection in self._open if not connection.busy]:
                    min(idle, key=lambda connection: connection.idle_since).close()
                # A request may end meanwhile, and no event signals that.
                with trio.move_on_after(POLL_INTERVAL):
                    await self._one_closed.wait()
        except BaseException:
            stream.socket.close()
            raise
        return stream

    async def aclose(self) -> None:
        """Close the socket."""
        await self._listener.aclose()


def connection_limit() -> int:
    """How many connections the limits of this process allow."""
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft_limit == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, soft_limit - RESERVED_DESCRIPTORS))
