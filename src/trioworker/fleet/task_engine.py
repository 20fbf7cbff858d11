"""Runs tasks: creates the workspace and the job of each one, and has an engine run its worker.

A job that an earlier run has started is resumed: its worker gets a new token, and continues from the journal.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import msgspec

from trioworker.errors import ConfigError
from trioworker.fleet.engine import Attempt, NotStartedError
from trioworker.fleet.job_status import attempt_from_report
from trioworker.fleet.workspaces import is_taken, make_draft, publish
from trioworker.local.job_end import delete_journal
from trioworker.orchestrator.database import unlocked
from trioworker.orchestrator.job_lock import lock_job
from trioworker.protocol.exit_codes import BAD_USAGE
from trioworker.supervision.nurseries import cancelled_after
from trioworker.worker.state.journal_file import journal_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import trio

    from trioworker.fleet.engine import Engine
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.results import Result
    from trioworker.fleet.stopping import Stop
    from trioworker.fleet.tasks import Task
    from trioworker.orchestrator.store import Store
    from trioworker.orchestrator.views import JobView

P = ParamSpec("P")
T = TypeVar("T")


class TaskEngine:
    """An `Engine`, and the `JobStatusClient` of its jobs: it has their database."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        tasks: Mapping[str, Task],
        stop: Stop,
        *,
        url: str,
        state_dir: Path,
        root: Path,
    ) -> None:
        """`tasks` by the ids of their jobs; `url` is our orchestrator's; `root` is the folder of new workspaces."""
        self.name = engine.name
        self.stop_timeout = engine.stop_timeout
        self._engine = engine
        self._store = store
        self._tasks = tasks
        self._stop = stop
        self._url = url
        self._state_dir = state_dir
        self._root = root
        self._time_options: dict[str, tuple[str, ...]] = {}

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """See `Engine`."""
        view = await self._call(self._store.view, job.job_id)
        ended = None if view is None else _outcome(view)
        if ended is not None:
            # Its fleet was killed before the result was written.
            return msgspec.structs.replace(ended, count=0)
        # The time in which nobody ran the job doesn't count; that of an attempt of this fleet does.
        self._time_options.setdefault(job.job_id, () if view is None else (f"--time-from={time.monotonic():.3f}",))
        lock = await lock_job(self._state_dir, job.job_id)
        if lock is None:
            raise NotStartedError("another program runs the job")
        with lock:
            attempt = await self._run_locked(job, view, stopping)
            view = await self._call(self._store.view, job.job_id)
            lock.ended = view is not None and view.ended is not None
        return attempt if view is None else _with_tokens(attempt, view)

    def left_behind(self) -> str | None:
        """See `Engine`."""
        return self._engine.left_behind()

    async def _run_locked(self, job: FleetJob, view: JobView | None, stopping: trio.Event) -> Attempt:
        """Run a worker. `view` is the job before that, None if it is new."""
        token = await self._prepare(job, view)
        if token is None:
            return Attempt(exit_code=None, message="stopped before its start")
        # A stopped task is reported, even if a variable that is set for other workers says otherwise.
        own = (f"--state-dir={self._state_dir}", "--on-sigterm=report")
        options = (*job.worker_options, *own, *self._time_options[job.job_id])
        attempt = await self._engine.run(
            msgspec.structs.replace(job, token=token, orchestrator_url=self._url, worker_options=options), stopping
        )
        if attempt.exit_code == BAD_USAGE:
            if view is None or view.state == "pending":
                # No worker could use its options, such as a module of tools that isn't installed yet.
                raise NotStartedError(attempt.message or "its worker refused its options")
            # The usage of an earlier worker was good, so this passes: a worker that is about to end has the journal.
            return msgspec.structs.replace(attempt, exit_code=None)
        return attempt

    async def fetch_outcome(self, job: FleetJob) -> Attempt | None:
        """Return the job's outcome, or None if it has not ended."""
        view = await self._call(self._store.view, job.job_id)
        return None if view is None else _outcome(view)

    async def finish(self, job: FleetJob, result: Result) -> None:
        """End a job whose result is final, even if its workers could not report it, and delete its journal."""
        await self._call(self._store.abandon, job.job_id, result.message or "no worker could report the job")
        delete_journal(journal_path(self._state_dir, job.job_id))

    async def _prepare(self, job: FleetJob, view: JobView | None) -> str | None:
        """Create the workspace and the job, unless an earlier run did. Return a token, or None if the fleet stops."""
        async with cancelled_after(self._stop.draining.wait):
            return await (self._create(job) if view is None else self._renew(job))
        return None

    async def _create(self, job: FleetJob) -> str:
        task, target = self._tasks[job.job_id], Path(job.workspace or "")
        if _is_ours(task):
            if is_taken(target):
                raise NotStartedError(f"the workspace {target} exists, and is never overwritten; move it away")
            await make_draft(task.source, target, self._root)
        made = await self._call(
            self._store.create_job, task.text, title=task.title, project_dir=str(target), job_id=job.job_id
        )
        if _is_ours(task):
            publish(target)
        return made.token

    async def _renew(self, job: FleetJob) -> str:
        task, target = self._tasks[job.job_id], Path(job.workspace or "")
        if _is_ours(task) and not is_taken(target):
            # The earlier run was killed after it made the job, and before it made this folder.
            await make_draft(task.source, target, self._root)
            publish(target)
        token = await self._call(self._store.renew_token, job.job_id)
        if token is None:
            raise NotStartedError("the job ended while it was resumed; run again")
        return token

    async def _call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await unlocked(method, *args, **kwargs)
        except sqlite3.Error as error:
            raise ConfigError(f"--state-dir {self._state_dir}: the database failed: {error}; run again") from error


def _is_ours(task: Task) -> bool:
    """Whether the task's workspace is made by us."""
    return task.workspace is None or task.source is not None


def _outcome(view: JobView) -> Attempt | None:
    if view.report is None:
        return None
    attempt = attempt_from_report(view.state, success=view.report.success, message=view.report.message)
    return _with_tokens(attempt, view)


def _with_tokens(attempt: Attempt, view: JobView) -> Attempt:
    usage = view.usage
    return msgspec.structs.replace(attempt, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
