"""Exchanges over a transport of httpx that a test or a harness passes.

Only this module uses httpx, and it translates its exceptions. It calls the transport directly: the contract has no use
for what httpx's client adds (redirects, cookies, authentication, decoding), which takes longer than the exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import httpx
import trio

from trioworker.errors import BadReplyError, OrchestratorError
from trioworker.worker.client.exchange import (
    HttpResponse,
    TransientError,
    parse_retry_after,
    reject_content_encoding,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trioworker.worker.client.exchange import HttpRequest

CLOSE_TIMEOUT = 1.0
"""Seconds for closing a response or the transport."""


class HttpxConnection:
    """A `Connection` over the given transport, which it closes."""

    def __init__(self, base: str, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport) -> None:
        self._base = base
        self._headers = headers
        self._urls: dict[str, httpx.URL] = {}
        self._transport = transport

    async def exchange(self, request: HttpRequest, limit: int) -> HttpResponse:
        """Send a request and read the response: see `Connection`."""
        target = f"{request.method} {self._base}{request.path}"
        try:
            response = await self._transport.handle_async_request(self._httpx_request(request))
            try:
                content = await _read(response, limit, f"{target}: {response.status_code}")
                return HttpResponse(
                    response.status_code, content, parse_retry_after(response.headers.get("retry-after"))
                )
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT):
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise TransientError(f"cannot connect: {error}") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise OrchestratorError(f"{target}: {error}") from error
        except httpx.HTTPError as error:
            raise TransientError(f"{type(error).__name__}: {error}") from error

    async def aclose(self) -> None:
        """Close the transport: see `Connection`."""
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._transport.aclose()

    def _httpx_request(self, request: HttpRequest) -> httpx.Request:
        url = self._urls.get(request.path)
        if url is None:
            url = self._urls[request.path] = httpx.URL(self._base + request.path)
        headers = {**self._headers, **request.headers}
        if request.body is None:
            return httpx.Request(request.method, url, headers=headers)
        headers |= {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "Content-Length": str(len(request.body)),
        }
        body = _Body(request.body, request.on_sent)
        return httpx.Request(request.method, url, headers=headers, stream=body)


class _Body(httpx.AsyncByteStream):
    """The body of a request, in one part. The transport asks for the next part only after it has sent this one.

    It isn't an async generator, since httpcore doesn't close one when a request is cancelled while it sends.
    """

    def __init__(self, body: bytes, on_sent: Callable[[], None] | None) -> None:
        self._body = body
        self._on_sent = on_sent
        self._parts: list[bytes] = []

    def __aiter__(self) -> Self:
        self._parts = [self._body]
        return self

    async def __anext__(self) -> bytes:
        if self._parts:
            return self._parts.pop()
        if self._on_sent is not None:
            self._on_sent()
        raise StopAsyncIteration


async def _read(response: httpx.Response, limit: int, described: str) -> bytes:
    reject_content_encoding(response.headers.get("content-encoding"), described)
    body = bytearray()
    with trio.CancelScope() as reading:
        async for chunk in _chunks(response):
            body += chunk
            if len(body) > limit:
                # A cancel closes httpx's async generators; `break` would leave them to the garbage collector.
                reading.cancel()
    if len(body) > limit:
        raise BadReplyError(f"{described} with over {limit} bytes")
    return bytes(body)


def _chunks(response: httpx.Response) -> httpx.AsyncByteStream:
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise OrchestratorError("the transport returned a stream that is not asynchronous")
    return stream
