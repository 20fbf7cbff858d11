"""The full outputs of a job's calls, in files below the temporary folder; a cut result names its file.

The files hold redacted text only. Their folder belongs to this job and this user, and is named after the job, so that a
restarted worker finds it; workers that run at the same time share it. Commands can write to the temporary folder, so
everything in it is opened by descriptor, and no symbolic link is followed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from loguru import logger

from trioworker.linux.secure_open import choose_opener
from trioworker.protocol.limits import MAX_OUTPUT_FILES_BYTES, MIB
from trioworker.worker.tools.workspace import Workspace

if TYPE_CHECKING:
    from types import TracebackType

PREFIX = "trioworker-outputs-"
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class OutputNotKeptError(Exception):
    """An output can't be kept; the message says why."""


class KeptOutputs:
    """The folder, created with the first file and removed by `close()`. Use as a context manager.

    The folder becomes readable to the tools of `workspace`. Methods block, and may be called in any thread.
    """

    def __init__(self, job_id: str, workspace: Workspace, *, limit: int = MAX_OUTPUT_FILES_BYTES) -> None:
        """Find the files that an earlier worker of this job left. `limit` is the maximum size of all files in bytes."""
        digest = hashlib.sha256(job_id.encode("utf-8", "replace")).hexdigest()
        self._path = _temporary_folder() / f"{PREFIX}{digest[:12]}"
        self._job_id = job_id
        self._workspace = workspace
        self._limit = limit
        self._sizes: dict[str, int] = {}
        """As they were written, since a command may change a file."""
        self._descriptor = -1
        self._lock = threading.Lock()
        with suppress(OSError):
            self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def keep(self, name: str, text: str) -> str:
        """Write a file, which replaces one of the same name, and return its path.

        Raises:
            OutputNotKeptError: the limit is reached, or the file system refuses.
        """
        data = text.encode("utf-8", "replace")
        with self._lock:
            if sum(self._sizes.values()) - self._sizes.get(name, 0) + len(data) > self._limit:
                raise OutputNotKeptError(f"this job's limit of {self._limit // MIB} MiB for outputs is reached")
            try:
                self._write(name, data)
            except OSError as error:
                raise OutputNotKeptError(f"it could not be written to {self._path}: {error.strerror}") from error
            self._sizes[name] = len(data)
            return str(self._path / name)

    def close(self) -> None:
        """Remove the folder, unless another worker of this job uses it. May be called twice."""
        # Imported only here, since most jobs keep no output.
        import shutil

        with self._lock:
            if self._descriptor < 0:
                return
            try:
                # Another start of this job may still be running.
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(self._path)
            except BlockingIOError:
                logger.debug("{} is left to another worker of this job", self._path)
            except OSError as error:
                logger.warning("{} could not be removed: {}", self._path, error.strerror)
            self._release()

    def _release(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        self._sizes.clear()
        if self._workspace.readable is not None:
            self._workspace.readable.close()

    def _write(self, name: str, data: bytes) -> None:
        if self._descriptor >= 0:
            try:
                self._write_here(name, data)
            except FileNotFoundError:
                self._release()  # a command removed the folder
            else:
                return
        self._create()
        self._write_here(name, data)

    def _write_here(self, name: str, data: bytes) -> None:
        self._sizes.pop(name, None)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)
        descriptor = os.open(name, NEW_FILE, 0o600, dir_fd=self._descriptor)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
        except OSError:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._descriptor)
            raise

    def _create(self) -> None:
        try:
            os.mkdir(self._path, 0o700)
        except FileExistsError:
            # It is someone else's: use another folder, which a restarted worker won't find.
            self._path = Path(tempfile.mkdtemp(prefix=f"{self._path.name}-"))
        self._open()

    def _open(self) -> None:
        """Open the folder, if it is ours alone.

        Raises:
            OSError: it is missing, a link, or someone else's.
        """
        descriptor = os.open(self._path, DIRECTORY)
        try:
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != 0o700:
                raise PermissionError(f"{self._path} belongs to someone else")
            # Shared by all workers of this job; the last one removes the folder.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            sizes = {
                name: os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_size for name in os.listdir(descriptor)
            }
            self._workspace.readable = Workspace(
                self._path, os.dup(descriptor), choose_opener(descriptor), self._job_id
            )
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor, self._sizes = descriptor, sizes


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        # Every candidate is full or read-only, which is then the reason why an output isn't kept.
        return Path("/tmp")  # noqa: S108 - only its name
