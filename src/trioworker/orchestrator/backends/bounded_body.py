"""Reads the body of a response within a limit that also applies to the decompressed body.

A few KB of gzip expand to gigabytes, and httpx decompresses each piece as a whole. So only gzip and deflate are
requested, and decompressed here.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import httpx

ACCEPTED_ENCODINGS = "gzip, deflate"
"""The value of the header `Accept-Encoding`."""
ANY_HEADER = 32 + zlib.MAX_WBITS
"""Lets zlib recognize gzip and zlib's own format, which `deflate` is in HTTP (RFC 9110, 8.4.1.2)."""


class BodyError(Exception):
    """The body can't be read; the message says why."""


class BodyTooLongError(BodyError):
    """The body is longer than the limit."""


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The body of a response that was opened as a stream.

    Raises:
        BodyTooLongError: it is longer than `limit` bytes.
        BodyError: it can't be decompressed.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise BodyError(f"it has the Content-Encoding {encoding[:40]!r}, which was not requested")
    decompressor = None if encoding in {"", "identity"} else zlib.decompressobj(ANY_HEADER)
    body = bytearray()
    problem: BodyError | None = None
    with trio.CancelScope() as reading:
        async for chunk in response.aiter_raw():
            if problem is not None:
                continue
            try:
                # One byte over the limit shows that there is more.
                body += chunk if decompressor is None else decompressor.decompress(chunk, limit + 1 - len(body))
            except zlib.error as error:
                problem = BodyError(f"it can't be decompressed: {error}")
            if len(body) > limit:
                problem = BodyTooLongError(f"it has more than {limit} bytes")
            if problem is not None:
                # A cancel closes httpx's async generators; `break` would leave them to the garbage collector.
                reading.cancel()
    if problem is None and decompressor is not None and body and not decompressor.eof:
        problem = BodyError("it can't be decompressed: it ends too early")
    if problem is not None:
        raise problem
    return bytes(body)
