"""One HTTP exchange with the orchestrator: what the client needs of a connection, of whichever kind it is."""

from __future__ import annotations

import email.utils
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from trioworker.errors import BadReplyError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT_CONNECTIONS = 8
"""Connections that stay open between requests: the actors have three requests under way at the most."""
CONNECT_TIMEOUT = 3.0
"""Seconds for a connection: less than any attempt has, so that an attempt that never went out is known as one."""


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


class Connection(Protocol):
    """The connections to one base URL, which ends with a slash."""

    async def exchange(
        self, method: str, path: str, body: bytes | None, more_headers: Mapping[str, str], limit: int
    ) -> Answer:
        """Send a request and read the whole answer, whose body may have `limit` bytes.

        Raises:
            PassingError: it failed, and another attempt may not.
            BadReplyError: the body is over the limit, or packed.
            OrchestratorError: no request can be made of this URL.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections, and with them a transport that was given, as httpx's own client does."""
        ...


def refuse_packed(encoding: str | None, said: str) -> None:
    """Take no body that has a `Content-Encoding`: none was asked for.

    A few packed bytes can become gigabytes in one piece, before anyone could count them.

    Raises:
        BadReplyError: the body is packed.
    """
    packing = (encoding or "").strip().lower()
    if packing not in {"", "identity"}:
        raise BadReplyError(f"{said} with a body packed by {packing[:40]!r}, which was not asked for")


def retry_after(value: str | None) -> float:
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
