"""Where journals are kept: one file a job, locked against other workers for as long as one is open."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.worker.state.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How the file is opened: a link or a FIFO that somebody put there must neither lead away nor hold us."""


class FileStorage:
    """A file, locked against other workers for as long as it is open."""

    def __init__(self, path: Path) -> None:
        """Open or make the file, mode 0600, in a folder of mode 0700.

        Raises:
            ConfigError: it can't be opened, or another worker holds it.
        """
        # Of its own: threads that hang elsewhere in the program must not keep the journal from the disk.
        self._thread = trio.CapacityLimiter(1)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, OPEN_FLAGS, 0o600)
        except OSError as error:
            raise ConfigError(f"--state-dir: cannot open {path}: {error.strerror}") from error
        try:
            _claim(self._file, path)
        except ConfigError:
            os.close(self._file)
            raise

    def read(self) -> bytes:
        """All that the file holds."""
        size = os.fstat(self._file).st_size
        content = bytearray()
        while len(content) < size and (chunk := os.pread(self._file, size - len(content), len(content))):
            content += chunk
        return bytes(content)

    def append(self, data: bytes) -> None:
        """Add to the end of the file; a write that the disk cuts short goes on, or fails."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    async def sync(self) -> None:
        """Have the disk keep what was appended."""
        await trio.to_thread.run_sync(os.fdatasync, self._file, limiter=self._thread)

    def cut(self, size: int) -> None:
        """Drop the end of the file."""
        os.ftruncate(self._file, size)

    def close(self) -> None:
        """Close the file, which unlocks it."""
        os.close(self._file)


def journal_path(state_dir: Path, job_id: str) -> Path:
    """Where a job's journal is kept."""
    return state_dir / f"{job_id.lower()}.journal"


def open_journal(state_dir: Path, job_id: str) -> Journal:
    """The journal of a job, with what an earlier process recorded.

    Raises:
        ConfigError: it can't be opened, another worker holds it, or it is not this job's.
    """
    path = journal_path(state_dir, job_id)
    storage = FileStorage(path)
    try:
        journal = Journal(storage, storage.read(), name=str(path), job_id=job_id)
    except OSError as error:
        storage.close()
        raise ConfigError(f"--state-dir: cannot read {path}: {error.strerror}") from error
    except ConfigError:
        storage.close()
        raise
    return journal


def _claim(file: int, path: Path) -> None:
    """Have the file to ourselves, and its name outlive the machine."""
    import fcntl

    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ConfigError(f"{path} is no journal of trioworker; move it away, or choose another --state-dir")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sync_folder(path.parent)
    except BlockingIOError as error:
        raise ConfigError(f"{path}: another worker runs this job; stop it first") from error
    except OSError as error:
        raise ConfigError(f"--state-dir: cannot use {path}: {error.strerror}") from error


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
