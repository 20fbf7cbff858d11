"""The kernel's process table, read from `/proc` (proc(5)), and operations on many processes at once."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import trio

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

WAIT_WITHOUT_PIDFD = 0.01
"""Seconds to wait for a process where there is no `pidfd_open` (Linux 5.3); callers look again afterwards."""
KILL_TREE_TIMEOUT = 5.0
"""Seconds until `kill_tree` gives up on processes that do not end, because they hang in the kernel."""
SNAPSHOT_INTERVAL = 0.001
"""Seconds between two snapshots of a tree that is being killed: time to end in."""
MAX_STOP_ROUNDS = 10
"""Snapshots in which new descendants may be found before those that were found are killed."""


class Identity(msgspec.Struct, frozen=True):
    """Identifies a process for good: a pid is reused, but not with the same start time (clock ticks since boot)."""

    pid: int
    started: int


class ProcessEntry(msgspec.Struct, frozen=True):
    """A process as it was when the table was read."""

    identity: Identity
    parent: int
    group: int
    session: int
    is_dead: bool
    """Whether it has ended and is a zombie."""

    @property
    def pid(self) -> int:
        """The process id."""
        return self.identity.pid


def boot_ticks() -> int:
    """The current time in the unit of `Identity.started`."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def process_table() -> dict[int, list[ProcessEntry]]:
    """All visible processes, by the pid of their parent."""
    table: dict[int, list[ProcessEntry]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            # It may have ended in the meantime.
            with suppress(OSError):
                entry = process_entry(int(name))
                table.setdefault(entry.parent, []).append(entry)
    return table


def process_entry(pid: int) -> ProcessEntry:
    """One process (proc_pid_stat(5)).

    Raises:
        OSError: there is no such process.
    """
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        stat = file.read(4096)
    # The name is in parentheses and may contain parentheses itself.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return ProcessEntry(
        Identity(pid, int(fields[19])),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        # A process is alive while other threads run, even if its first thread has ended.
        is_dead=fields[0] in (b"Z", b"X", b"x") and int(fields[17]) <= 1,
    )


def descendants(roots: list[ProcessEntry], table: dict[int, list[ProcessEntry]]) -> list[ProcessEntry]:
    """The living among the roots and all their descendants."""
    found: list[ProcessEntry] = []
    waiting = list(roots)
    while waiting:
        entry = waiting.pop()
        if not entry.is_dead:
            found.append(entry)
        waiting.extend(table.get(entry.pid, ()))
    return found


def has_children() -> bool:
    """Whether this process has any child, alive or dead. One system call, which reaps nothing."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def has_children_besides(pid: int) -> bool:
    """Whether this process has a child other than `pid`. A cheap check: it may miss a child while others end."""
    try:
        return any(child != pid for child in _child_pids())
    except OSError:
        return has_children()


def children(besides: Container[int] = ()) -> list[ProcessEntry]:
    """The children of this process, alive or dead, the newest first. Much faster than `process_table`.

    It may miss a child while others end. `besides` are pids to skip.
    """
    try:
        pids = _child_pids()
    except OSError:
        return process_table().get(os.getpid(), []) if has_children() else []
    entries: list[ProcessEntry] = []
    for pid in reversed([pid for pid in pids if pid not in besides]):
        # It may have been reaped in the meantime.
        with suppress(OSError):
            entries.append(process_entry(pid))
    return entries


def _child_pids() -> list[int]:
    """The pids of our children, in the order in which they became ours.

    Raises:
        OSError: a kernel without CONFIG_PROC_CHILDREN, or a thread that has just ended.
    """
    pids: list[int] = []
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children", "rb") as file:
            pids.extend(map(int, file.read().split()))
    return pids


def first_dead_child() -> int | None:
    """The pid of a child that has ended and was not reaped; this does not reap it either."""
    try:
        dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return dead.si_pid if dead is not None else None


def send_signal(processes: list[ProcessEntry], number: signal.Signals) -> None:
    """Signal each process; a group whose leader is among them is signalled as a whole, so that no fork escapes."""
    groups = {entry.pid for entry in processes if entry.pid == entry.group}
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    for entry in processes:
        if entry.group not in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(entry.pid, number)


def kill_tree(pid: int) -> None:
    """Kill a process and all its descendants, within `KILL_TREE_TIMEOUT`. Does nothing if it has ended.

    The process is killed last. Until then it starts nothing, since it is stopped, and if it is a subreaper, it adopts
    descendants whose parents were killed. A descendant can still be missed by one snapshot: while `/proc` is read, its
    parent may end, or its `fork` may not have returned.
    """
    deadline = time.monotonic() + KILL_TREE_TIMEOUT
    empty_snapshots = 0
    while empty_snapshots < 2 and time.monotonic() < deadline:
        _signal_each([pid], signal.SIGSTOP)
        found = _stop_descendants(pid)
        _signal_each(found, signal.SIGKILL)
        empty_snapshots = 0 if found else empty_snapshots + 1
        time.sleep(SNAPSHOT_INTERVAL)
    _signal_each([pid], signal.SIGKILL)


def _stop_descendants(pid: int) -> set[int]:
    """Stop descendants until no new ones appear: a process that runs could fork before it is killed."""
    stopped: set[int] = set()
    # A process can undo our SIGSTOP, so the number of rounds is limited.
    for _ in range(MAX_STOP_ROUNDS):
        found = _descendants_of(pid)
        _signal_each(found, signal.SIGSTOP)
        if found <= stopped:
            break
        stopped |= found
    return stopped


def _descendants_of(pid: int) -> set[int]:
    table = process_table()
    return {entry.pid for entry in descendants(table.get(pid, []), table)}


def _signal_each(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


async def wait_until_ended(processes: list[ProcessEntry]) -> None:
    """Wait until each process has ended; they need not be our children."""
    for entry in processes:
        try:
            descriptor = os.pidfd_open(entry.pid)
        except ProcessLookupError:
            continue
        except OSError:
            await trio.sleep(WAIT_WITHOUT_PIDFD)
            continue
        try:
            await trio.lowlevel.wait_readable(descriptor)
        finally:
            os.close(descriptor)
