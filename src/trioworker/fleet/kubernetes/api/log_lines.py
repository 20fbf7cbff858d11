"""The lines of a container's log, with the times at which they were written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator

MAX_LINE = 256 * 1024
"""Bytes of a line; a longer one is split."""
_TIMESTAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|[+-]\d\d:\d\d)$")


class LogLine(NamedTuple):
    """A line of a log, with its newline unless it is split or the last one.

    `time` is when it was written, in RFC 3339 with nanoseconds, so later ones sort last; "" if the node sends no times.
    """

    time: str
    text: bytes


async def split_lines(chunks: AsyncIterable[bytes], since: str = "") -> AsyncGenerator[LogLine]:
    """Split a log that was requested with timestamps, and skip the lines written at `since` or earlier.

    The API's `sinceTime` has a resolution of a second, so it returns some lines again.
    """
    splitter = _Splitter(since)
    async for chunk in chunks:
        for line in splitter.feed(chunk):
            yield line
    for line in splitter.end():
        yield line


class _Splitter:
    def __init__(self, since: str) -> None:
        self._since = since
        self._rest = b""
        self._is_new = not since

    def feed(self, chunk: bytes) -> Generator[LogLine]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._new(line + b"\n")
        if len(self._rest) > MAX_LINE:
            yield from self.end()

    def end(self) -> Generator[LogLine]:
        if self._rest:
            rest, self._rest = self._rest, b""
            yield from self._new(rest)

    def _new(self, text: bytes) -> Generator[LogLine]:
        line = _parse(text)
        # The rest of a line that was split has no time of its own.
        self._is_new = line.time > self._since if line.time else self._is_new
        if self._is_new:
            yield line


def _parse(line: bytes) -> LogLine:
    time, separator, text = line.partition(b" ")
    if separator and _TIMESTAMP.match(time):
        return LogLine(time.decode(), text)
    return LogLine("", line)
