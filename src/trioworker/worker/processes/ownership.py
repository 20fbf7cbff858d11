"""Process ownership: which descendants belong to which call, including those that left its session and their parents.

The leader of each call starts a session, and this process is a subreaper: a descendant that loses its parent becomes
our child. So all processes of a call are found among our descendants, and are attributed by what a process can't easily
shed: its session, or else a mark in the environment that it was started with. A process that shed both, by `setsid` and
with an empty environment, is unattributed; it counts for the call that was running when it started.

A program that embeds a job has children of its own. They are recognized because they existed before the first call, or
because they are in our own session, which a process that left can't rejoin. A program that starts other sessions while
a job runs risks that they are terminated with the job.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from trioworker.linux.procfs import (
    descendants,
    first_dead_child,
    has_children,
    has_children_besides,
    process_table,
)
from trioworker.linux.syscalls import become_subreaper
from trioworker.worker.processes.termination import ATTRIBUTION_DELAY, ProcessSnapshot

if TYPE_CHECKING:
    from collections.abc import Generator

    from trioworker.linux.procfs import Identity, ProcessEntry

CALL_VARIABLE = "TRIOWORKER_CALL"
"""Environment variable that marks the processes of a call, with the job and the number of the call."""
_SEPARATOR = "#"

UNATTRIBUTED = -1
"""In place of a call's number, for an unattributed process."""


class ProcessOwnership:
    """Keeps track of which process belongs to which call. Calls are numbered from 0."""

    def __init__(self, job: str | None = None) -> None:
        """`job` comes from `job_mark`; without it, no other worker can recognize the processes."""
        self._job = job or secrets.token_hex(8)
        self._start_ticks: list[int] = []
        self._sessions: dict[int, int] = {}
        self._running: set[int] = set()
        self._starting = 0
        self._owners: dict[Identity, int] = {}
        self._preexisting: set[Identity] | None = None
        self._unknown_dead: set[Identity] = set()

    def new_call(self) -> tuple[int, dict[str, str]]:
        """Return the number and the environment variables of the next call. The first call makes us a subreaper."""
        if self._preexisting is None:
            become_subreaper()
            self._preexisting = {entry.identity for entry in _children()}
        number = len(self._start_ticks)
        self._start_ticks.append(_ticks())
        return number, {CALL_VARIABLE: f"{self._job}{_SEPARATOR}{number}"}

    @contextmanager
    def starting(self) -> Generator[None]:
        """Reap no unknown session leader inside this block: it may be a call's leader, which is awaited elsewhere."""
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1

    def leader_started(self, number: int, leader: int) -> None:
        """Record the first process of a call. It is reaped elsewhere."""
        self._sessions[leader] = number
        self._running.add(leader)

    def leader_reaped(self, leader: int) -> None:
        """Record that the first process of a call was reaped."""
        self._running.discard(leader)

    def snapshot(self, number: int | None) -> ProcessSnapshot:
        """Find the living processes of a call, or of all calls for None."""
        # Before the first call, all children belong to the program.
        if self._preexisting is None or not has_children():
            return ProcessSnapshot([])
        table = process_table()
        roots: list[ProcessEntry] = []
        undecided = False
        for child in table.get(os.getpid(), ()):
            owner = self._owner(child)
            if owner == UNATTRIBUTED:
                if child.age < ATTRIBUTION_DELAY:
                    undecided = True
                    continue
                if number is not None and child.identity.started < self._start_ticks[number]:
                    continue
            elif owner is None or number not in (None, owner):
                continue
            roots.append(child)
        return ProcessSnapshot(descendants(roots, table), undecided)

    def has_dead_orphan(self) -> bool:
        """Whether the first dead child is not a call's leader. A cheap check: one system call."""
        pid = first_dead_child()
        return pid is not None and pid not in self._running

    def reap(self, launcher: int | None = None) -> bool:
        """Reap dead orphans, but no process that is reaped elsewhere. Returns whether some were left for the next time.

        `launcher` is a child that always exists; if it is the only one, this call is cheap.

        A dead session leader that is unknown may have been started by another task a moment ago. If it still exists
        the next time, it is an orphan.
        """
        if not (has_children() if launcher is None else has_children_besides(launcher)):
            return False
        unknown_dead: set[Identity] = set()
        for child in _children():
            if self._is_foreign(child) or child.pid in self._running:
                continue
            if self._starting and child.session == child.pid:
                continue
            if not child.is_dead:
                # Attribute it now: a dead process has no environment to read.
                self._owner(child)
                continue
            known = child.identity in self._owners or child.session != child.pid
            if known or child.identity in self._unknown_dead:
                with suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)
                self._owners.pop(child.identity, None)
            else:
                unknown_dead.add(child.identity)
        self._unknown_dead = unknown_dead
        return bool(unknown_dead)

    def _owner(self, child: ProcessEntry) -> int | None:
        """The call that a child belongs to, `UNATTRIBUTED` if that is unknown, None for children of the program."""
        if self._is_foreign(child):
            return None
        known = self._owners.get(child.identity)
        if known is None:
            known = self._sessions.get(child.session)
        if known is None:
            mark = _mark(child.pid)
            if mark is None:
                return UNATTRIBUTED
            job, _, number = mark.rpartition(_SEPARATOR)
            if job != self._job:
                return None
            known = int(number)
        self._owners[child.identity] = known
        return known

    def _is_foreign(self, child: ProcessEntry) -> bool:
        return child.identity in (self._preexisting or ()) or child.session == os.getsid(0)


def job_mark(job_id: str, started_at: float) -> str:
    """The part of a job's marks that is the same for all its calls and after each restart.

    `started_at` is when the job was opened, in seconds since the epoch. It distinguishes jobs with the same id.
    """
    return f"{job_id}@{started_at:.6f}"


def job_of(pid: int) -> str | None:
    """The job of a living process, by its mark; None if it has none."""
    mark = _mark(pid)
    return None if mark is None else mark.rpartition(_SEPARATOR)[0]


def _ticks() -> int:
    """The current time in the unit of `Identity.started`."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def _children() -> list[ProcessEntry]:
    return process_table().get(os.getpid(), []) if has_children() else []


def _mark(pid: int) -> str | None:
    """The mark that a living process was started with; None if it has none or can't be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return None
    prefix = CALL_VARIABLE.encode() + b"="
    return next(
        (entry[len(prefix) :].decode("ascii", "replace") for entry in variables if entry.startswith(prefix)), None
    )
