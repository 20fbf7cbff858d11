"""A TCP server on loopback while a block runs."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable


@asynccontextmanager
async def tcp_server(serve: Callable[[trio.SocketStream], Awaitable[object]]) -> AsyncGenerator[int]:
    """Call `serve` with each connection; gives the port. At the end, running calls are cancelled."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port: int = listeners[0].socket.getsockname()[1]
        yield port
        nursery.cancel_scope.cancel()
