"""The kernel's table of processes, as `/proc` tells it, and what is done to many of them at once."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import trio

if TYPE_CHECKING:
    from collections.abc import Iterable

WITHOUT_PIDFD_WAIT = 0.01
"""Seconds between two looks at a process where the kernel has no `pidfd_open` (before Linux 5.3) to wait by."""


class Identity(msgspec.Struct, frozen=True):
    """A process for good: numbers are used again, but not with the same start (clock ticks since boot)."""

    pid: int
    started: int


class ProcessEntry(msgspec.Struct, frozen=True):
    """One line of the table."""

    identity: Identity
    parent: int
    group: int
    session: int
    is_dead: bool
    """It has ended, and waits for its parent to take its exit status."""

    @property
    def pid(self) -> int:
        """Its number, as of now."""
        return self.identity.pid

    @property
    def age(self) -> float:
        """Seconds since it started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.identity.started / os.sysconf("SC_CLK_TCK")


def process_table() -> dict[int, list[ProcessEntry]]:
    """All processes that we may see, by their parent's number."""
    table: dict[int, list[ProcessEntry]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            # It may end while we look.
            with suppress(OSError):
                entry = process_entry(int(name))
                table.setdefault(entry.parent, []).append(entry)
    return table


def process_entry(pid: int) -> ProcessEntry:
    """One process (proc_pid_stat(5)).

    Raises:
        OSError: there is none of this number.
    """
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        stat = file.read(4096)
    # The name stands in parentheses and may hold anything, parentheses too.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return ProcessEntry(
        Identity(pid, int(fields[19])),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        is_dead=fields[0] in (b"Z", b"X", b"x"),
    )


def descendants(roots: list[ProcessEntry], table: dict[int, list[ProcessEntry]]) -> list[ProcessEntry]:
    """The roots and all that stems from them, the dead left out."""
    found: list[ProcessEntry] = []
    waiting = list(roots)
    while waiting:
        entry = waiting.pop()
        if not entry.is_dead:
            found.append(entry)
        waiting.extend(table.get(entry.pid, ()))
    return found


def has_children() -> bool:
    """Whether this process has any child, alive or dead. One system call, which takes no exit status away."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def has_children_besides(pid: int) -> bool:
    """Whether this process has a child other than `pid`; for a quick look, as one may be missed while others end."""
    try:
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children", "rb", buffering=0) as file:
                # One that is cut in the middle would be no other than these.
                if any(int(child) != pid for child in file.read(4096).split()):
                    return True
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN, or a thread that has just ended
        return has_children()
    return False


def first_dead_child() -> int | None:
    """The number of a child whose exit status nobody took yet, which stays so."""
    try:
        dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return dead.si_pid if dead is not None else None


def send_signal(processes: list[ProcessEntry], number: signal.Signals) -> None:
    """Signal each; whole groups at once where their leader is among them, so that none of a group can fork away."""
    groups = {entry.pid for entry in processes if entry.pid == entry.group}
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    for entry in processes:
        if entry.group not in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(entry.pid, number)


def kill_tree(pid: int) -> None:
    """Kill a process and all its descendants. Does nothing to those that have ended.

    The whole tree is stopped before any of it is killed: a process that runs could fork in between.
    """
    stopped = [pid]
    _signal_each(stopped, signal.SIGSTOP)
    while new := [entry.pid for entry in _descendants_of(pid) if entry.pid not in stopped]:
        stopped += new
        _signal_each(new, signal.SIGSTOP)
    _signal_each(reversed(stopped), signal.SIGKILL)


def _descendants_of(pid: int) -> list[ProcessEntry]:
    table = process_table()
    return descendants(table.get(pid, []), table)


def _signal_each(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def wait_until_ended(processes: list[ProcessEntry]) -> None:
    """Wait until each has ended; they need not be our children."""
    for entry in processes:
        try:
            descriptor = os.pidfd_open(entry.pid)
        except ProcessLookupError:
            continue
        except OSError:
            await trio.sleep(WITHOUT_PIDFD_WAIT)
            continue
        try:
            await trio.lowlevel.wait_readable(descriptor)
        finally:
            os.close(descriptor)
