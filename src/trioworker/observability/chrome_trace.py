"""A trace file in the Chrome trace-event format, which Perfetto (ui.perfetto.dev) and speedscope open.

The file is a JSON array of events, each with the comma before it: if the worker is killed, only the closing bracket is
missing, which the format allows. A span that has ended when it is written is one event. An open one is two, its begin
and its end, so that a span in which the worker was killed is shown as unfinished.

What is recorded is kept and encoded later, in batches: that takes a third of the time.
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


class TraceEvent(msgspec.Struct, omit_defaults=True):
    """An event of the format. `ts` and `dur` are in microseconds; all processes of a machine share the clock."""

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
    """The sink that writes the file. A write error ends the trace, never the job.

    A worker that resumes a job continues the file of the one that was killed, as another process. Any other file at
    the path is replaced.

    Raises:
        ConfigError: the file can't be opened.
    """

    propagates = False

    def __init__(self, path: Path, job_id: str) -> None:
        self._path = path
        title = f"trioworker {job_id}"
        try:
            self._file, earlier_workers = _open_file(path, title)
        except OSError as error:
            raise ConfigError(f"--trace {path}: {error.strerror}; name a file that can be written") from error
        # Not the process id, which is the same for each worker in a container.
        self._process = earlier_workers + 1
        self._separator = b",\n" if earlier_workers else b"[\n"
        self._lanes = Lanes(self._name_thread)
        self._pending: list[tuple[Callable[[Any], None], Any]] = []
        self._written_as_begun: set[RecordedSpan] = set()
        self._buffer = bytearray()
        self._size = os.fstat(self._file).st_size
        self._encode(TraceEvent("M", self._process, 0, 0, "process_name", args={"name": title}))
        self._encode(TraceEvent("M", self._process, 0, 0, "process_labels", args={"labels": f"pid {os.getpid()}"}))

    def span_started(self, span: RecordedSpan) -> None:
        """Write the begin."""
        self._pending.append((self._encode_begin, span))

    def span_ended(self, span: RecordedSpan) -> None:
        """Write the end, with the results."""
        self._pending.append((self._encode_end, span))

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute]) -> None:
        """Write an instant event."""
        self._pending.append((self._encode_instant, (name, track, at, attributes)))

    def counter(self, name: str, at: int, value: float) -> None:
        """Write a value of a counter."""
        self._pending.append((self._encode, TraceEvent("C", self._process, 0, at / 1e3, name, args={"value": value})))

    def headers(self, span: RecordedSpan) -> Mapping[str, str]:  # noqa: ARG002 - the interface
        """Return nothing: a file is not shared with other services."""
        return {}

    def flush(self) -> None:
        """Write, if anything was recorded."""
        if self._pending:
            self.write()

    def write(self) -> None:
        """Write what was recorded, so that it survives a SIGKILL."""
        pending, self._pending = self._pending, []
        for encode, what in pending:
            encode(what)
        if self._file >= 0:
            self._write_out()
        self._buffer.clear()

    def close(self) -> None:
        """Write the end of the array, and close the file."""
        self._pending.append((self._buffer.extend, b"\n]\n"))
        self.write()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _encode_begin(self, span: RecordedSpan) -> None:
        thread = self._lanes.enter(span)
        began, args = span.started_at / 1e3, span.attributes
        if span.ended_at:
            duration = span.ended_at / 1e3 - began
            self._encode(
                TraceEvent("X", self._process, thread, began, span.name, span.kind, duration, "", args | _results(span))
            )
        else:
            self._written_as_begun.add(span)
            self._encode(TraceEvent("B", self._process, thread, began, span.name, span.kind, args=args))

    def _encode_end(self, span: RecordedSpan) -> None:
        thread = self._lanes.leave(span)
        if span in self._written_as_begun:
            self._written_as_begun.remove(span)
            self._encode(TraceEvent("E", self._process, thread, span.ended_at / 1e3, args=_results(span)))

    def _encode_instant(self, mark: tuple[str, str, int, Mapping[str, Attribute]]) -> None:
        name, track, at, attributes = mark
        self._encode(TraceEvent("i", self._process, self._lanes.main(track), at / 1e3, name, s="t", args=attributes))

    def _name_thread(self, thread: int, name: str, order: int) -> None:
        self._encode(TraceEvent("M", self._process, thread, 0, "thread_name", args={"name": name}))
        self._encode(TraceEvent("M", self._process, thread, 0, "thread_sort_index", args={"sort_index": order}))

    def _encode(self, event: TraceEvent) -> None:
        self._buffer += self._separator
        self._buffer += _encode(event)
        self._separator = b",\n"

    def _write_out(self) -> None:
        # A single write: if the worker is killed, the file has either all of it or nothing.
        try:
            written = os.write(self._file, self._buffer)
        except OSError as error:
            self._stop_writing(str(error.strerror))
            return
        if written < len(self._buffer):
            self._stop_writing("no space left")
        else:
            self._size += written

    def _stop_writing(self, reason: str) -> None:
        logger.warning("{}: the trace stops here: {}", self._path, reason)
        if os.fstat(self._file).st_size > self._size:
            os.ftruncate(self._file, self._size)
        os.close(self._file)
        self._file = -1


def _results(span: RecordedSpan) -> dict[str, Attribute]:
    """Return the attributes of the end of a span."""
    return span.results if span.error is None else {**span.results, "error": span.error.__name__}


def _open_file(path: Path, title: str) -> tuple[int, int]:
    """Open the file for writing, with mode 0600; return it and the number of earlier workers that wrote to it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        return file, 0
    try:
        os.fchmod(file, 0o600)
    except OSError:
        os.close(file)
        raise
    content = os.pread(file, status.st_size, 0)
    first = content[: content.find(b"\n", 2)]
    if content.endswith(b"}") and first.startswith(b"[\n") and msgspec.json.encode(title) in first:
        os.lseek(file, 0, os.SEEK_END)
        return file, content.count(b'"process_name"')
    os.ftruncate(file, 0)
    return file, 0


_encode = msgspec.json.Encoder().encode
