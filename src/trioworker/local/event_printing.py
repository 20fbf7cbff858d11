"""Prints the events of a job as they arrive."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import trio

from trioworker.observability.bounded_stream import wait_until_written
from trioworker.orchestrator.database import unlocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker.local.render import Printer
    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import StoredEvent


class EventPrinting:
    """Prints a job's events until it ends, or until `finish`; `on_closed` is called if standard output is closed.

    Events of earlier runs of the job, with numbers up to `after`, aren't printed.
    """

    def __init__(
        self, store: Store, job_id: str, printer: Printer, *, on_closed: Callable[[], None], after: int = 0
    ) -> None:
        self._store = store
        self._job_id = job_id
        self._printer = printer
        self._on_closed = on_closed
        self._after = after
        self._finishing = False
        self._waiting = trio.CancelScope()
        self._printing = trio.CancelScope()

    async def run(self) -> None:
        """Print until the end."""
        after = self._after
        with self._printing:
            while events := await self._next(after):
                text = "".join(self._printer.show(event) for event in events)
                after = events[-1].number
                try:
                    # In a thread: a slow reader, such as a pager, must not block the orchestrator.
                    await trio.to_thread.run_sync(_write_out, text, abandon_on_cancel=True)
                except RuntimeError:
                    # The system can't start a thread. Beyond a limit, text that waits for its reader is dropped.
                    sys.stdout.write(text)
                except OSError:
                    self._on_closed()
                    return

    def finish(self, timeout: float) -> None:
        """Print only what has arrived; wait `timeout` seconds for a reader that pauses."""
        self._finishing = True
        self._waiting.cancel()
        self._printing.deadline = trio.current_time() + timeout

    def cancel(self) -> None:
        """Print nothing more."""
        self._printing.cancel()

    async def _next(self, after: int) -> list[StoredEvent]:
        """The next events; empty after the last one."""
        if not self._finishing:
            with trio.CancelScope() as self._waiting:
                return await self._store.next_events(self._job_id, after)
        return await unlocked(self._store.events, self._job_id, after)


def _write_out(text: str) -> None:
    sys.stdout.write(text)
    wait_until_written(sys.stdout)
