"""Which of our descendants stem from which call, also those that left their session and their parents.

The leader of a call begins a session, and this process is the subreaper of all it starts: whoever loses its parents
becomes our child. So all that a call left behind is found beneath us, and told apart by what a process can't shed
easily: its session, else a mark in the environment that it was started with. One that shed both, by `setsid` and an
empty environment, is a stray and counts for the call that ran when it appeared.

Children that are none of ours, of a program that embeds a job, are those that were there before the first call and
those in our own session, which a process that left it can never join again. A program that starts sessions of its own
while a job runs in it does so at its risk.
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
from trioworker.worker.processes.termination import STRAY_AGE, ProcessSnapshot

if TYPE_CHECKING:
    from collections.abc import Generator

    from trioworker.linux.procfs import Identity, ProcessEntry

MARK = "TRIOWORKER_CALL"
"""The variable that marks a call's processes: with their job and the number of the call."""
_SEPARATOR = "#"

STRAY = -1
"""Stands for the call of a stray."""


class ProcessOwnership:
    """The book of who belongs to which call. Calls are numbered from 0."""

    def __init__(self, job: str | None = None) -> None:
        """`job` is what `job_mark` gives; without it, no other process can tell whose the calls are."""
        self._job = job or secrets.token_hex(8)
        self._begun: list[int] = []
        self._sessions: dict[int, int] = {}
        self._running: set[int] = set()
        self._starting = 0
        self._owners: dict[Identity, int] = {}
        self._strangers: set[Identity] | None = None
        self._unclaimed: set[Identity] = set()

    def new_call(self) -> tuple[int, dict[str, str]]:
        """The next call's number and what its environment must hold. The first makes us a subreaper."""
        if self._strangers is None:
            become_subreaper()
            self._strangers = {entry.identity for entry in _children()}
        number = len(self._begun)
        self._begun.append(_clock())
        return number, {MARK: f"{self._job}{_SEPARATOR}{number}"}

    @contextmanager
    def starting(self) -> Generator[None]:
        """While the block runs, a leader that nobody knows yet may be one whose exit status is waited for."""
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1

    def began(self, number: int, leader: int) -> None:
        """The call's first process runs; somebody else waits for its exit status."""
        self._sessions[leader] = number
        self._running.add(leader)

    def ended(self, leader: int) -> None:
        """The exit status of a call's first process was taken."""
        self._running.discard(leader)

    def snapshot(self, number: int | None) -> ProcessSnapshot:
        """The living processes of a call, or of all calls for None."""
        if not has_children():
            return ProcessSnapshot([])
        table = process_table()
        roots: list[ProcessEntry] = []
        undecided = False
        for child in table.get(os.getpid(), ()):
            owner = self._owner(child)
            if owner == STRAY:
                if child.age < STRAY_AGE:
                    undecided = True
                    continue
                if number is not None and child.identity.started < self._begun[number]:
                    continue
            elif owner is None or number not in (None, owner):
                continue
            roots.append(child)
        return ProcessSnapshot(descendants(roots, table), undecided)

    def has_dead_orphan(self) -> bool:
        """Whether the first of the dead is none that somebody waits for: a look that costs next to nothing."""
        pid = first_dead_child()
        return pid is not None and pid not in self._running

    def reap(self, launcher: int | None = None) -> bool:
        """Take the exit status of dead orphans, of nobody that somebody may wait for. Whether any are in doubt.

        `launcher` is a child that is there all the time; where it is the only one, this costs next to nothing.

        A dead leader of an unknown session may be one that another task has just started; if it is still there at the
        next time, nobody waits for it.
        """
        if not (has_children() if launcher is None else has_children_besides(launcher)):
            return False
        unclaimed: set[Identity] = set()
        for child in _children():
            if self._is_foreign(child) or child.pid in self._running:
                continue
            if self._starting and child.session == child.pid:
                continue
            if not child.is_dead:
                # Noted while it lives: the dead have no environment to read a mark from.
                self._owner(child)
                continue
            known = child.identity in self._owners or child.session != child.pid
            if known or child.identity in self._unclaimed:
                with suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)
                self._owners.pop(child.identity, None)
            else:
                unclaimed.add(child.identity)
        self._unclaimed = unclaimed
        return bool(unclaimed)

    def _owner(self, child: ProcessEntry) -> int | None:
        """The call that a child of ours stems from; None for strangers, `STRAY` when nothing tells."""
        if self._is_foreign(child):
            return None
        known = self._owners.get(child.identity)
        if known is None:
            known = self._sessions.get(child.session)
        if known is None:
            mark = _mark(child.pid)
            if mark is None:
                return STRAY
            job, _, number = mark.rpartition(_SEPARATOR)
            if job != self._job:
                return None
            known = int(number)
        self._owners[child.identity] = known
        return known

    def _is_foreign(self, child: ProcessEntry) -> bool:
        return child.identity in (self._strangers or ()) or child.session == os.getsid(0)


def job_mark(job_id: str, started_at: float) -> str:
    """What the marks of a job's calls begin with, the same in each of its workers' lives.

    `started_at` is when the job was opened, in seconds since the epoch: it tells the job from one of the same name.
    """
    return f"{job_id}@{started_at:.6f}"


def job_of(pid: int) -> str | None:
    """The job that a living process was marked for."""
    mark = _mark(pid)
    return None if mark is None else mark.rpartition(_SEPARATOR)[0]


def _clock() -> int:
    """Now, on the clock that `Identity.started` is told by."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def _children() -> list[ProcessEntry]:
    return process_table().get(os.getpid(), []) if has_children() else []


def _mark(pid: int) -> str | None:
    """The mark that a living process was started with. Unreadable counts as none: it may have hidden itself."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return None
    prefix = MARK.encode() + b"="
    return next(
        (entry[len(prefix) :].decode("ascii", "replace") for entry in variables if entry.startswith(prefix)), None
    )
