"""Finds the job of an earlier run that a command line means."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trioworker.errors import ConfigError
from trioworker.local.config import NEWEST
from trioworker.orchestrator.job_lock import holder_of

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.local.config import LocalConfig
    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView

SHORT_ID_LENGTH = 8
"""Characters of an id that are shown: the first group of a UUID."""
MIN_PREFIX_LENGTH = 4
LIST_HINT = "`trioworker jobs` lists all jobs"

_UNITS = (("d", 24 * 3600), ("h", 3600), ("min", 60), ("s", 1))


def find_unfinished(config: LocalConfig, store: Store) -> str | None:
    """The id of the unfinished job that `config` means; None if a new one starts.

    Raises:
        ConfigError: `--resume` names no unfinished job.
    """
    workspace = str(config.workspace.resolve())
    if config.resume is None:
        return None if config.new else store.kept.newest_like(config.text, workspace)
    if config.resume == NEWEST:
        return _newest_in(store, workspace, config.state_dir)
    job = job_with_prefix(store, config.resume)
    if job.ended is not None:
        raise ConfigError(
            f"--resume: job {short(job.id)} has ended ({job.state}); see it with `trioworker jobs {short(job.id)}`,"
            " or start a new job with its text"
        )
    return job.id


def job_with_prefix(store: Store, prefix: str) -> JobView:
    """The only job whose id starts with `prefix`.

    Raises:
        ConfigError: there are several, or none, or `prefix` is too short.
    """
    shown = repr(prefix[:40])
    if len(prefix) < MIN_PREFIX_LENGTH:
        raise ConfigError(f"job {shown}: give at least {MIN_PREFIX_LENGTH} characters of its id; {LIST_HINT}")
    ids = store.kept.with_prefix(prefix)
    if len(ids) > 1:
        raise ConfigError(f"job {shown} is ambiguous: {', '.join(ids[:3])}; give more characters of its id")
    view = store.view(ids[0]) if ids else None
    if view is None:
        raise ConfigError(f"job {shown} is unknown; {LIST_HINT}")
    return view


def short(job_id: str) -> str:
    """The start of an id that a person needs to type."""
    return job_id[:SHORT_ID_LENGTH]


def age(since: float) -> str:
    """How long ago a Unix time is, in its largest unit."""
    seconds = max(0.0, time.time() - since)
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds / size:.0f} {unit}"


def _newest_in(store: Store, workspace: str, state_dir: Path) -> str:
    ids = store.kept.unfinished_in(workspace)
    if not ids:
        raise ConfigError(f"--resume: no unfinished job in {workspace}; {LIST_HINT}")
    # One that runs can't be resumed; if all run, say so of the newest.
    return next((job_id for job_id in ids if holder_of(state_dir, job_id) is None), ids[0])
