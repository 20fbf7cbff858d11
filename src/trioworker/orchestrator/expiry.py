"""Removes old jobs and their files when a program that uses the state folder starts."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from trioworker.orchestrator.job_lock import holder_of
from trioworker.orchestrator.state_files import JOURNAL_SUFFIX, LOCK_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.orchestrator.store import Store

KEPT_SECONDS = 30 * 24 * 3600.0
"""How long a job is kept after its end, or after its last event if it was interrupted."""
REMOVAL_TIME = 0.5
"""Seconds that the removal may take; the next start continues it."""
ABANDONED_LOCK_AGE = 3600.0
"""Seconds after which a lock without a job is removed: its program died before it created the job."""


def remove_expired(store: Store, state_dir: Path, now: float) -> None:
    """Remove jobs older than `KEPT_SECONDS`, and files of jobs that have ended. What can't be removed is kept.

    `now` is the Unix time. Journals of jobs that aren't in this database belong to workers of other orchestrators, and
    are kept.
    """
    give_up = time.monotonic() + REMOVAL_TIME
    # A locked database must not prevent the next job.
    with suppress(sqlite3.Error):
        for job_id in store.kept.inactive_since(now - KEPT_SECONDS):
            if time.monotonic() > give_up:
                return
            if holder_of(state_dir, job_id) is None:
                # Files first: without its job, a journal would be taken for one of another orchestrator.
                _delete(state_dir / f"{job_id}{JOURNAL_SUFFIX}")
                _delete(state_dir / f"{job_id}{LOCK_SUFFIX}")
                store.kept.remove(job_id)
        for path in _files(state_dir):
            if time.monotonic() > give_up:
                return
            view = store.view(path.stem)
            if _is_abandoned_lock(path, now) if view is None else view.ended is not None:
                _delete(path)


def _files(state_dir: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in state_dir.iterdir() if path.suffix in {JOURNAL_SUFFIX, LOCK_SUFFIX}]
    return []


def _is_abandoned_lock(path: Path, now: float) -> bool:
    with suppress(OSError):
        return path.suffix == LOCK_SUFFIX and now - path.stat().st_mtime > ABANDONED_LOCK_AGE
    return False


def _delete(path: Path) -> None:
    """Delete a file unless a process has locked it: its program is about to delete it, or still uses it."""
    with suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        finally:
            os.close(file)
