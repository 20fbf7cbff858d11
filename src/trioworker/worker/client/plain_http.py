"""Exchanges over plain HTTP/1.1: h11 for the protocol, trio's sockets for the bytes, and kept connections between.

A connection belongs to one exchange at a time. It is kept if the exchange ended where the protocol says that another
may begin, and closed in every other case, a cancel included: closing a socket awaits nothing, so nothing can leak.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import h11
import trio

from trioworker.errors import BadReplyError, OrchestratorError
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.worker.client.exchange import (
    CONNECT_TIMEOUT,
    KEPT_CONNECTIONS,
    Response,
    TransientError,
    parse_retry_after,
    reject_content_encoding,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trioworker.worker.client.exchange import Request

READ_BYTES = 64 * 1024
"""Bytes read at once: what a socket on loopback gives in one piece."""
MAX_HEAD_BYTES = 100 * 1024
"""Bytes of an answer's status line and headers, and of a chunk's own header: no server sends a tenth of that."""
JOINED_BYTES = 64 * 1024
"""Bytes up to which a body is sent in one piece with its head, which saves a system call and costs a copy."""


class PlainConnection:
    """A `Connection` over streams of our own. `base` is an `http:` URL that ends with a slash."""

    def __init__(self, base: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(base)
        self._base = base
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._path = parts.path
        self._headers = [("Host", parts.netloc), *headers.items()]
        self._idle: list[_Line] = []

    async def exchange(self, request: Request, limit: int) -> Response:
        """Send a request and read the whole answer: see `Connection`."""
        asked = f"{request.method} {self._base}{request.path}"
        headers = [*self._headers, *request.headers.items()]
        if request.body is not None:
            headers += (("Content-Type", "application/json"), ("Content-Length", str(len(request.body))))
        try:
            head = h11.Request(method=request.method, target=self._path + request.path, headers=headers)
        except h11.LocalProtocolError as error:
            raise OrchestratorError(f"{asked}: {error}") from error
        try:
            line = self._kept_line() or await self._connect()
        except UnicodeError as error:
            # An empty label, or one over 63 bytes: no name can be looked up.
            raise OrchestratorError(f"{asked}: {error}") from error
        is_kept = False
        try:
            answer = await line.exchange(head, request, limit, asked)
            is_kept = len(self._idle) < KEPT_CONNECTIONS and line.may_go_on()
        finally:
            if is_kept:
                self._idle.append(line)
            else:
                line.close()
        return answer

    async def aclose(self) -> None:
        """Close the connections that wait for a next exchange."""
        while self._idle:
            self._idle.pop().close()
        await trio.lowlevel.checkpoint()

    def _kept_line(self) -> _Line | None:
        """The one that was used last: the others have waited longer, and servers close those first."""
        while self._idle:
            line = self._idle.pop()
            if line.is_quiet():
                return line
            line.close()
        return None

    async def _connect(self) -> _Line:
        try:
            with trio.fail_after(CONNECT_TIMEOUT):
                return _Line(await trio.open_tcp_stream(self._host, self._port))
        except OSError as error:
            raise TransientError(f"cannot connect: {_describe(error)}") from error
        except trio.TooSlowError as error:
            raise TransientError(f"cannot connect: no answer within {CONNECT_TIMEOUT:g} s") from error


class _Line:
    """One connection, and where the protocol stands on it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._is_sent = False
        self._unsent: Exception | None = None
        self._on_sent: Callable[[], None] | None = None

    def is_quiet(self) -> bool:
        """Nothing came since the last answer: neither the end of the stream, nor bytes that belong to no request."""
        poll = select.poll()
        poll.register(self._stream.socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def may_go_on(self) -> bool:
        """Whether another exchange can follow the one that ended; the protocol is then ready for it."""
        left_over, _ = self._protocol.trailing_data
        if left_over or not self._is_sent or self._protocol.states != _BOTH_DONE:
            return False
        self._protocol.start_next_cycle()
        return True

    def close(self) -> None:
        """Close it, also in the middle of an exchange."""
        self._stream.socket.close()

    async def exchange(self, head: h11.Request, request: Request, limit: int, asked: str) -> Response:
        """One request and its answer; afterwards `may_go_on` or `close`."""
        body = request.body
        start = self._start(head, request)
        try:
            if body is None or len(body) <= JOINED_BYTES:
                await self._send(start + (body or b""))
                return await self._receive(limit, asked)
            # A server may refuse a long request before it has read it all, and read no more of it.
            with unwrap_single_exception():
                async with trio.open_nursery() as sending:
                    sending.start_soon(self._send, start, body)
                    answer = await self._receive(limit, asked)
                    sending.cancel_scope.cancel()
            return answer
        except trio.BrokenResourceError as error:
            raise TransientError(f"the connection broke: {_describe(error)}") from error
        except h11.RemoteProtocolError as error:
            raise TransientError(f"no HTTP answer: {error}") from error

    def _start(self, head: h11.Request, request: Request) -> bytes:
        """Pass the whole request to the protocol, and return its head as bytes."""
        self._is_sent, self._unsent, self._on_sent = False, None, request.on_sent
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
            # The refusal that came before is worth reading; without one, this is what went wrong.
            self._unsent = error

    async def _receive(self, limit: int, asked: str) -> Response:
        answer = await self._head()
        headers = {name: value.decode("latin-1") for name, value in answer.headers}
        said = f"{asked}: {answer.status_code}"
        reject_content_encoding(headers.get(b"content-encoding"), said)
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > limit:
                raise BadReplyError(f"{said} with over {limit} bytes")
        return Response(answer.status_code, bytes(body), parse_retry_after(headers.get(b"retry-after")))

    async def _head(self) -> h11.Response:
        try:
            # An interim answer, such as 100 or 103, says that another one comes.
            while isinstance(event := await self._next_event(), h11.InformationalResponse):
                pass
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            if self._unsent is not None:
                raise self._unsent from None
            raise
        if not isinstance(event, h11.Response):
            raise TransientError(f"no HTTP answer but {event!r}")
        return event

    async def _next_event(self) -> object:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(await self._stream.receive_some(READ_BYTES))
        return event


def _describe(error: BaseException) -> str:
    """What went wrong, of an error that may hold what each of several addresses answered."""
    cause = error.__cause__
    if isinstance(cause, ExceptionGroup):
        return _describe(cast("ExceptionGroup[Exception]", cause).exceptions[-1])
    if isinstance(cause, OSError):
        return _describe(cause)
    return str(error) or type(error).__name__


_BOTH_DONE = {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
