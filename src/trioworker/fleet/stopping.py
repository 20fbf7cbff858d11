"""Stops a fleet step by step: starts no more workers, then cancels the running ones, then quits."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import trio

from trioworker.observability.terminal_text import duration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Stop:
    """How far a fleet is stopped.

    Attributes:
        draining: set: start no more workers, and wait for the running ones.
        cancelling: set: the running workers get SIGTERM, and report their jobs as cancelled.
    """

    def __init__(self) -> None:
        self.draining = trio.Event()
        self.cancelling = trio.Event()

    def drain(self) -> None:
        """Start no more workers."""
        self.draining.set()

    def cancel(self) -> None:
        """Start no more workers, and stop the running ones."""
        self.draining.set()
        self.cancelling.set()


async def stop_on_signals(
    signals: AsyncIterator[int],
    stop: Stop,
    running: Callable[[], int],
    notify: Callable[[str], None],
    quit_now: Callable[[], None],
) -> None:
    """Go one step further at each Ctrl-C. Other signals cancel at once: a service manager doesn't wait for long.

    Args:
        signals: the numbers of the signals that arrive.
        stop: the state that the engine and the scheduler follow.
        running: returns how many jobs run.
        notify: shows a line.
        quit_now: ends the fleet at once; see `Engine.left_behind` for its workers. A rerun continues their jobs.
    """
    async for number in signals:
        count = running()
        if stop.cancelling.is_set():
            notify(f"quitting with {count} running")
            quit_now()
        elif stop.draining.is_set() or number != signal.SIGINT:
            notify(f"stopping: cancelling {count} running; press Ctrl-C again to quit at once")
            stop.cancel()
        else:
            notify(f"stopping: starting no more, waiting for {count} running; press Ctrl-C again to cancel")
            stop.drain()


async def quit_after(seconds: float, stop: Stop, notify: Callable[[str], None], quit_now: Callable[[], None]) -> None:
    """Quit `seconds` after the fleet was cancelled: a cluster that doesn't answer can't stop its workers."""
    await stop.cancelling.wait()
    await trio.sleep(seconds)
    notify(f"quitting: not all workers stopped within {duration(seconds)}")
    quit_now()
