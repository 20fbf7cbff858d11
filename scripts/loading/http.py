"""A minimal persistent HTTP/1.1 connection, so that the load test does not measure a client."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    import trio

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Connection:
    """A connection to 127.0.0.1 for one request at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a request; the status and the body of the response."""
        content = b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(content)}"]
        lines += ["Content-Type: application/json", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        await self._stream.send_all("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        received = b""
        while b"\r\n\r\n" not in received:
            received += await self._more()
        head, _, rest = received.partition(b"\r\n\r\n")
        status = int(head[9:12])
        length = _LENGTH.search(head)
        if length is None and status != 204 and b"chunked" in head.lower():
            raise RuntimeError("a chunked response")
        wanted = int(length[1]) if length else 0
        while len(rest) < wanted:
            rest += await self._more()
        return status, rest

    async def _more(self) -> bytes:
        data = await self._stream.receive_some()
        if not data:
            raise ConnectionError("the orchestrator closed the connection")
        return bytes(data)
