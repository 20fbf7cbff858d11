"""A trace file in the Chrome trace-event format, which Perfetto (ui.perfetto.dev) and speedscope open.

The file is a JSON array of events, in which the comma stands before an event and not after it: wherever the worker is
killed, what was written is an array that lacks its bracket, and the format allows for that. A span that has ended when
it is written is one event. One that is open is two, its begin and its end, so that a span in which the worker died
shows as one that did not finish.

What is recorded is put down as it is and encoded later, many at once: that takes a third of the time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from loguru import logger

from trioworker.errors import ConfigError
from trioworker.observability.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trioworker.observability.recording import RecordedSpan
    from trioworker.observability.spans import Attribute


class Event(msgspec.Struct, omit_defaults=True):
    """An event of the format; `ts` is in microseconds of a clock that all processes of a machine share."""

    ph: str
    pid: int
    tid: int
    ts: float
    name: str = ""
    cat: str = ""
    dur: float = 0.0
    s: str = ""
    args: Mapping[str, Any] = {}


class ChromeTrace:
    """The sink that writes the file. A file that can't be written any more ends the trace and never the job.

    A worker that resumes a job goes on in the file of the one that was killed, as a process of its own; any other file
    of that name is replaced.

    Raises:
        ConfigError: the file can't be opened.
    """

    carries = False

    def __init__(self, path: Path, job_id: str) -> None:
        self._path = path
        title = f"trioworker {job_id}"
        try:
            self._file, lives = _open(path, title)
        except OSError as error:
            raise ConfigError(f"--trace {path}: {error.strerror}; name a file that can be written") from error
        # Not the process's number: in containers, each life has the same.
        self._process = lives + 1
        self._separator = b",\n" if lives else b"[\n"
        self._lanes = Lanes(self._name_thread)
        self._pending: list[tuple[Callable[[Any], None], Any]] = []
        self._begun: set[RecordedSpan] = set()
        self._buffer = bytearray()
        self._size = os.fstat(self._file).st_size
        self._encode(Event("M", self._process, 0, 0, "process_name", args={"name": title}))
        self._encode(Event("M", self._process, 0, 0, "process_labels", args={"labels": f"pid {os.getpid()}"}))

    def begin(self, span: RecordedSpan) -> None:
        """Write its begin."""
        self._pending.append((self._encode_begin, span))

    def end(self, span: RecordedSpan) -> None:
        """Write its end, with what was learnt meanwhile."""
        self._pending.append((self._encode_end, span))

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute]) -> None:
        """Write a mark."""
        self._pending.append((self._encode_instant, (name, track, at, attributes)))

    def count(self, name: str, at: int, value: float) -> None:
        """Write a point of a counter's curve."""
        self._pending.append((self._encode, Event("C", self._process, 0, at / 1e3, name, args={"value": value})))

    def headers(self, span: RecordedSpan) -> Mapping[str, str]:  # noqa: ARG002 - other sinks have some
        """None: nobody else writes to this file."""
        return {}

    def settle(self) -> None:
        """Write, if there is anything to be written."""
        if self._pending:
            self.write()

    def write(self) -> None:
        """Give what was recorded to the kernel, where a kill does not reach it."""
        pending, self._pending = self._pending, []
        for encode, what in pending:
            encode(what)
        if self._file >= 0:
            self._write_out()
        self._buffer.clear()

    def close(self) -> None:
        """End the array."""
        self._pending.append((self._buffer.extend, b"\n]\n"))
        self.write()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _encode_begin(self, span: RecordedSpan) -> None:
        thread = self._lanes.enter(span)
        began, args = span.began / 1e3, span.attributes
        if span.ended:
            duration = span.ended / 1e3 - began
            self._encode(
                Event("X", self._process, thread, began, span.name, span.kind, duration, "", args | _learnt(span))
            )
        else:
            self._begun.add(span)
            self._encode(Event("B", self._process, thread, began, span.name, span.kind, args=args))

    def _encode_end(self, span: RecordedSpan) -> None:
        thread = self._lanes.leave(span)
        if span in self._begun:
            self._begun.remove(span)
            self._encode(Event("E", self._process, thread, span.ended / 1e3, args=_learnt(span)))

    def _encode_instant(self, mark: tuple[str, str, int, Mapping[str, Attribute]]) -> None:
        name, track, at, attributes = mark
        self._encode(Event("i", self._process, self._lanes.main(track), at / 1e3, name, s="t", args=attributes))

    def _name_thread(self, thread: int, name: str, order: int) -> None:
        self._encode(Event("M", self._process, thread, 0, "thread_name", args={"name": name}))
        self._encode(Event("M", self._process, thread, 0, "thread_sort_index", args={"sort_index": order}))

    def _encode(self, event: Event) -> None:
        self._buffer += self._separator
        self._buffer += _encode(event)
        self._separator = b",\n"

    def _write_out(self) -> None:
        # One write for all: a kill finds it whole in the file, or not at all.
        try:
            written = os.write(self._file, self._buffer)
        except OSError as error:
            self._give_up(str(error.strerror))
            return
        if written < len(self._buffer):
            self._give_up("there is no room for it")
        else:
            self._size += written

    def _give_up(self, reason: str) -> None:
        logger.warning("the trace ends here, {}: {}", self._path, reason)
        if os.fstat(self._file).st_size > self._size:
            os.ftruncate(self._file, self._size)
        os.close(self._file)
        self._file = -1


def _learnt(span: RecordedSpan) -> dict[str, Attribute]:
    """What a span has at its end."""
    return span.results if span.error is None else {**span.results, "error": span.error.__name__}


def _open(path: Path, title: str) -> tuple[int, int]:
    """The file, ready for writing, and how many workers of this job have written to it and died."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        return file, 0
    content = os.pread(file, status.st_size, 0)
    first = content[: content.find(b"\n", 2)]
    if content.endswith(b"}") and first.startswith(b"[\n") and msgspec.json.encode(title) in first:
        os.lseek(file, 0, os.SEEK_END)
        return file, content.count(b'"process_name"')
    os.ftruncate(file, 0)
    return file, 0


_encode = msgspec.json.Encoder().encode
