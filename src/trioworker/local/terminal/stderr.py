"""Notices and the worker's log, printed above the bottom lines where they go to the same terminal as the output."""

from __future__ import annotations

import os
import stat
import sys
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.observability.bounded_stream import DescriptorStream
from trioworker.protocol.control_characters import escape_text
from trioworker.supervision.nurseries import unwrap_single_exception

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

MAX_LINE = 64 * 1024
"""Characters after which a line without an end is printed."""
END_TIMEOUT = 0.5
"""Seconds to wait, after the worker's end, for the end of its log: a process that it left may hold the pipe open."""


def is_same_terminal(one: int, other: int) -> bool:
    """Whether both descriptors are the same terminal."""
    try:
        first, second = os.fstat(one), os.fstat(other)
    except OSError:
        return False
    return stat.S_ISCHR(first.st_mode) and os.isatty(one) and first.st_rdev == second.st_rdev


class LineStream(DescriptorStream):
    """A text stream that passes whole lines on; it stands in for standard error."""

    def __init__(self, descriptor: int, print_lines: Callable[[str], None]) -> None:
        super().__init__(descriptor, "utf-8")
        self._print = print_lines
        self._partial = ""
        self._lock = threading.RLock()

    def write(self, text: str, /) -> int:
        """Pass on the text up to its last line end; the rest waits for its line end, or for `finish`."""
        with self._lock:
            lines, end, self._partial = (self._partial + text).rpartition("\n")
            if end:
                self._print(lines + end)
            if len(self._partial) > MAX_LINE:
                self.finish()
        return len(text)

    def finish(self) -> None:
        """Pass on a line without an end."""
        with self._lock:
            partial, self._partial = self._partial, ""
            if partial:
                self._print(f"{partial}\n")


class LogPipe:
    """A pipe for the worker's log. Its lines are printed with their control characters escaped.

    Attributes:
        writer: the end for the worker, which may be started several times.
    """

    def __init__(self, print_lines: Callable[[str], None]) -> None:
        self._lines = LineStream(2, lambda text: print_lines(escape_text(text)))
        self._reader, self.writer = os.pipe()

    async def copy(self) -> None:
        """Print what arrives until all writers have closed the pipe."""
        async with trio.lowlevel.FdStream(self._reader) as stream:
            async for chunk in stream:
                self._lines.write(chunk.decode("utf-8", "replace"))

    def close_writer(self) -> None:
        """Close our end, so that `copy` ends when the worker has ended."""
        os.close(self.writer)

    def finish(self) -> None:
        """Print a line without an end."""
        self._lines.finish()


@asynccontextmanager
async def open_log_pipe(print_lines: Callable[[str], None]) -> AsyncGenerator[LogPipe]:
    """A pipe that is copied, and on exit copied to its end, for at most `END_TIMEOUT` seconds."""
    pipe = LogPipe(print_lines)
    with unwrap_single_exception():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.copy)
            try:
                yield pipe
            finally:
                pipe.close_writer()
                nursery.cancel_scope.deadline = trio.current_time() + END_TIMEOUT
    pipe.finish()


@contextmanager
def notices_above(print_lines: Callable[[str], None]) -> Generator[None]:
    """Replace standard error with a stream whose lines are printed by `print_lines`."""
    original = sys.stderr
    replacement = LineStream(original.fileno(), print_lines)
    sys.stderr = replacement
    try:
        yield
    finally:
        sys.stderr = original
        replacement.finish()
