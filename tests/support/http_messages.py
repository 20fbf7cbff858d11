"""HTTP/1.1 messages on a stream, as a worker and its orchestrator send them: with a length, or without a body."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trio

READ_BYTES = 64 * 1024


class IncompleteMessageError(Exception):
    """The connection ended within a message."""


@dataclass(frozen=True)
class HttpMessage:
    """A request or a response: its first line, its body, and the whole of it."""

    line: bytes
    body: bytes
    raw: bytes

    @property
    def path(self) -> str:
        """That of a request: `event`, not `/worker/ID/event`."""
        return re.sub(r"^/worker/[^/]+/", "", self.line.split(b" ")[1].decode())

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])


class HttpMessages:
    """Reads one message after another from a stream."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._received = b""

    async def next(self) -> HttpMessage | None:
        """The next message; None at the end of the stream.

        Raises:
            IncompleteMessageError: the stream ended within a message.
        """
        while (message := self._whole_message()) is None:
            data = await self._stream.receive_some(READ_BYTES)
            if not data:
                if self._received:
                    raise IncompleteMessageError
                return None
            self._received += data
        self._received = self._received[len(message.raw) :]
        return message

    def _whole_message(self) -> HttpMessage | None:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if not end or len(rest) < size:
            return None
        return HttpMessage(head.split(b"\r\n")[0], rest[:size], head + end + rest[:size])
