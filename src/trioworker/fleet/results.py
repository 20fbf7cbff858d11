"""The file of results: one JSON object per line, appended when a job ends. The next run skips these jobs."""

from __future__ import annotations

import fcntl
import os
import stat
from typing import TYPE_CHECKING, Self

import msgspec

from trioworker.errors import ConfigError
from trioworker.fleet.lines import BOM
from trioworker.protocol.odd_replies import INVALID

if TYPE_CHECKING:
    from pathlib import Path


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The final result of a job.

    `exit_code` is null if the last worker was lost, `success` if only the orchestrator knows it. `seconds` is the time
    from the first start to the end, with all attempts. The tokens are null if only the orchestrator knows them.
    `fleet` is the fleet's id if the job is that of a task: see `fleet_ids`.
    """

    job_id: str
    exit_code: int | None
    status: str | None
    success: bool | None
    message: str | None
    seconds: float
    attempts: int
    engine: str
    node: str | None
    title: str | None = None
    workspace: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    fleet: str | None = None


FIRST_FIELD = b'{"job_id":"'
"""With this each line begins that `Results` writes."""


class Results:
    """The results of one fleet, locked against other fleets. A context manager.

    Attributes:
        done: the results, by the jobs' ids.
        is_rerun: whether the file existed: an earlier fleet has run some of the jobs.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file; an incomplete last line, left by a crash, is dropped.

        Raises:
            ConfigError: it can't be written, isn't a file of results, or is locked by another fleet.
        """
        self._path = path
        self.is_rerun = path.exists()
        self._file = _open(path)
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise ConfigError(f"--results {path}: not a regular file, so a rerun couldn't read it; name a file")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another fleet may have removed the file since it was opened: see `discard`.
            if not (path.exists() and os.path.samestat(path.stat(), os.fstat(self._file))):
                raise BlockingIOError
            self.done = self._read()
        except BlockingIOError as error:
            os.close(self._file)
            raise ConfigError(f"--results {path}: another fleet writes to it; wait for its end, or stop it") from error
        except BaseException:
            os.close(self._file)
            raise

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def fleet(self) -> str | None:
        """The id of the fleet that has the last result of a task."""
        return next((result.fleet for result in reversed(self.done.values()) if result.fleet), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def discard(self) -> None:
        """Remove the file if this fleet created it and no worker was started.

        Otherwise, the next fleet would take refused tokens for those of jobs that were reported.
        """
        if not self.is_rerun and not self.done:
            self._path.unlink(missing_ok=True)

    def add(self, result: Result) -> None:
        """Append the result of a job. It is on disk when this returns.

        Raises:
            ConfigError: it can't be written.
        """
        line = msgspec.json.encode(result) + b"\n"
        size = os.fstat(self._file).st_size
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fdatasync(self._file)
        except OSError as error:
            # A partial line in the middle would make the file unreadable for the next fleet.
            os.ftruncate(self._file, size)
            raise ConfigError(f"--results {self._path}: {error.strerror}; make room and run again") from error
        self.done[result.job_id] = result

    def _read(self) -> dict[str, Result]:
        content = bytearray()
        while chunk := os.read(self._file, 1 << 20):
            content += chunk
        done, whole = _parse(self._path, bytes(content))
        # Truncate only now that the file is known to be ours.
        if whole < len(content):
            os.ftruncate(self._file, whole)
        return done


def _open(path: Path) -> int:
    try:
        # Other users must not read the messages of jobs.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"--results {path}: {error.strerror}; name a file that can be written") from error


def read_results(path: Path) -> dict[str, Result]:
    """Return the results in a file, by the jobs' ids, without locking it; none if the file doesn't exist.

    Raises:
        ConfigError: it can't be read, or isn't a file of results.
    """
    try:
        content = path.read_bytes() if path.is_file() or not path.exists() else None
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"--results {path}: {error.strerror}; name a file that can be read") from error
    if content is None:
        raise ConfigError(f"--results {path}: not a regular file; name a file")
    return _parse(path, content)[0]


def _parse(path: Path, content: bytes) -> tuple[dict[str, Result], int]:
    """Return the results and the number of bytes without an incomplete last line."""
    whole = content.rfind(b"\n") + 1
    decoder = msgspec.json.Decoder(Result)
    done: dict[str, Result] = {}
    for number, line in enumerate(content[:whole].removeprefix(BOM).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            result = decoder.decode(line)
        except INVALID as error:
            raise ConfigError(f"{path}:{number}: not a result of a fleet: {error}; name a new file") from error
        done[result.job_id] = result
    partial = content[whole:].removeprefix(BOM).strip()
    if not partial.startswith(FIRST_FIELD[: len(partial)]):
        raise ConfigError(f"{path}: not a file of results; name a new file")
    return done, whole
