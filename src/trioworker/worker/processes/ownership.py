"""Process ownership: which descendants belong to which call, including those that left its session and their parents.

The leader of each call starts a session, and this process is a subreaper: a descendant that loses its parent becomes
our child. So all processes of a call are found among our descendants. Those of the job are recognized by its tag, which
they can't change (`tags.py`), and attributed to a call by their session, or else by a mark in the environment that they
were started with. A process that shed both, by `setsid` and with an empty or changed environment, is unattributed; it
counts for the call that was running when it started.

Without tags, all children of this process belong to the job, except those that existed before the first call, those in
our own session, which a process that left can't rejoin, and those of other jobs in this process. A program that embeds
such a job and starts other sessions while it runs risks that they are terminated with the job.
"""

from __future__ import annotations

import os
import secrets
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from trioworker.linux.procfs import (
    boot_ticks,
    children,
    descendants,
    first_dead_child,
    has_children,
    has_children_besides,
    process_table,
)
from trioworker.linux.syscalls import become_subreaper
from trioworker.worker.processes.sandbox.sandbox import NO_SANDBOX
from trioworker.worker.processes.tags import job_tag, tag_of
from trioworker.worker.processes.termination import ProcessSnapshot

if TYPE_CHECKING:
    from collections.abc import Generator

    from trioworker.linux.procfs import Identity, ProcessEntry
    from trioworker.worker.processes.sandbox.sandbox import Sandbox

CALL_VARIABLE = "TRIOWORKER_CALL"
"""Environment variable that marks the processes of a call, with the job and the number of the call."""
_SEPARATOR = "#"

UNATTRIBUTED = -1
"""In place of a call's number, for an unattributed process."""

_jobs: weakref.WeakValueDictionary[str, ProcessOwnership] = weakref.WeakValueDictionary()
"""The jobs of this process, by their `job_mark`: they share its children, as the kernel knows no jobs."""


class ProcessOwnership:
    """Keeps track of which process belongs to which call. Calls are numbered from 0."""

    def __init__(self, job: str | None = None, sandbox: Sandbox = NO_SANDBOX) -> None:
        """`job` comes from `job_mark`; without it, no other worker can recognize the processes."""
        self.job = job or secrets.token_hex(8)
        self.tag = job_tag(self.job, sandbox)
        self._start_ticks: list[int] = []
        self._sessions: dict[int, int] = {}
        self._running: set[int] = set()
        self._starting = 0
        self._owners: dict[Identity, int] = {}
        self._preexisting: set[Identity] | None = None
        self._unknown_dead: set[Identity] = set()
        self._found_dead: set[int] = set()

    def new_call(self) -> tuple[int, dict[str, str]]:
        """Return the number and the environment variables of the next call. The first call makes us a subreaper."""
        if self._preexisting is None:
            become_subreaper()
            self._preexisting = {entry.identity for entry in children()}
            _jobs[self.job] = self
        number = len(self._start_ticks)
        self._start_ticks.append(boot_ticks())
        return number, {CALL_VARIABLE: f"{self.job}{_SEPARATOR}{number}"}

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

    def snapshot(self, number: int | None, *, quick: bool = False) -> ProcessSnapshot:
        """Find the living processes of a call, or of all calls for None.

        If `quick`, find only our children, and only the dead that no earlier snapshot found.
        """
        # Before the first call, all children belong to the program.
        if self._preexisting is None or not has_children():
            return ProcessSnapshot([])
        table = {os.getpid(): children(besides=self._found_dead)} if quick else process_table()
        starting = any(job._starting for job in self._sharing())
        roots: list[ProcessEntry] = []
        dead: set[Identity] = set()
        undecided = False
        for child in table.get(os.getpid(), ()):
            owner = self._owner(child)
            if owner is None or (child.pid in self._running and child.is_dead):
                continue
            if number is not None and not self._may_belong_to(number, owner, child):
                continue
            if child.is_dead:
                dead.add(child.identity)
                self._found_dead.add(child.pid)
            elif owner == UNATTRIBUTED and starting:
                undecided = True
            else:
                roots.append(child)
        return ProcessSnapshot(descendants(roots, table), frozenset(dead), undecided)

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
        # Pids are only reused after they were reaped.
        self._found_dead.clear()
        unknown_dead: set[Identity] = set()
        starting = any(job._starting for job in self._sharing())
        for child in children():
            if self._is_foreign(child) or child.pid in self._running:
                continue
            if starting and child.session == child.pid:
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
        """The call that a child belongs to, `UNATTRIBUTED` if that is unknown, None if it isn't of this job."""
        if self._is_foreign(child):
            return None
        known = self._owners.get(child.identity, self._sessions.get(child.session))
        if known is None:
            # A dead process has no environment to read.
            job, number = (None, "") if child.is_dead else _mark(child.pid)
            if job != self.job:
                # The mark of a job that isn't ours was made up, or left by a worker that a command started.
                return None if self.tag is None and job in _jobs else UNATTRIBUTED
            known = self._call(number)
            if known == UNATTRIBUTED:
                return known
        self._owners[child.identity] = known
        return known

    def _call(self, number: str) -> int:
        """The call with this number, which a command may have made up."""
        is_known = number.isascii() and number.isdecimal() and len(number) < 10 and int(number) < len(self._start_ticks)
        return int(number) if is_known else UNATTRIBUTED

    def _may_belong_to(self, number: int, owner: int, child: ProcessEntry) -> bool:
        return owner == number or (owner == UNATTRIBUTED and child.identity.started >= self._start_ticks[number])

    def _is_foreign(self, child: ProcessEntry) -> bool:
        if child.session == os.getsid(0):
            return True
        if self.tag is not None:
            return tag_of(child.pid) != self.tag
        others = (job for job in self._sharing() if job is not self)
        return child.identity in (self._preexisting or ()) or any(child.session in job._sessions for job in others)

    def _sharing(self) -> list[ProcessOwnership]:
        """This job, and the jobs whose children can't be told from its own by a tag."""
        if self.tag is not None:
            return [self]
        return [job for reference in _jobs.valuerefs() if (job := reference()) is not None]


def job_mark(job_id: str, started_at: float) -> str:
    """The part of a job's marks that is the same for all its calls and after each restart.

    `started_at` is when the job was opened, in seconds since the epoch. It distinguishes jobs with the same id.
    """
    return f"{job_id}@{started_at:.6f}"


def job_of(pid: int) -> str | None:
    """The job of a living process, by its mark; None if it has none."""
    return _mark(pid)[0]


def _mark(pid: int) -> tuple[str | None, str]:
    """The job and the number of the call in the mark that a process was started with.

    The job is None if the process has no mark or it can't be read. Any command can write any mark.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return None, ""
    prefix = CALL_VARIABLE.encode() + b"="
    marks = (entry[len(prefix) :].decode("ascii", "replace") for entry in variables if entry.startswith(prefix))
    job, _, number = next(marks, "").rpartition(_SEPARATOR)
    return job or None, number
