"""Stops a fleet step by step: starts no more workers, then cancels the running ones, then kills them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import trio

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
    kill: Callable[[], None],
) -> None:
    """Go one step further at each Ctrl-C. Other signals cancel at once: a service manager doesn't wait for long.

    Args:
        signals: the numbers of the signals that arrive.
        stop: the state that the engine and the scheduler follow.
        running: returns how many jobs run.
        notify: shows a line.
        kill: ends the workers at once; their jobs aren't reported, and a rerun resumes them.
    """
    async for number in signals:
        count = running()
        if stop.cancelling.is_set():
            notify("killing the workers; a rerun continues their jobs")
            kill()
        elif stop.draining.is_set() or number != signal.SIGINT:
            notify(f"stopping: cancelling {count} running; press Ctrl-C again to kill")
            stop.cancel()
        else:
            notify(f"stopping: starting no more, waiting for {count} running; press Ctrl-C again to cancel")
            stop.drain()
