"""Shows a fleet on stderr: a line when a job ends, and on a terminal a live line of the running jobs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

import trio

from trioworker.fleet.waits import MAX_REASON
from trioworker.observability.bounded_stream import BoundedStream
from trioworker.observability.terminal_text import duration, first_line, fit
from trioworker.protocol.control_characters import escape_line

if TYPE_CHECKING:
    from typing import TextIO

    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.progress import Progress
    from trioworker.fleet.results import Result

REDRAW_INTERVAL = 1.0
"""Seconds between two drawings of the live line."""
DEFAULT_COLUMNS = 80
CLEAR_LINE = "\r\x1b[K"


class Observer(Protocol):
    """Is told what happens to the jobs of a fleet."""

    def started(self, job: FleetJob) -> None:
        """The job has a slot."""
        ...

    def retried(self, job: FleetJob, count: int, reason: str) -> None:
        """Attempt `count` of the job failed; there will be another one."""
        ...

    def ended(self, job: FleetJob, result: Result) -> None:
        """The job has its final result."""
        ...

    def notify(self, text: str) -> None:
        """Something that concerns more than one job, such as an outage."""
        ...

    def waiting(self, job: FleetJob, reason: str | None) -> None:
        """The job's worker can't start for a reason that may pass; None: it has started."""
        ...

    def not_started(self, job: FleetJob, reason: str) -> None:
        """The job could not be started; a rerun tries it again."""
        ...

    def left(self, job: FleetJob) -> None:
        """The fleet is stopped, and a rerun continues the job."""
        ...


class Display:
    """An `Observer` that shows what it is told."""

    def __init__(self, progress: Progress, stream: TextIO | None = None, *, columns: int | None = None) -> None:
        """`columns` is the width of the terminal, None if the stream isn't one: then there is no live line."""
        self._progress = progress
        self._stream = stream or sys.stderr
        self._columns = columns
        self._drawn = False

    def started(self, job: FleetJob) -> None:
        """See `Observer`."""
        self._progress.start(job)
        self._draw()

    def retried(self, job: FleetJob, count: int, reason: str) -> None:
        """See `Observer`."""
        self.notify(f"{_name(job)}: attempt {count} failed, trying again: {_reason(reason)}")

    def ended(self, job: FleetJob, result: Result) -> None:
        """See `Observer`."""
        self._progress.end(job, result)
        text = f"{result.status or 'failed'}: {_name(job)} ({duration(result.seconds)})"
        if not result.success and result.message:
            text += f": {_reason(result.message)}"
        self._count(text)

    def waiting(self, job: FleetJob, reason: str | None) -> None:
        """See `Observer`."""
        self._progress.waits.set(job, reason)

    def not_started(self, job: FleetJob, reason: str) -> None:
        """See `Observer`."""
        self._progress.end(job, reason=reason)
        self._count(f"not started: {_name(job)}: {_reason(reason)}")

    def left(self, job: FleetJob) -> None:
        """See `Observer`."""
        self._progress.end(job)
        self._draw()

    def notify(self, text: str) -> None:
        """Show a line, and the live line after it."""
        self.clear()
        self._stream.write(f"trioworker: {escape_line(text)}\n")
        self._draw()

    def clear(self) -> None:
        """Remove the live line."""
        if self._drawn:
            self._drawn = False
            self._stream.write(CLEAR_LINE)

    async def run(self) -> None:
        """Redraw the live line and say which jobs wait, until cancelled."""
        try:
            while True:
                for line in self._progress.waits.news():
                    self.notify(line)
                self._draw()
                await trio.sleep(REDRAW_INTERVAL)
        finally:
            self.clear()

    def _count(self, text: str) -> None:
        rest = self._progress.rest()
        # On a terminal, the live line has it.
        after = f"; {rest}" if rest is not None and self._columns is None else ""
        self.notify(f"{self._progress.ended}/{self._progress.total} {text}{after}")

    def _draw(self) -> None:
        if self._columns is None or not self._progress.running:
            return
        # The last column stays empty: some terminals would wrap the line.
        self._stream.write(CLEAR_LINE + self._progress.line(self._columns - 1))
        self._drawn = True
        if isinstance(self._stream, BoundedStream):
            # It keeps a line without an end for itself until it is drained.
            self._stream.drain(0)
        else:
            self._stream.flush()


def terminal_columns() -> int | None:
    """The width of the terminal at stderr, or None if it isn't one that can redraw a line."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return None
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or DEFAULT_COLUMNS
    except OSError:
        return DEFAULT_COLUMNS


def _name(job: FleetJob) -> str:
    return fit(first_line(job.name), 80)


def _reason(text: str) -> str:
    return fit(first_line(text), MAX_REASON)
