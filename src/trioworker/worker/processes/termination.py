"""How processes are ended: asked by SIGTERM, given a moment, and then killed until nobody is left."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import msgspec
import trio

from trioworker.linux.procfs import ProcessEntry, send_signal, wait_until_ended

if TYPE_CHECKING:
    from collections.abc import Callable

KILL_WAIT = 0.5
"""Seconds between SIGTERM and SIGKILL: enough to remove a lock file, little beside the 8 s of a job's farewell."""
END_LIMIT = 2.0
"""Seconds after which we stop trying to end processes: those that are left hang in the kernel."""
STRAY_AGE = 0.1
"""Seconds before an unmarked child counts as a stray: between `fork` and `exec` even our own has no mark yet."""


class ProcessSnapshot(msgspec.Struct, frozen=True):
    """Who is to end. `undecided` when there are unmarked children too young to tell whose they are."""

    members: list[ProcessEntry]
    undecided: bool = False


async def terminate_processes(count: Callable[[], ProcessSnapshot]) -> int:
    """End all that `count` finds, and finds again: they may fork meanwhile. Nothing that happens to us stops it.

    Returns how many there were at the first look.
    """
    snapshot = count()
    found = len(snapshot.members)
    if not found and not snapshot.undecided:
        return 0
    with trio.move_on_after(END_LIMIT, shield=True) as limit:
        send_signal(snapshot.members, signal.SIGTERM)
        with trio.move_on_after(KILL_WAIT):
            await wait_until_ended(snapshot.members)
        while (snapshot := count()).members or snapshot.undecided:
            send_signal(snapshot.members, signal.SIGKILL)
            if snapshot.undecided:
                await trio.sleep(STRAY_AGE)
            await wait_until_ended(snapshot.members)
    if limit.cancelled_caught:
        _tell_of_leftovers(len(count().members))
    return found


def _tell_of_leftovers(number: int) -> None:
    from loguru import logger

    logger.warning("{} processes of a command outlive SIGKILL after {} s; they hang in the kernel", number, END_LIMIT)
