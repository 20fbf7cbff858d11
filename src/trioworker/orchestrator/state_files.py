"""The files in a state folder, which `local` and `fleet` share: the database, and journals and locks of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

JOURNAL_SUFFIX = ".journal"
"""As in the worker's `journal_path`."""
LOCK_SUFFIX = ".lock"


def database_path(state_dir: Path) -> Path:
    """The database of jobs and events, beside the journals of unfinished jobs."""
    return state_dir / "jobs.sqlite"


def lock_path(state_dir: Path, job_id: str) -> Path:
    """The file that is locked while a program runs the job."""
    return state_dir / f"{job_id.lower()}{LOCK_SUFFIX}"


def make_state_dir(state_dir: Path) -> None:
    """Create the folder, for this user only.

    Raises:
        ConfigError: it can't be created.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--state-dir {state_dir}: {error.strerror}; use a folder that you can write to") from error
