"""One HTTP exchange with the orchestrator: what the client needs of a connection, of whichever kind it is."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import msgspec

from trioworker.errors import BadReplyError

KEPT_CONNECTIONS = 8
"""Connections that stay open between requests: the actors have three requests under way at the most."""
CONNECT_TIMEOUT = 3.0
"""Seconds for a connection: less than any attempt has, so that an attempt that never went out is known as one."""


class Request(NamedTuple):
    """A request to a path below the base URL; `headers` are added to those of the connection.

    `on_sent` is called when the whole request was handed to the system, or to the transport that was given.
    """

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    on_sent: Callable[[], None] | None = None


class Response(msgspec.Struct, frozen=True):
    """A whole HTTP answer; `pause` is the seconds that its `Retry-After` asks for, 0 without one."""

    status: int
    body: bytes
    retry_after: float = 0.0


class TransientError(Exception):
    """An attempt failed in a way that the next one may not.

    `retry_after` is the seconds that the orchestrator asked for, 0 if it did not.
    """

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Connection(Protocol):
    """The connections to one base URL, which ends with a slash."""

    async def exchange(self, request: Request, limit: int) -> Response:
        """Send a request and read the whole answer, whose body may have at most `limit` bytes.

        Raises:
            PassingError: it failed, and another attempt may not.
            BadReplyError: the body is over the limit, or packed.
            OrchestratorError: no request can be made of this URL.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections, and with them a transport that was given, as httpx's own client does."""
        ...


def reject_content_encoding(encoding: str | None, said: str) -> None:
    """Take no body that has a `Content-Encoding`: none was asked for.

    A few packed bytes can become gigabytes in one piece, before anyone could count them.

    Raises:
        BadReplyError: the body is packed.
    """
    packing = (encoding or "").strip().lower()
    if packing not in {"", "identity"}:
        raise BadReplyError(f"{said} with a body packed by {packing[:40]!r}, which was not asked for")


def parse_retry_after(value: str | None) -> float:
    """Seconds that a `Retry-After` header asks for, as a number or as a date (RFC 9110, 10.2.3); 0 without one."""
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
