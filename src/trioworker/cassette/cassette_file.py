"""The file that a job is recorded into. Each line is written at once, so a killed worker loses at most the last one."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trioworker.cassette.format import read_header
from trioworker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A symbolic link at the path is refused, and a FIFO doesn't block."""
MODE = 0o600
"""Set for an existing file, too: it holds a conversation."""
MAX_HEADER_BYTES = 4 * 1024 * 1024
"""A job's description has at most 1 MB, which is a little more as JSON."""


class CassetteFile:
    """An open cassette. `resumed`: an earlier process has recorded the beginning of this job into it."""

    def __init__(self, descriptor: int, *, resumed: bool) -> None:
        self._descriptor = descriptor
        self.resumed = resumed

    def append(self, line: bytes) -> None:
        """Append a line.

        Raises:
            OSError: it can't be written.
        """
        view = memoryview(line + b"\n")
        while view:
            view = view[os.write(self._descriptor, view) :]


@contextmanager
def open_cassette_file(path: Path, job_id: str, workspace: Path) -> Generator[CassetteFile]:
    """Open the file to record the job into, with mode 0600. An earlier recording of the same job is continued.

    Raises:
        ConfigError: it can't be opened, is in the workspace, or is anything other than a recording of this job.
    """
    if path.resolve().is_relative_to(workspace.resolve()):
        raise ConfigError(f"--record: {path} is in the workspace, where tools write; choose another")
    try:
        descriptor = os.open(path, OPEN_FLAGS, MODE)
    except OSError as error:
        raise ConfigError(f"--record {path}: {error.strerror}; name a file that can be written") from error
    try:
        try:
            resumed = _check_and_repair(descriptor, path, job_id)
        except OSError as error:
            raise ConfigError(f"--record {path}: {error.strerror}; name a file that can be written") from error
        yield CassetteFile(descriptor, resumed=resumed)
    finally:
        os.close(descriptor)


def _check_and_repair(descriptor: int, path: Path, job_id: str) -> bool:
    """Return whether the file holds the beginning of this job; cut off a last line that is incomplete."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"--record: {path} is not a regular file; choose another")
    if not status.st_size:
        os.fchmod(descriptor, MODE)
        return False
    first, newline, _ = os.pread(descriptor, MAX_HEADER_BYTES, 0).partition(b"\n")
    if not newline:
        raise ConfigError(f"--record: {path} exists and is not a cassette; move it away, or choose another")
    header = read_header(first, f"--record: {path}")
    if header.job_id.lower() != job_id.lower():
        raise ConfigError(f"--record: {path} holds job {header.job_id}; move it away, or choose another")
    os.fchmod(descriptor, MODE)
    os.ftruncate(descriptor, _end_of_last_line(descriptor, status.st_size))
    return True


def _end_of_last_line(descriptor: int, size: int) -> int:
    """Return the offset after the last newline."""
    step = 64 * 1024
    while size:
        start = max(0, size - step)
        at = os.pread(descriptor, size - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        size = start
    return 0
