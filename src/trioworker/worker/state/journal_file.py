"""Journals in a directory: one file per job, locked against other workers while it is open."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.worker.state.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A symbolic link in the place of the file must not be followed, and a FIFO must not block the open."""


class FileStorage:
    """A `Storage` in a file that other workers can't open meanwhile."""

    def __init__(self, path: Path) -> None:
        """Open or create the file with mode 0600, in a directory with mode 0700.

        Raises:
            ConfigError: the file can't be opened, or another worker holds its lock.
        """
        # A limiter of its own: threads that hang elsewhere must not delay the journal.
        self._thread = trio.CapacityLimiter(1)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, OPEN_FLAGS, 0o600)
        except OSError as error:
            raise ConfigError(f"--state-dir: cannot open {path}: {error.strerror}") from error
        try:
            _lock(self._file, path)
        except ConfigError:
            os.close(self._file)
            raise

    def read(self) -> bytes:
        """The content of the file."""
        size = os.fstat(self._file).st_size
        pieces: list[bytes] = []
        read = 0
        # Almost always one piece, which is then not copied.
        while read < size and (piece := os.pread(self._file, size - read, read)):
            pieces.append(piece)
            read += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def append(self, data: bytes) -> None:
        """Add `data` at the end of the file: see `Storage`. A short write is continued."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    async def sync(self) -> None:
        """Flush the file to the disk: see `Storage`."""
        try:
            await trio.to_thread.run_sync(os.fdatasync, self._file, limiter=self._thread)
        except RuntimeError as error:
            # Python's error where the system has no memory or process number for another thread.
            raise OSError(errno.EAGAIN, str(error)) from error

    def cut(self, size: int) -> None:
        """Keep only the first `size` bytes: see `Storage`."""
        os.ftruncate(self._file, size)

    def close(self) -> None:
        """Close the file, which releases its lock."""
        os.close(self._file)


def journal_path(state_dir: Path, job_id: str) -> Path:
    """The file of a job's journal."""
    return state_dir / f"{job_id.lower()}.journal"


def check_state_dir(state_dir: Path, workspace: Path) -> None:
    """Check that tools don't write where the journal is.

    Raises:
        ConfigError: the directory is in the workspace.
    """
    if state_dir.resolve().is_relative_to(workspace.resolve()):
        raise ConfigError(f"--state-dir: {state_dir} is in the workspace, where tools write; choose another")


def open_journal(state_dir: Path, job_id: str) -> Journal:
    """Open the journal of a job; `Journal.past` then holds what an earlier process recorded.

    Raises:
        ConfigError: the file can't be opened, is held by another worker, or isn't a journal of this job.
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


def _lock(file: int, path: Path) -> None:
    """Lock the file, and make its directory entry survive a crash of the machine."""
    import fcntl

    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ConfigError(f"{path} is not a trioworker journal; move the file away, or choose another --state-dir")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sync_directory(path.parent)
    except BlockingIOError as error:
        raise ConfigError(f"{path}: another worker runs this job; stop it first") from error
    except OSError as error:
        raise ConfigError(f"--state-dir: cannot use {path}: {error.strerror}") from error


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
