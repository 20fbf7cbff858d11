"""Exchanges over a transport of httpx's: for HTTPS, and for one that a test or a harness hands in.

This is the one place that knows httpx, and the edge where what it raises becomes ours. It speaks to the transport
itself: what httpx's client adds (redirects, cookies, authentication flows, decoding) the contract has no use for, and
it costs more than the exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx
import trio

from trioworker.errors import BadReplyError, OrchestratorError
from trioworker.worker.client.exchange import (
    CONNECT_TIMEOUT,
    KEPT_CONNECTIONS,
    Response,
    TransientError,
    parse_retry_after,
    reject_content_encoding,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from trioworker.worker.client.exchange import Request

MAX_CONNECTIONS = 64
"""More than there are requests at once: httpcore leaks the slot of a cancelled request that waits for a connection."""
POOL_TIMEOUT = 5.0
"""Seconds to wait for a free connection, which is never missing unless slots were lost."""
CLOSE_TIMEOUT = 1.0
"""Seconds to say goodbye to the connections."""

# Reads and writes are bounded by the caller's scope: httpx's own bounds are per operation and end no dripping body.
_TIMEOUTS: Final = {"connect": CONNECT_TIMEOUT, "pool": POOL_TIMEOUT, "read": None, "write": None}


class HttpxConnection:
    """A `Connection` over httpx's pool, or over the transport that was given."""

    def __init__(
        self, base: str, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._base = base
        self._headers = headers
        self._urls: dict[str, httpx.URL] = {}
        self._is_given = transport is not None
        self._transport = transport or self._pool()

    def _pool(self) -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(
            # Loading the certificates takes longer than the whole rest of the start; plain HTTP needs none.
            verify=self._base.startswith("https:"),
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=KEPT_CONNECTIONS),
            trust_env=False,
        )

    async def exchange(self, request: Request, limit: int) -> Response:
        """Send a request and read the whole answer: see `Connection`."""
        asked = f"{request.method} {self._base}{request.path}"
        try:
            response = await self._transport.handle_async_request(self._httpx_request(request))
            try:
                said = f"{asked}: {response.status_code}"
                content = await _read(response, limit, said)
                return Response(response.status_code, content, parse_retry_after(response.headers.get("retry-after")))
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT):
                    await response.aclose()
        except httpx.PoolTimeout:
            lost = "no connection was free"
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise TransientError(f"cannot connect: {error}") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise OrchestratorError(f"{asked}: {error}") from error
        except httpx.HTTPError as error:
            raise TransientError(f"{type(error).__name__}: {error}") from error
        await self._renew()
        raise TransientError(lost)

    async def aclose(self) -> None:
        """Close the connections, and a transport that was given: see `Connection`."""
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._transport.aclose()

    async def _renew(self) -> None:
        """Take a fresh pool: the old one's slots may be lost to cancelled requests. There is none of a given kind."""
        if not self._is_given:
            stale, self._transport = self._transport, self._pool()
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await stale.aclose()

    def _httpx_request(self, request: Request) -> httpx.Request:
        url = self._urls.get(request.path)
        if url is None:
            url = self._urls[request.path] = httpx.URL(self._base + request.path)
        headers = {**self._headers, **request.headers}
        if request.body is None:
            return httpx.Request(request.method, url, headers=headers, extensions={"timeout": _TIMEOUTS})
        headers |= {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "Content-Length": str(len(request.body)),
        }
        body = _Body(request.body, request.on_sent)
        return httpx.Request(request.method, url, headers=headers, stream=body, extensions={"timeout": _TIMEOUTS})


class _Body(httpx.AsyncByteStream):
    """A request's body. The transport asks for more only after it has sent what it got, which tells when all is sent."""

    def __init__(self, body: bytes, on_sent: Callable[[], None] | None) -> None:
        self._body = body
        self._on_sent = on_sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body
        if self._on_sent is not None:
            self._on_sent()


async def _read(response: httpx.Response, limit: int, said: str) -> bytes:
    reject_content_encoding(response.headers.get("content-encoding"), said)
    body = bytearray()
    with trio.CancelScope() as reading:
        async for chunk in _chunks(response):
            body += chunk
            if len(body) > limit:
                # Left early, the generators within httpx would be left to the garbage collector; a cancel ends them.
                reading.cancel()
    if len(body) > limit:
        raise BadReplyError(f"{said} with over {limit} bytes")
    return bytes(body)


def _chunks(response: httpx.Response) -> httpx.AsyncByteStream:
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise OrchestratorError("the transport answers with a stream that is not asynchronous")
    return stream
