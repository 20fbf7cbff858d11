"""Terminates the processes that a killed worker left running, when it dies and before its job is resumed.

When a worker gets SIGKILL, its commands are not terminated. In a container, where it is process 1, the kernel kills
them; elsewhere they become children of init and might still write to the workspace, while the resumed job reports their
call as interrupted. So a child of the worker waits for the worker's death and terminates them (`cleanup.py`). A worker
that resumes the job terminates them, too, since that child may have been killed.

They are found by the job's tag (`tags.py`) and by the job's mark in the environment that they were started with,
together with the sessions of those that are marked, and all their descendants. Without tags, processes that left all of
these, by `setsid` and with an empty environment, are missed.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import trio
from loguru import logger

from trioworker.linux.procfs import boot_ticks, descendants, process_table
from trioworker.worker.processes.ownership import job_of
from trioworker.worker.processes.tags import tag_for, tag_of
from trioworker.worker.processes.termination import ProcessSnapshot, terminate_processes

if TYPE_CHECKING:
    from trioworker.linux.procfs import ProcessEntry


async def terminate_orphans(job: str, before: float = math.inf) -> None:
    """Terminate the processes that an earlier worker of this job left running.

    `job` comes from `job_mark`. The caller must know that the earlier worker is dead: it holds the job's journal, or it
    names the time, in clock ticks since boot, `before` which all processes of the earlier worker were started.
    """
    found: set[int] = set()

    def snapshot(*, quick: bool) -> ProcessSnapshot:
        # Orphans are children of another process, so that there are no quick scans.
        orphans = [] if quick else _orphans(job, before)
        found.update(orphan.pid for orphan in orphans)
        return ProcessSnapshot(orphans)

    count = await terminate_processes(snapshot)
    _reap(found)
    if count:
        logger.warning("terminated {} processes that an earlier worker of this job had left running", count)


def _reap(pids: set[int]) -> None:
    """Reap those that are our children, because an earlier job in this process made it a subreaper."""
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def clean_up(job: str) -> None:
    """Terminate the processes of a worker of this job that has just died. Another worker may be starting.

    If we have the job's tag, the other worker ends us before it starts commands.
    """
    has_tag = tag_of(os.getpid()) == tag_for(job)
    trio.run(terminate_orphans, job, math.inf if has_tag else boot_ticks())


def _orphans(job: str, before: float) -> list[ProcessEntry]:
    table = process_table()
    own_session = os.getsid(0)
    # This worker may have been started by such a process; its own session is kept then.
    others = [
        entry
        for entries in table.values()
        for entry in entries
        if entry.session != own_session and not entry.is_dead and entry.identity.started <= before
    ]
    marked = [entry for entry in others if job_of(entry.pid) == job]
    # Session 0 stands for all sessions of other pid namespaces. Those that are only tagged may be in the session of the
    # earlier worker, as its launcher is.
    sessions = {entry.session for entry in marked} - {0}
    tag = tag_for(job)
    roots = marked + [entry for entry in others if entry.session in sessions or tag_of(entry.pid) == tag]
    found = {entry.identity: entry for entry in descendants(roots, table) if entry.session != own_session}
    return list(found.values())
