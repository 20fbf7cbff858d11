"""Names of the files in a state directory, which `local` and `fleet` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def database_path(state_dir: Path) -> Path:
    """The database of jobs and events, beside the journals of unfinished jobs."""
    return state_dir / "jobs.sqlite"
