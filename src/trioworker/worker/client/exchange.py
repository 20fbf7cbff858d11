"""One HTTP exchange with the orchestrator: the interface of a connection, and what its implementations share."""

from __future__ import annotations

import email.utils
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from trioworker.errors import BadReplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEPT_CONNECTIONS = 8
"""Connections that stay open between requests. The actors make at most three requests at once."""
CONNECT_TIMEOUT = 3.0
"""Seconds for connecting after the name lookup, and again for the TLS handshake: less than the limit of any attempt, so
that an attempt that sent nothing is reported as such.
"""


NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class HttpRequest(NamedTuple):
    """A request to a path below the base URL. `headers` are added to those of the connection.

    `on_sent` is called when the whole request was passed to the operating system, or to the given transport. It isn't
    called before a connection exists.
    """

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = NO_HEADERS
    on_sent: Callable[[], None] | None = None


class HttpResponse(msgspec.Struct, frozen=True):
    """A complete HTTP response. `retry_after` is the number of seconds in its `Retry-After`, 0 without one."""

    status: int
    body: bytes
    retry_after: float = 0.0


class TransientError(Exception):
    """An attempt failed, and a retry may succeed. Never leaves the client.

    `retry_after` is the number of seconds that the orchestrator asked to wait, 0 if it didn't. `status` is the status
    of its response, None without a complete response.
    """

    def __init__(self, reason: str, *, retry_after: float = 0.0, status: int | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.status = status


class UntrustedError(TransientError):
    """The server's certificate isn't trusted. A retry can only help if an earlier request succeeded."""


class Connection(Protocol):
    """The connections to one base URL, which ends with a slash."""

    async def exchange(self, request: HttpRequest, limit: int) -> HttpResponse:
        """Send a request and read the complete response, whose body may have at most `limit` bytes.

        The caller bounds the time by a cancel scope; only the name lookup and connecting have time-outs of their own.

        Raises:
            TransientError: the exchange failed, and a retry may succeed.
            BadReplyError: the body exceeds the limit, or is compressed.
            OrchestratorError: the URL or a header can't be sent.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections, and a given transport, as httpx's own client does."""
        ...


def reject_content_encoding(encoding: str | None, described: str) -> None:
    """Refuse a body with a `Content-Encoding`: no request accepts one. `described` names the response in the message.

    A few compressed bytes can expand to gigabytes at once, before a limit could apply.

    Raises:
        BadReplyError: the body is compressed.
    """
    encoding = (encoding or "").strip().lower()
    if encoding not in {"", "identity"}:
        raise BadReplyError(f"{described} with Content-Encoding {encoding[:40]!r}, which was not requested")


def parse_retry_after(value: str | None) -> float:
    """The seconds in a `Retry-After` header, a number or a date (RFC 9110, 10.2.3); 0 if it is absent or invalid."""
    value = (value or "").strip()
    if not value:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        wanted = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, wanted - time.time())
