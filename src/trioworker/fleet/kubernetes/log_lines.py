"""The lines of a container's log, with the times at which they were written."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable

MAX_LINE = 256 * 1024
"""Bytes of a line; a longer one is split."""
_TIMESTAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|[+-]\d\d:\d\d)$")


class LogLine(NamedTuple):
    """A line of a log, with its newline unless it is split or the last one.

    `time` is when it was written, in RFC 3339 with nanoseconds, so later ones sort last; "" if the node doesn't say.
    """

    time: str
    text: bytes


async def split_lines(chunks: AsyncIterable[bytes], since: str = "") -> AsyncGenerator[LogLine]:
    """Split a log that was requested with timestamps, and skip what was written at `since` or before.

    The API's `sinceTime` has a resolution of a second, so it returns some lines again.
    """
    is_new = not since
    async with aclosing(_joined(chunks)) as lines:
        async for line in lines:
            # The rest of a line that was split has no time of its own.
            is_new = line.time > since if line.time else is_new
            if is_new:
                yield line


async def _joined(chunks: AsyncIterable[bytes]) -> AsyncGenerator[LogLine]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _parse(line + b"\n")
        if len(rest) > MAX_LINE:
            yield _parse(rest)
            rest = b""
    if rest:
        yield _parse(rest)


def _parse(line: bytes) -> LogLine:
    time, separator, text = line.partition(b" ")
    if separator and _TIMESTAMP.match(time):
        return LogLine(time.decode(), text)
    return LogLine("", line)
