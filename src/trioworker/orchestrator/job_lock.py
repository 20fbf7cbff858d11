"""A lock on each job that a program runs here: the kernel releases it when the program dies, however it dies.

It is a file per job that holds the program's process id. The worker's own lock, on the journal, begins later and ends
later: a worker outlives a program that was killed by the moment that it takes to end.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import trio

from trioworker.errors import ConfigError
from trioworker.orchestrator.state_files import lock_path

if TYPE_CHECKING:
    from pathlib import Path

PROBE_TIMEOUT = 0.2
"""Seconds for which taking a lock is repeated: `holder_of` takes it for a moment."""
PROBE_INTERVAL = 0.02


class JobLock:
    """The lock on one job while this program runs it. A context manager, which releases it on exit.

    `ended`: set it when the job has ended, so that the file is deleted; the lock then has no meaning.
    """

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.ended:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        os.close(self._file)


async def lock_job(state_dir: Path, job_id: str) -> JobLock | None:
    """Take the lock on a job; None if another program holds it.

    Raises:
        ConfigError: the file can't be created or locked.
    """
    path = lock_path(state_dir, job_id)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"--state-dir: cannot open {path}: {error.strerror}; use a folder that you can write to"
        ) from error
    try:
        with trio.move_on_after(PROBE_TIMEOUT):
            while not try_lock(file, fcntl.LOCK_EX):  # noqa: ASYNC110 - the kernel reports no release
                await trio.sleep(PROBE_INTERVAL)
            with suppress(OSError):  # on a full disk, the lock holds without the number
                os.ftruncate(file, 0)
                os.pwrite(file, str(os.getpid()).encode(), 0)
            return JobLock(path, file)
    except OSError as error:
        os.close(file)
        raise ConfigError(f"--state-dir: cannot lock {path}: {error.strerror}; use a folder on a local disk") from error
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None


def holder_of(state_dir: Path, job_id: str) -> int | None:
    """The process id of the program that runs the job; 0 if it isn't known, None if no program does."""
    try:
        file = os.open(lock_path(state_dir, job_id), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if try_lock(file, fcntl.LOCK_SH):
            return None
        text = os.pread(file, 20, 0)
        return int(text) if text.isdigit() else 0
    finally:
        os.close(file)


def try_lock(file: int, kind: int) -> bool:
    """Whether the lock, `LOCK_EX` or `LOCK_SH` of flock(2), could be taken. Closing the file releases it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
