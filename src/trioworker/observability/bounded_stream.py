"""Standard streams that never block: a pipe that nobody reads must not stop the event loop or the exit.

A thread of its own writes, since neither of the alternatives works for every descriptor: O_NONBLOCK would also change
the descriptor of other processes that share it, such as a shell's terminal; and a pipe that poll() reports as writable
may be filled by another process before the write.
"""

from __future__ import annotations

import io
import os
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_WAITING_BYTES = 1024 * 1024
"""Bytes that may wait to be written, which are thousands of log lines; further text is dropped."""


class DescriptorStream(io.TextIOBase):
    """A text stream that stands in for that of a descriptor."""

    def __init__(self, descriptor: int, encoding: str) -> None:
        self._descriptor = descriptor
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - typeshed has an attribute
        """The encoding of the text."""
        return self._encoding

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """True."""
        return True


class BoundedStream(DescriptorStream):
    """A text stream whose `write` and `flush` return at once, and never fail.

    Whole lines are passed to the descriptor by a thread. If more than `limit` bytes wait, or the descriptor can't be
    written to, lines are dropped; when writing works again, `describe_dropped` returns the line that counts them.
    Characters that the encoding lacks are escaped.
    """

    def __init__(
        self,
        descriptor: int,
        encoding: str = "utf-8",
        *,
        limit: int = MAX_WAITING_BYTES,
        describe_dropped: Callable[[int], str] | None = None,
    ) -> None:
        super().__init__(descriptor, encoding)
        self._limit = limit
        self._describe_dropped = describe_dropped
        # Reentrant: a destructor may write a warning while this thread writes.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[bytes] = deque()
        self._waiting = 0
        self._partial = ""
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Lines that were dropped since their number was last written."""
        self.error: OSError | None = None
        """Why the last write failed, None if it succeeded."""

    def write(self, text: str, /) -> int:
        """Queue the text up to its last line end; the rest waits for its line end, or for `drain`."""
        with self._changed:
            lines, end, self._partial = (self._partial + text).rpartition("\n")
            if len(self._partial) > self._limit:
                lines, self._partial = lines + end + self._partial, ""
            if lines or end:
                self._queue_text(lines + end)
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread is writing already."""

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until all text is written or dropped, at most `timeout` seconds; return whether it is."""
        with self._changed:
            if self._partial:
                partial, self._partial = self._partial, ""
                self._queue_text(partial)
            return self._changed.wait_for(lambda: not self._waiting, timeout)

    def _queue_text(self, text: str) -> None:
        data = text.encode(self._encoding, "backslashreplace")
        # A text of any length is accepted when nothing waits.
        if self._waiting and self._waiting + len(data) > self._limit:
            self.dropped += _lines(data)
            return
        self._queue.append(data)
        self._waiting += len(data)
        self._changed.notify_all()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._write_queue, name="output", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # a limit on processes or memory; a later write tries again
            self._thread = None
            self._write_next()

    def _write_queue(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
            self._write_next()

    def _write_next(self) -> None:
        data = self._queue[0]
        error = _write(self._descriptor, data)
        with self._changed:
            self._queue.popleft()
            self._waiting -= len(data)
            self.error = error
            if error is not None:
                self.dropped += _lines(data)
            elif self.dropped and not self._queue and self._describe_dropped is not None:
                dropped, self.dropped = self.dropped, 0
                self._queue_text(self._describe_dropped(dropped))
            self._changed.notify_all()


def wait_until_written(stream: TextIO | BoundedStream) -> None:
    """Wait until everything that was written to the stream is passed on, even if its reader pauses.

    Raises:
        OSError: the stream can't be written to.
    """
    if not isinstance(stream, BoundedStream):
        stream.flush()
        return
    stream.drain()
    if stream.error is not None:
        raise stream.error


def _write(descriptor: int, data: bytes) -> OSError | None:
    """Write everything, or return what prevents it."""
    left = memoryview(data)
    try:
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:  # another process has set O_NONBLOCK
                waiting = select.poll()
                waiting.register(descriptor, select.POLLOUT)
                waiting.poll()
    except OSError as error:
        return error
    return None


def _lines(data: bytes) -> int:
    return max(1, data.count(b"\n"))
