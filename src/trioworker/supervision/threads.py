"""Runs work in a thread, also where the system can't start one: a limit on processes or memory may be reached."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def run_in_thread_if_possible(work: Callable[[], T], *, limiter: trio.CapacityLimiter | None = None) -> T:
    """Return the result of `work`, which takes milliseconds and can be repeated.

    Without a thread, the event loop waits for that long.
    """
    with suppress(RuntimeError):
        return await trio.to_thread.run_sync(work, limiter=limiter)
    return work()
