"""Terminates processes: SIGTERM, a short wait, then SIGKILL until none is left."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import msgspec
import trio

from trioworker.linux.procfs import ProcessEntry, send_signal, wait_until_ended

if TYPE_CHECKING:
    from collections.abc import Callable

KILL_DELAY = 0.5
"""Seconds between SIGTERM and SIGKILL: enough to remove a lock file, short compared to the 8 s of a job's shutdown."""
TERMINATION_TIMEOUT = 2.0
"""Seconds until termination is given up: processes that are left hang in the kernel."""
ATTRIBUTION_DELAY = 0.1
"""Seconds until an unmarked child counts as unattributed: before its `exec`, a call's leader has no mark either."""


class ProcessSnapshot(msgspec.Struct, frozen=True):
    """The living processes to terminate, and whether some unmarked children are too young to be attributed."""

    processes: list[ProcessEntry]
    undecided: bool = False


async def terminate_processes(take_snapshot: Callable[[], ProcessSnapshot]) -> int:
    """Terminate all processes that `take_snapshot` finds. It is called again after each round, since they may fork.

    Returns the number of processes in the first snapshot. Cancellation does not interrupt it.
    """
    snapshot = take_snapshot()
    found = len(snapshot.processes)
    if not found and not snapshot.undecided:
        return 0
    with trio.move_on_after(TERMINATION_TIMEOUT, shield=True) as limit:
        send_signal(snapshot.processes, signal.SIGTERM)
        with trio.move_on_after(KILL_DELAY):
            await wait_until_ended(snapshot.processes)
        while (snapshot := take_snapshot()).processes or snapshot.undecided:
            send_signal(snapshot.processes, signal.SIGKILL)
            if snapshot.undecided:
                await trio.sleep(ATTRIBUTION_DELAY)
            await wait_until_ended(snapshot.processes)
    if limit.cancelled_caught:
        _log_survivors(len(take_snapshot().processes))
    return found


def _log_survivors(count: int) -> None:
    from loguru import logger

    logger.warning(
        "{} processes of a command still run {} s after SIGKILL; they hang in the kernel", count, TERMINATION_TIMEOUT
    )
