"""Serving the application under Hypercorn's trio worker, on a socket that was bound before."""

from __future__ import annotations

import logging
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import hypercorn.trio
import trio
from hypercorn.config import Config

from trioworker.errors import ConfigError

if TYPE_CHECKING:
    from starlette.applications import Starlette

BACKLOG = 1024
"""Connections that may wait to be accepted: as many workers may start at once."""
KEEP_ALIVE = 600.0
"""Seconds that an idle connection stays open: over a whole job, so that no request meets a connection that closes."""
REQUESTS_PER_CONNECTION = 1_000_000
"""Requests before a connection is closed: more than a job makes."""

_hypercorn: Any = hypercorn.trio
# Its signature holds a bare `dict`, which strict typing refuses.


def bind(host: str, port: int) -> socket.socket:
    """A socket on `host` and `port`, 0 for a free one, that does not listen yet.

    Raises:
        ConfigError: the host is unknown, or the port taken or forbidden.
    """
    sock: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it; replies are small and go out at once.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(address)
    except (OSError, OverflowError) as error:
        if sock is not None:
            sock.close()
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}; choose another --host or --port") from error
    return sock


async def serve(
    app: Starlette, sock: socket.socket, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; the socket is closed at the end. Its URL is told when it accepts connections."""
    config = Config()
    # Hypercorn closes what it is given, and so owns it from here.
    config.bind = [f"fd://{sock.detach()}"]
    config.backlog = BACKLOG
    config.keep_alive_timeout = KEEP_ALIVE
    config.keep_alive_max_requests = REQUESTS_PER_CONNECTION
    config.include_server_header = False
    # Without a handler of its own this logger tells warnings and errors, on stderr, and nothing else.
    config.errorlog = logging.getLogger("trioworker.orchestrator")
    async with trio.open_nursery() as nursery:
        urls: list[str] = await nursery.start(partial(_hypercorn.serve, app, config, mode="asgi"))
        task_status.started(urls[0])
