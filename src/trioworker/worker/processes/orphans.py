"""Terminates the processes that a killed worker left running, before its job is resumed.

When a worker is killed by SIGKILL, its commands are not terminated. In a container, where it is process 1, the kernel
kills them; elsewhere they become children of init and might still write to the workspace, while the resumed job reports
their call as interrupted. They are found by the job's tag (`tags.py`) and by the job's mark in the environment that
they were started with, together with the sessions of those that are marked, and all their descendants. Without tags,
processes that left all of these, by `setsid` and with an empty environment, are missed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from loguru import logger

from trioworker.linux.procfs import descendants, process_table
from trioworker.worker.processes.ownership import job_of
from trioworker.worker.processes.tags import tag_for, tag_of
from trioworker.worker.processes.termination import ProcessSnapshot, terminate_processes

if TYPE_CHECKING:
    from trioworker.linux.procfs import ProcessEntry


async def terminate_orphans(job: str) -> None:
    """Terminate the processes that an earlier worker of this job left running.

    `job` comes from `job_mark`. The caller must know that the earlier worker is dead: it holds the job's journal.
    """
    found: set[int] = set()

    def snapshot(*, quick: bool) -> ProcessSnapshot:
        # Orphans are children of another process, so that there are no quick scans.
        orphans = [] if quick else _orphans(job)
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


def _orphans(job: str) -> list[ProcessEntry]:
    table = process_table()
    own_session = os.getsid(0)
    # This worker may have been started by such a process; its own session is kept then.
    others = [
        entry for entries in table.values() for entry in entries if entry.session != own_session and not entry.is_dead
    ]
    marked = [entry for entry in others if job_of(entry.pid) == job]
    # Session 0 stands for all sessions of other pid namespaces. Those that are only tagged may be in the session of the
    # earlier worker, as its launcher is.
    sessions = {entry.session for entry in marked} - {0}
    tag = tag_for(job)
    roots = marked + [entry for entry in others if entry.session in sessions or tag_of(entry.pid) == tag]
    found = {entry.identity: entry for entry in descendants(roots, table) if entry.session != own_session}
    return list(found.values())
