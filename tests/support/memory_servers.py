"""What the servers of the programs in `tests/testing/libraries` have in common."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import trio

END_OF_HEAD = b"\r\n\r\n"


async def received_request(stream: trio.abc.ReceiveStream) -> bool:
    """Receive a request without a body. Returns whether there was one before the end of the stream."""
    received = b""
    while chunk := await stream.receive_some():
        received += chunk
        if received.endswith(END_OF_HEAD):
            return True
    return False


def hypercorn_handler(app: Any) -> Callable[[Any], Awaitable[object]]:
    """Serve a connection with hypercorn: a handler for `trio.serve_listeners`."""
    config = Config()
    config.errorlog = None
    return partial(TCPServer, ASGIWrapper(app), config, WorkerContext(None), {})
