"""Terminates processes: SIGTERM, a short wait, then SIGKILL until none is left.

Before SIGKILL, all of them are stopped, until no new ones appear: a process that runs could fork in between. The
hardest to find is a chain of processes that each start the next one and end, faster than `/proc` can be read: a process
that was read is gone, and its successor is missing. But the successor becomes our child before its parent is seen to be
dead, so a chain always leaves a trace, a child that is alive or has died since the last look: the search continues.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Protocol

import msgspec
import trio

from trioworker.linux.procfs import MAX_STOP_ROUNDS, Identity, ProcessEntry, send_signal, wait_until_ended

if TYPE_CHECKING:
    from collections.abc import Iterable

KILL_DELAY = 0.5
"""Seconds between SIGTERM and SIGKILL: enough to remove a lock file, short compared to the 8 s of a job's shutdown."""
TERMINATION_TIMEOUT = 3.0
"""Seconds until termination is given up: processes that are left hang in the kernel."""
QUICK_SCANS = 100
"""Scans of only our children before all processes are read: each takes 0.1 ms, fast enough to catch fast chains."""
UNDECIDED_DELAY = 0.01
"""Seconds until undecided processes are looked at again: the start of a command takes milliseconds."""


class ProcessSnapshot(msgspec.Struct, frozen=True):
    """The processes to terminate, as they were a moment ago.

    Attributes:
        processes: those that are alive.
        dead: children that have ended and were not reaped; they may have left others, which became our children.
        undecided: whether there are processes that can't be attributed while a command starts.
    """

    processes: list[ProcessEntry]
    dead: frozenset[Identity] = frozenset()
    undecided: bool = False


class TakeSnapshot(Protocol):
    """Finds the processes to terminate."""

    def __call__(self, *, quick: bool) -> ProcessSnapshot:
        """Read all processes, or, if `quick`, only our children, without the dead that were found before."""
        ...


async def terminate_processes(take_snapshot: TakeSnapshot) -> int:
    """Terminate all processes that `take_snapshot` finds. It is called again until there are none, since they may fork.

    Returns the number of processes in the first snapshot. Cancellation does not interrupt it.
    """
    snapshot = take_snapshot(quick=False)
    found = len(snapshot.processes)
    with trio.move_on_after(TERMINATION_TIMEOUT, shield=True) as limit:
        if found:
            send_signal(snapshot.processes, signal.SIGTERM)
            with trio.move_on_after(KILL_DELAY):
                await wait_until_ended(snapshot.processes)
        dead: frozenset[Identity] = frozenset()
        while snapshot.processes or snapshot.undecided or snapshot.dead - dead:
            dead = snapshot.dead
            snapshot = await _stop(take_snapshot)
            send_signal(snapshot.processes, signal.SIGKILL)
            await trio.sleep(UNDECIDED_DELAY if snapshot.undecided else 0)
            await wait_until_ended(snapshot.processes)
    if limit.cancelled_caught:
        survivors = take_snapshot(quick=False).processes
        send_signal(survivors, signal.SIGKILL)
        _log_survivors(len(survivors))
    return found


async def _stop(take_snapshot: TakeSnapshot) -> ProcessSnapshot:
    """Stop the processes until no new ones appear, and return the last snapshot."""
    stopped: set[Identity] = set()
    snapshot = ProcessSnapshot([])
    for _ in range(MAX_STOP_ROUNDS):
        for _ in range(QUICK_SCANS):
            await trio.lowlevel.checkpoint()
            quick = take_snapshot(quick=True)
            if not _stop_new(quick.processes, stopped) and not quick.dead:
                break
        snapshot = take_snapshot(quick=False)
        if not _stop_new(snapshot.processes, stopped):
            break
    return snapshot


def _stop_new(processes: Iterable[ProcessEntry], stopped: set[Identity]) -> bool:
    new = [entry for entry in processes if entry.identity not in stopped]
    send_signal(new, signal.SIGSTOP)
    stopped.update(entry.identity for entry in new)
    return bool(new)


def _log_survivors(count: int) -> None:
    from loguru import logger

    logger.warning("{} processes of a command could not be terminated within {} s", count, TERMINATION_TIMEOUT)
