"""What a worker that was killed left running, ended before the job goes on.

Nobody ends the processes of a worker that dies by SIGKILL. In a container, where it is process 1, the kernel takes them
along; elsewhere they live on as children of init, and might still write to the workspace while the resumed job is told
that their call was interrupted. They are found by the job's mark in the environment that they were started with, and
with each goes all of its session and all that stems from it. Who was cut off from all of these, by `setsid` and an
empty environment, can't be told from anybody else's process and stays; while its worker lives, `lineage.py` finds it.
"""

from __future__ import annotations

import os

from loguru import logger

from trioworker.linux.procfs import descendants, process_table
from trioworker.worker.processes.ownership import job_of
from trioworker.worker.processes.termination import ProcessSnapshot, terminate_processes


async def terminate_orphans(job: str) -> None:
    """End the processes that an earlier worker's calls left.

    `job` is what `job_mark` gives. Only for a worker that knows the earlier one to be dead: it holds the job's journal.
    """
    ended = await terminate_processes(lambda: _snapshot(job))
    if ended:
        logger.warning("{} processes that an earlier worker of this job had left were ended", ended)


def _snapshot(job: str) -> ProcessSnapshot:
    table = process_table()
    ours = os.getsid(0)
    # A worker that was itself started by such a process is none of the leftovers.
    others = [entry for entries in table.values() for entry in entries if entry.session != ours and not entry.is_dead]
    marked = [entry for entry in others if job_of(entry.pid) == job]
    # 0 stands for every session of another namespace.
    sessions = {entry.session for entry in marked} - {0}
    roots = marked + [entry for entry in others if entry.session in sessions]
    found = {entry.identity: entry for entry in descendants(roots, table) if entry.session != ours}
    return ProcessSnapshot(list(found.values()))
