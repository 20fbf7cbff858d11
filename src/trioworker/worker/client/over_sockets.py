"""Exchanges over HTTP/1.1 and trio's sockets, with or without TLS, and with h11 for the protocol.

A connection belongs to one exchange at a time. It is kept for the next one if the protocol allows that, and closed in
every other case, including a cancel. Closing a socket is synchronous, so no connection can leak.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import h11
import trio

from trioworker.errors import BadReplyError, OrchestratorError
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.worker.client.connecting import Connector, describe
from trioworker.worker.client.exchange import (
    KEPT_CONNECTIONS,
    HttpResponse,
    TransientError,
    parse_retry_after,
    reject_content_encoding,
)
from trioworker.worker.client.name_lookup import NameLookup, Resolve, resolve

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from trioworker.worker.client.connecting import Stream
    from trioworker.worker.client.exchange import HttpRequest

READ_BYTES = 64 * 1024
"""Bytes per read: what a socket on loopback returns at once."""
MAX_HEAD_BYTES = 100 * 1024
"""Bytes of a response's status line and headers, and of a chunk's header. No server sends a tenth of that."""
JOINED_BYTES = 64 * 1024
"""Bodies up to this many bytes are sent together with the head: a copy is cheaper than a system call."""


class SocketConnection:
    """A `Connection` over trio's sockets: to `base`, a URL of ASCII characters that ends with a slash.

    `tls` has the trusted certificates for an `https:` URL; without it, nothing is encrypted.
    """

    def __init__(
        self, base: str, headers: Mapping[str, str], tls: ssl.SSLContext | None = None, resolve: Resolve = resolve
    ) -> None:
        parts = urlsplit(base)
        host = parts.hostname or ""
        self._base = base
        self._connector = Connector(host, NameLookup(host, parts.port or (443 if tls else 80), resolve), tls)
        self._path = parts.path
        self._headers = [("Host", parts.netloc), *headers.items()]
        self._idle: list[_Http1Connection] = []

    async def exchange(self, request: HttpRequest, limit: int) -> HttpResponse:
        """Send a request and read the response: see `Connection`."""
        target = f"{request.method} {self._base}{request.path}"
        headers = [*self._headers, *request.headers.items()]
        if request.body is not None:
            headers += (("Content-Type", "application/json"), ("Content-Length", str(len(request.body))))
        try:
            head = h11.Request(method=request.method, target=self._path + request.path, headers=headers)
        except h11.LocalProtocolError as error:
            raise OrchestratorError(f"{target}: {error}") from error
        try:
            connection = self._reusable_connection() or _Http1Connection(await self._connector.connect())
        except UnicodeError as error:
            raise OrchestratorError(f"{target}: {error}") from error
        is_kept = False
        try:
            response = await connection.exchange(head, request, limit, target)
            is_kept = len(self._idle) < KEPT_CONNECTIONS and connection.can_be_reused()
        finally:
            if is_kept:
                self._idle.append(connection)
            else:
                connection.close()
        return response

    async def aclose(self) -> None:
        """Close the connections between exchanges; one in use is closed by its exchange."""
        while self._idle:
            self._idle.pop().close()
        await trio.lowlevel.checkpoint()

    def _reusable_connection(self) -> _Http1Connection | None:
        """The connection that was used last, as servers close those that have been idle longest."""
        while self._idle:
            connection = self._idle.pop()
            if connection.has_no_input():
                return connection
            connection.close()
        return None


class _Http1Connection:
    """One connection, and the state of the protocol on it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._socket = (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).socket
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._is_sent = False
        self._send_error: Exception | None = None
        self._on_sent: Callable[[], None] | None = None

    def has_no_input(self) -> bool:
        """Whether nothing has arrived since the last response: neither the end of the stream nor unexpected bytes."""
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def can_be_reused(self) -> bool:
        """Whether another exchange can follow the last one. If so, this prepares the protocol for it."""
        left_over, _ = self._protocol.trailing_data
        if left_over or not self._is_sent or self._protocol.states != _BOTH_DONE:
            return False
        self._protocol.start_next_cycle()
        return True

    def close(self) -> None:
        """Close the connection, at any point of an exchange."""
        self._socket.close()

    async def exchange(self, head: h11.Request, request: HttpRequest, limit: int, target: str) -> HttpResponse:
        """Send a request and read its response. Call `can_be_reused` or `close` afterwards."""
        body = request.body
        start = self._encode_head(head, request)
        try:
            if body is None or len(body) <= JOINED_BYTES:
                await self._send(start + (body or b""))
                return await self._receive(limit, target)
            # A server may refuse a long request before it has read all of it, and then stop reading.
            with unwrap_single_exception():
                async with trio.open_nursery() as sending:
                    sending.start_soon(self._send, start, body)
                    response = await self._receive(limit, target)
                    sending.cancel_scope.cancel()
            return response
        except trio.BrokenResourceError as error:
            raise TransientError(f"the connection broke: {describe(error)}") from error
        except h11.RemoteProtocolError as error:
            raise TransientError(f"no HTTP response: {error}") from error

    def _encode_head(self, head: h11.Request, request: HttpRequest) -> bytes:
        """Pass the whole request to the protocol, and return the bytes of its head."""
        self._is_sent, self._send_error, self._on_sent = False, None, request.on_sent
        start = self._protocol.send(head) or b""
        if request.body:
            self._protocol.send_with_data_passthrough(h11.Data(data=request.body))
        self._protocol.send(h11.EndOfMessage())
        return start

    async def _send(self, *pieces: bytes) -> None:
        try:
            for piece in pieces:
                await self._stream.send_all(piece)
            self._is_sent = True
            if self._on_sent is not None:
                self._on_sent()
        except trio.BrokenResourceError as error:
            # The server may have sent a refusal before it closed. This error counts only if it didn't.
            self._send_error = error

    async def _receive(self, limit: int, target: str) -> HttpResponse:
        head = await self._receive_head()
        headers = {name: value.decode("latin-1") for name, value in head.headers}
        described = f"{target}: {head.status_code}"
        reject_content_encoding(headers.get(b"content-encoding"), described)
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > limit:
                raise BadReplyError(f"{described} with over {limit} bytes")
        return HttpResponse(head.status_code, bytes(body), parse_retry_after(headers.get(b"retry-after")))

    async def _receive_head(self) -> h11.Response:
        try:
            # Another response follows an interim one, such as 100 or 103.
            while isinstance(event := await self._next_event(), h11.InformationalResponse):
                pass
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            if self._send_error is None:
                raise
            raise self._send_error from self._send_error.__cause__
        if not isinstance(event, h11.Response):
            raise TransientError(f"no HTTP response but {event!r}")
        return event

    async def _next_event(self) -> object:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(bytes(await self._stream.receive_some(READ_BYTES)))
        return event


_BOTH_DONE = {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
