"""Opens the job of a `trioworker local`: creates it, or takes over one that a killed run left unfinished.

A job belongs to the program that holds its lock, so only one program resumes it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import trio

from trioworker.errors import ConfigError
from trioworker.local.finding import age, find_unfinished, short
from trioworker.observability.notices import print_notice
from trioworker.orchestrator.database import unlocked, unusable
from trioworker.orchestrator.job_lock import holder_of, lock_job, try_lock
from trioworker.orchestrator.state_files import database_path
from trioworker.orchestrator.views import title_of
from trioworker.worker.state.journal_file import journal_path

if TYPE_CHECKING:
    from collections.abc import Generator

    from trioworker.local.config import LocalConfig
    from trioworker.orchestrator.job_lock import JobLock
    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView

WORKER_END_TIMEOUT = 12.0
"""Seconds that the worker of a killed run may take to end its processes; it releases the journal then."""
WORKER_END_INTERVAL = 0.05


class OpenJob(NamedTuple):
    """A job that this program runs. `earlier_events` is the number of events of earlier runs."""

    id: str
    token: str
    workspace: Path
    lock: JobLock
    resumed: bool = False
    earlier_events: int = 0


async def open_local_job(config: LocalConfig, store: Store) -> OpenJob:
    """Create the job, or take over an unfinished one and print a one-line notice.

    Raises:
        ConfigError: the job that `config` means runs elsewhere, or can't be resumed; the database can't be used.
    """
    with _database_errors(config):
        job_id = await unlocked(find_unfinished, config, store)
        if job_id is not None:
            job = await _taken_over(config, store, job_id)
            if job is not None:
                return job
        return await _created(config, store)


async def _created(config: LocalConfig, store: Store) -> OpenJob:
    # Locked before it is in the database: another program would take an unlocked job over.
    job_id = str(uuid.uuid4())
    lock = await lock_job(config.state_dir, job_id)
    if lock is None:
        raise ConfigError(f"--state-dir {config.state_dir}: its files can't be locked; use a folder on a local disk")
    workspace = config.workspace.resolve()
    title = config.title or title_of(config.text)
    with ExitStack() as stack:
        stack.enter_context(lock)
        job = await unlocked(store.create_job, config.text, title=title, project_dir=str(workspace), job_id=job_id)
        stack.pop_all()
    return OpenJob(job.id, job.token, workspace, lock)


async def _taken_over(config: LocalConfig, store: Store, job_id: str) -> OpenJob | None:
    """The unfinished job, or None if it can't be continued and its text can start a new one.

    Raises:
        ConfigError: it runs elsewhere, or it can't be resumed.
    """
    lock = await lock_job(config.state_dir, job_id)
    if lock is None:
        raise ConfigError(f"job {short(job_id)} is running{_where(config, job_id)}; {_instead(config)}")
    with ExitStack() as stack:
        stack.enter_context(lock)
        resumed = await _resumed(config, store, job_id, lock)
        if isinstance(resumed, OpenJob):
            stack.pop_all()
            return resumed
        lock.ended = True
    if config.resume is not None:
        raise ConfigError(f"--resume: job {short(job_id)} {resumed}; start a new job with its text")
    print_notice(f"job {short(job_id)} {resumed}; starting a new job")
    return None


async def _resumed(config: LocalConfig, store: Store, job_id: str, lock: JobLock) -> OpenJob | str:
    """The locked job; or, as text, why it has ended or can't be resumed. In the latter case, it is ended."""
    journal = journal_path(config.state_dir, job_id)
    await _wait_for_worker(journal)
    view = await unlocked(store.view, job_id)
    token = await unlocked(store.renew_token, job_id)
    if view is None or token is None:
        return "has ended meanwhile"
    events = await unlocked(store.kept.event_count, job_id)
    if events and not journal.exists():
        problem = f"can't be resumed: its journal {journal} is missing"
        await unlocked(store.abandon, job_id, problem)
        return problem
    workspace = _workspace_of(view, config)
    count = f"{events} event{'' if events == 1 else 's'}"
    print_notice(f"resumed job {short(job_id)}, started {age(view.created)} ago: {count} earlier; --new starts over")
    return OpenJob(job_id, token, workspace, lock, resumed=True, earlier_events=events)


def _workspace_of(view: JobView, config: LocalConfig) -> Path:
    workspace = Path(view.project_dir or config.workspace)
    if not workspace.is_dir():
        raise ConfigError(f"job {short(view.id)}: its workspace {workspace} is missing; create it again")
    return workspace


async def _wait_for_worker(journal: Path) -> None:
    """Wait until the worker of a killed run has ended: it holds the lock on the journal.

    Raises:
        ConfigError: it doesn't end, or something else holds the lock.
    """
    try:
        file = os.open(journal, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        # It doesn't exist yet, or the new worker will say why it can't be opened.
        return
    try:
        if try_lock(file, fcntl.LOCK_EX):
            return
        print_notice("waiting for the worker of the earlier run to end")
        with trio.move_on_after(WORKER_END_TIMEOUT):
            while not try_lock(file, fcntl.LOCK_EX):  # noqa: ASYNC110 - the kernel reports no release
                await trio.sleep(WORKER_END_INTERVAL)
            return
    finally:
        os.close(file)
    raise ConfigError(f"{journal}: another process holds this journal; end it, or start another job with --new")


def _where(config: LocalConfig, job_id: str) -> str:
    return f" in process {pid}" if (pid := holder_of(config.state_dir, job_id)) else ""


def _instead(config: LocalConfig) -> str:
    return "wait for its end" if config.resume is not None else "wait for its end, or start another one with --new"


@contextmanager
def _database_errors(config: LocalConfig) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise unusable(database_path(config.state_dir), error, option="--state-dir") from error
