"""The file that a job is recorded into, line by line: whatever ends the worker, all that came before stands."""

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
"""How the file is opened: a link or a FIFO that somebody put there must neither lead away nor hold us."""
MAX_HEADER_BYTES = 4 * 1024 * 1024
"""A job's text is of 1 MB at the most, as JSON a little more."""


class CassetteFile:
    """An open file; `began` says that an earlier process has recorded this job into it."""

    def __init__(self, descriptor: int, *, began: bool) -> None:
        self._descriptor = descriptor
        self.began = began

    def append(self, line: bytes) -> None:
        """Add a line; raises `OSError`."""
        view = memoryview(line + b"\n")
        while view:
            view = view[os.write(self._descriptor, view) :]


@contextmanager
def open_cassette_file(path: Path, job_id: str, workspace: Path) -> Generator[CassetteFile]:
    """The file, mode 0600, to record the job into; one that this job was recorded into before is gone on with.

    Raises:
        ConfigError: it can't be opened, lies where tools write, or holds anything else.
    """
    if path.resolve().is_relative_to(workspace.resolve()):
        raise ConfigError(f"--record: {path} is in the workspace, where tools write; choose another")
    try:
        descriptor = os.open(path, OPEN_FLAGS, 0o600)
    except OSError as error:
        raise ConfigError(f"--record {path}: {error.strerror}; name a file that can be written") from error
    try:
        try:
            began = _taken_up(descriptor, path, job_id)
        except OSError as error:
            raise ConfigError(f"--record {path}: {error.strerror}; name a file that can be written") from error
        yield CassetteFile(descriptor, began=began)
    finally:
        os.close(descriptor)


def _taken_up(descriptor: int, path: Path, job_id: str) -> bool:
    """Whether the file holds this job's beginning; a line that a death has torn is cut."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"--record: {path} is no plain file; choose another")
    if not status.st_size:
        return False
    first, newline, _ = os.pread(descriptor, MAX_HEADER_BYTES, 0).partition(b"\n")
    if not newline:
        raise ConfigError(f"--record: {path} is there and no cassette; move it away, or choose another")
    header = read_header(first, f"--record: {path}")
    if header.job_id.lower() != job_id.lower():
        raise ConfigError(f"--record: {path} holds job {header.job_id}; move it away, or choose another")
    os.ftruncate(descriptor, _whole_lines(descriptor, status.st_size))
    return True


def _whole_lines(descriptor: int, size: int) -> int:
    """Bytes up to the last line's end."""
    step = 64 * 1024
    while size:
        start = max(0, size - step)
        at = os.pread(descriptor, size - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        size = start
    return 0
