"""Serves an application with Hypercorn's HTTP server on a bound socket."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any, cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from trioworker.errors import ConfigError
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.connections import Connection, LimitedListener, connection_limit

if TYPE_CHECKING:
    from starlette.applications import Starlette

BACKLOG = 1024
"""Connections that may wait to be accepted: many workers may start at once."""
KEEP_ALIVE = 600.0
"""Seconds before an idle connection is closed: long, so that no request of a job meets a closing connection."""
REQUESTS_PER_CONNECTION = 1_000_000
"""Requests before a connection is closed: more than a job makes."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port` (0: any free port), not listening yet.

    Raises:
        ConfigError: the host is unknown, or the port is in use or not permitted.
    """
    sock: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it. Responses are small and latency matters.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(address)
    except (OSError, OverflowError) as error:
        if sock is not None:
            sock.close()
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}; choose another --host or --port") from error
    return sock


class Http1Server(TCPServer):
    """Hypercorn's server without HTTP/2, which no worker speaks and which has no limits here."""

    async def _read_data(self) -> None:
        # The wrapper would switch the protocol at a client's request.
        self.protocol = cast("Any", self.protocol).protocol
        await super()._read_data()


async def serve(
    app: Starlette, sock: socket.socket, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled, then close the socket. `task_status` gets the URL once connections are accepted."""
    config = Config()
    config.keep_alive_timeout = KEEP_ALIVE
    config.keep_alive_max_requests = REQUESTS_PER_CONNECTION
    config.include_server_header = False
    log = config.errorlog = _error_log()
    sock.listen(BACKLOG)
    listener = LimitedListener(trio.SocketListener(trio.socket.from_stdlib_socket(sock)), connection_limit())
    context = WorkerContext(max_requests=None)

    async def handle(stream: trio.SocketStream) -> None:
        connection = Connection(stream, app)
        listener.add(connection)
        try:
            with connection.scope:
                # Hypercorn's types name streams of trio; it uses no more of them than `Connection` has.
                http = cast("Any", connection)
                await Http1Server(http, config, context, cast("Any", {}), http)
        except Exception as error:
            # One connection must not end the others.
            log.warning("a connection was closed: %.200r", error)
        finally:
            listener.remove(connection)
            await trio.aclose_forcefully(stream)

    host, port = sock.getsockname()[:2]
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, handle, [listener])
        task_status.started(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        try:
            await trio.sleep_forever()
        finally:
            listener.close_all()


def _error_log() -> logging.Logger:
    """A log of warnings and errors on stderr, whose control characters are escaped."""
    log = logging.Logger("trioworker.orchestrator", logging.WARNING)
    handler = logging.Handler()
    handler.emit = lambda record: print_notice(handler.format(record))
    log.addHandler(handler)
    return log
