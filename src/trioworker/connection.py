"""One HTTP exchange with the orchestrator, over a pool of kept connections.

This is the one place that knows httpx, and the edge where what httpx and the socket raise becomes ours. It speaks to
the transport itself: what httpx's client adds (redirects, cookies, authentication flows, decoding) the contract has no
use for, and it costs more than the exchange.
"""

from __future__ import annotations

import email.utils
import time
from typing import TYPE_CHECKING, Final

import httpx
import msgspec
import trio

from trioworker.errors import BadReplyError, OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CONNECTIONS = 64
"""More than there are requests at once: httpcore leaks the slot of a cancelled request that waits for a connection."""
KEPT_CONNECTIONS = 8
"""Connections that stay open between requests: the actors have three requests under way at the most."""
CONNECT_TIMEOUT = 3.0
"""Seconds for a connection: less than any attempt has, so that an attempt that never went out is known as one."""
POOL_TIMEOUT = 5.0
"""Seconds to wait for a free connection, which is never missing unless slots were lost."""
CLOSE_TIMEOUT = 1.0
"""Seconds to say goodbye to the connections."""

# Reads and writes are bounded by the caller's scope: httpx's own bounds are per operation and end no dripping body.
_TIMEOUTS: Final = {"connect": CONNECT_TIMEOUT, "pool": POOL_TIMEOUT, "read": None, "write": None}


class Answer(msgspec.Struct, frozen=True):
    """A whole HTTP answer; `pause` is the seconds that its `Retry-After` asks for, 0 without one."""

    status: int
    body: bytes
    pause: float = 0.0


class PassingError(Exception):
    """An attempt failed in a way that the next one may not.

    `pause` is the seconds that the orchestrator asked for; `sent` is False when no byte of the request went out.
    """

    def __init__(self, reason: str, *, pause: float = 0.0, sent: bool = True) -> None:
        super().__init__(reason)
        self.pause = pause
        self.sent = sent


class Connection:
    """The connections to one base URL, which ends with a slash. `headers` go with every request."""

    def __init__(
        self, base: str, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._base = base
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
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

    async def exchange(
        self, method: str, path: str, body: bytes | None, more_headers: Mapping[str, str], limit: int
    ) -> Answer:
        """Send a request and read the whole answer, whose body may have `limit` bytes.

        Raises:
            PassingError: it failed, and another attempt may not.
            BadReplyError: the body is over the limit, or packed.
            OrchestratorError: no request can be made of this URL.
        """
        try:
            response = await self._transport.handle_async_request(self._request(method, path, body, more_headers))
            try:
                said = f"{method} {self._base}{path}: {response.status_code}"
                return Answer(response.status_code, await _read(response, limit, said), _retry_after(response.headers))
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT):
                    await response.aclose()
        except httpx.PoolTimeout:
            lost = "no connection was free"
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise PassingError(f"cannot connect: {error}", sent=False) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise OrchestratorError(f"{method} {self._base}{path}: {error}") from error
        except httpx.HTTPError as error:
            raise PassingError(f"{type(error).__name__}: {error}") from error
        await self._renew()
        raise PassingError(lost, sent=False)

    async def aclose(self) -> None:
        """Close the connections, and with them a transport that was given, as httpx's own client does."""
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._transport.aclose()

    async def _renew(self) -> None:
        """Take a fresh pool: the old one's slots may be lost to cancelled requests. There is none of a given kind."""
        if not self._is_given:
            stale, self._transport = self._transport, self._pool()
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await stale.aclose()

    def _request(self, method: str, path: str, body: bytes | None, more_headers: Mapping[str, str]) -> httpx.Request:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = httpx.URL(self._base + path)
        headers = {**self._headers, **more_headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return httpx.Request(method, url, headers=headers, content=body, extensions={"timeout": _TIMEOUTS})


async def _read(response: httpx.Response, limit: int, said: str) -> bytes:
    # A few packed bytes can become gigabytes in one piece, before anyone could count them.
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in {"", "identity"}:
        raise BadReplyError(f"{said} with a body packed by {packing[:40]!r}, which was not asked for")
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


def _retry_after(headers: httpx.Headers) -> float:
    """Seconds that a `Retry-After` header asks for, as a number or as a date (RFC 9110, 10.2.3); 0 without one."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        wanted = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, wanted - time.time())
