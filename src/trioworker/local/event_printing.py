"""Prints the events of a job as they arrive."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import trio

from trioworker.observability.bounded_stream import wait_until_written
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.database import unlocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker.local.activity import Activity
    from trioworker.local.render import Printer
    from trioworker.local.terminal.opening import Terminal
    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import StoredEvent

HOLD_TIME = 0.3
"""Seconds that the printer may hold an event back: the next one usually follows at once."""


class EventPrinting:
    """Prints a job's events until it ends, or until `finish`; `on_closed` is called if standard output is closed.

    Events of earlier runs of the job, with numbers up to `after`, aren't printed.
    """

    def __init__(
        self,
        store: Store,
        job_id: str,
        printer: Printer,
        terminal: Terminal,
        activity: Activity,
        *,
        on_closed: Callable[[], None],
        after: int = 0,
    ) -> None:
        self._store = store
        self._job_id = job_id
        self._printer = printer
        self._terminal = terminal
        self._activity = activity
        self._on_closed = on_closed
        self._after = after
        self._finishing = False
        self._waiting = trio.CancelScope()
        self._printing = trio.CancelScope()

    async def run(self) -> None:
        """Print until the end."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_job)
            await self._print_events()
            nursery.cancel_scope.cancel()

    async def _print_events(self) -> None:
        after = self._after
        with self._printing:
            try:
                while events := await self._next(after):
                    after = events[-1].number
                    for event in events:
                        self._activity.show(event)
                    await self._print("".join(self._printer.show(event) for event in events))
                await self._print(self._printer.release())
            except OSError as error:
                print_notice(f"standard output: {error.strerror}; stopping the job")
                self._on_closed()

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
                with trio.move_on_after(HOLD_TIME):
                    return await self._store.next_events(self._job_id, after)
                await self._print(self._printer.release())
                return await self._store.next_events(self._job_id, after)
        return await unlocked(self._store.events, self._job_id, after)

    async def _follow_job(self) -> None:
        """Keep the activity's iteration and tokens: requests to the model change them without an event."""
        while True:
            job = await unlocked(self._store.view, self._job_id)
            if job is not None:
                self._activity.update(job)
            await self._store.changed(self._job_id)

    async def _print(self, text: str) -> None:
        if not text:
            return
        self._terminal.print(text)
        try:
            # In a thread: a slow reader, such as a pager, must not block the orchestrator.
            await trio.to_thread.run_sync(partial(wait_until_written, sys.stdout), abandon_on_cancel=True)
        except RuntimeError:
            # The system can't start a thread. Beyond a limit, text that waits for its reader is dropped.
            return
