"""The orchestrator's state in SQLite: jobs, events, prompts, credentials, reports.

Each change is one short transaction in the event loop: 0.1 ms in memory and 0.2 ms in a file with a write-ahead log,
about the cost of handing it to a thread. A change wakes the job's followers. Only digests of tokens are stored. Waiting
while another process locks the database is left to `unlocked`.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec
import trio

from trioworker.orchestrator.database import open_database, transaction, unlocked
from trioworker.orchestrator.job_rows import search_jobs, select_view, select_views
from trioworker.orchestrator.kept_jobs import KeptJobs
from trioworker.orchestrator.prompts import Prompts
from trioworker.orchestrator.starts import Starts
from trioworker.orchestrator.tokens import digest_of, matches, new_token
from trioworker.orchestrator.views import NewJob, StoredEvent, Usage
from trioworker.protocol.wire import Credential, JobDescription

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trioworker.orchestrator.views import JobSummary, JobView, PromptView
    from trioworker.protocol.wire import CompletionReport, Prompt, Reply, StatusUpdate

EVENTS_AT_ONCE = 500
"""Events that one read returns. Each has at most 2 KB, so a follower holds about a megabyte."""

Access = Literal["granted", "denied", "unknown"]


class Store:
    """The jobs of one orchestrator, in the file `database`, or in memory if None. A context manager.

    Attributes:
        starts: to which start of a worker each job is granted.
        kept: jobs of earlier runs.
    """

    def __init__(self, database: Path | None = None, *, option: str = "--database") -> None:
        """Open or create the database. Errors name the `option` that chooses it.

        Raises:
            ConfigError: the file can't be opened, or isn't an orchestrator's database.
        """
        self._changed: dict[str, trio.Event] = {}
        self._db = open_database(database, option=option)
        self.starts = Starts(self._db)
        self._prompts = Prompts(self._db)
        self.kept = KeptJobs(self._db)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    # Jobs

    def create_job(
        self,
        description: str,
        *,
        title: str,
        project_dir: str | None = None,
        credentials: Sequence[Credential] = (),
        job_id: str | None = None,
    ) -> NewJob:
        """Create a job, with a new id unless one is given. Its token is returned only here."""
        job = NewJob(id=job_id or str(uuid.uuid4()), token=new_token(), title=title)
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO jobs (id, token_digest, title, description, project_dir, created)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (job.id, digest_of(job.token), title, description, project_dir, time.time()),
            )
            self._db.executemany(
                "INSERT INTO credentials (job, env_var, value) VALUES (?, ?, ?)",
                [(job.id, credential.env_var, credential.value) for credential in credentials],
            )
        return job

    def access(self, job_id: str, token: str) -> Access:
        """Whether `token` gives access to this job. A job that has ended has no valid token."""
        row = self._one("SELECT token_digest FROM jobs WHERE id = ?", job_id)
        if row is None:
            return "unknown"
        return "granted" if matches(token, row[0]) else "denied"

    def renew_token(self, job_id: str) -> str | None:
        """Replace the token of a job that hasn't ended, and return the new one; None for any other job.

        Only digests are stored, so a worker that resumes a job in a new process needs a new token.
        """
        token = new_token()
        updated = self._db.execute(
            "UPDATE jobs SET token_digest = ? WHERE id = ? AND ended IS NULL", (digest_of(token), job_id)
        )
        return token if updated.rowcount == 1 else None

    def description(self, job_id: str) -> JobDescription:
        """The description that the worker gets. The job must exist."""
        title, description, project_dir = self._row(
            "SELECT title, description, project_dir FROM jobs WHERE id = ?", job_id
        )
        return JobDescription(title=title, description=description, project_dir=project_dir)

    def credentials(self, job_id: str) -> list[Credential]:
        """The job's credentials; none once it has ended."""
        rows = self._db.execute("SELECT env_var, value FROM credentials WHERE job = ? ORDER BY rowid", (job_id,))
        return [Credential(env_var=env_var, value=value) for env_var, value in rows]

    def view(self, job_id: str) -> JobView | None:
        """The job as the management API shows it, or None if there is no such job."""
        return select_view(self._db, job_id)

    def views(self) -> list[JobView]:
        """The newest jobs, newest first."""
        return select_views(self._db)

    def search(self, text: str) -> list[JobSummary]:
        """The newest jobs that contain `text`, newest first; all of them if it is empty."""
        return search_jobs(self._db, text)

    # Reports of the worker

    def set_status(self, job_id: str, status: StatusUpdate) -> None:
        """Update a job that hasn't ended. A status that was delayed doesn't lower the iteration."""
        self._db.execute(
            "UPDATE jobs SET state = ?, iteration = MAX(iteration, ?), status = ? WHERE id = ? AND ended IS NULL",
            (status.state, status.iteration, status.message, job_id),
        )
        self._wake(job_id)

    def add_request(self, job_id: str, iteration: int | None = None) -> None:
        """Count a request to the model, even if it fails, and set its iteration, if the worker states it.

        The iteration decreases if the job was resumed from an older journal.
        """
        self._db.execute(
            "UPDATE jobs SET requests = requests + 1, iteration = COALESCE(?, iteration) WHERE id = ?",
            (iteration, job_id),
        )
        self._wake(job_id)

    def add_usage(self, job_id: str, reply: Reply, model: str | None = None) -> None:
        """Count a reply's tokens, and store the name of the model that gave it."""
        self._db.execute(
            "UPDATE jobs SET input_tokens = input_tokens + ?, output_tokens = output_tokens + ?,"
            " model = COALESCE(?, model) WHERE id = ?",
            (reply.input_tokens or 0, reply.output_tokens or 0, model, job_id),
        )
        self._wake(job_id)

    def add_event(self, job_id: str, event_type: str, data: dict[str, Any]) -> None:
        """Store an event. A repeat, which has the same `seq` and the same data, is dropped.

        Another event with a known `seq` isn't a repeat: it comes from another start, which resumed an older journal.
        """
        seq = data.get("seq")
        values = {
            "job": job_id,
            "seq": seq if isinstance(seq, int) else None,
            "event_type": event_type,
            "data": msgspec.json.encode(data).decode(),
            "now": time.time(),
        }
        self._db.execute(
            "INSERT INTO events (job, number, seq, event_type, data, at, input_tokens, output_tokens)"
            " SELECT id, (SELECT COALESCE(MAX(number), 0) + 1 FROM events WHERE job = jobs.id), :seq, :event_type,"
            " :data, :now, input_tokens, output_tokens FROM jobs WHERE id = :job AND NOT EXISTS"
            " (SELECT 1 FROM events WHERE job = :job AND seq = :seq AND event_type = :event_type AND data = :data)",
            values,
        )
        self._wake(job_id)

    def complete(self, job_id: str, report: CompletionReport) -> bool:
        """End the job: store its report, revoke its token and delete its credentials. False: it had already ended."""
        state = "completed" if report.success else self._failed_state(job_id)
        return self._end(job_id, state, report.success, report.message, report.iterations)

    def abandon(self, job_id: str, message: str) -> bool:
        """End a job whose worker exited without a report. False: it had already ended."""
        return self._end(job_id, "failed", False, message, None)

    def cancel(self, job_id: str, message: str) -> bool:
        """Cancel a job. Its worker's next request is refused. False: the job had already ended."""
        return self._end(job_id, "cancelled", False, message, None)

    # Follow-up prompts

    def add_prompt(self, job_id: str, prompt: Prompt) -> bool:
        """Queue a follow-up prompt for the worker. False: the job has ended or doesn't exist."""
        added = self._prompts.add(job_id, prompt)
        self._wake(job_id)
        return added

    def take_prompt(self, job_id: str) -> Prompt | None:
        """Return the oldest queued prompt and mark it as taken."""
        prompt = self._prompts.take(job_id)
        if prompt is not None:
            self._wake(job_id)
        return prompt

    def prompts(self, job_id: str) -> list[PromptView]:
        """All follow-up prompts of the job, oldest first."""
        return self._prompts.views(job_id)

    # Followers

    def events(self, job_id: str, after: int) -> list[StoredEvent]:
        """The next events of a job after number `after`, in order, at most `EVENTS_AT_ONCE`."""
        rows = self._db.execute(
            "SELECT number, event_type, data, at, input_tokens, output_tokens FROM events"
            " WHERE job = ? AND number > ? ORDER BY number LIMIT ?",
            (job_id, after, EVENTS_AT_ONCE),
        )
        return [
            StoredEvent(
                number=number,
                event_type=event_type,
                data=msgspec.json.decode(data),
                at=at,
                usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens),
            )
            for number, event_type, data, at, input_tokens, output_tokens in rows
        ]

    async def next_events(self, job_id: str, after: int) -> list[StoredEvent]:
        """Like `events`, but waits until there is one. An empty list means that the job has ended."""
        while True:
            events, ended = await unlocked(self._progress, job_id, after)
            if events or ended:
                return events
            # No await between the read and the wait, so no change is missed.
            await self.changed(job_id)

    async def changed(self, job_id: str) -> None:
        """Wait until the job changes: a new event, its state, its token counts."""
        await self._changed.setdefault(job_id, trio.Event()).wait()

    def _wake(self, job_id: str) -> None:
        changed = self._changed.pop(job_id, None)
        if changed is not None:
            changed.set()

    def _progress(self, job_id: str, after: int) -> tuple[list[StoredEvent], bool]:
        row = self._one("SELECT ended FROM jobs WHERE id = ?", job_id)
        return self.events(job_id, after), row is None or row[0] is not None

    def _failed_state(self, job_id: str) -> str:
        """The state of a failed job, from its last `result` event."""
        row = self._one(
            "SELECT data FROM events WHERE job = ? AND event_type = 'result' ORDER BY number DESC LIMIT 1", job_id
        )
        status = None if row is None else msgspec.json.decode(row[0]).get("status")
        return status if status in {"cancelled", "stuck"} else "failed"

    def _end(self, job_id: str, state: str, success: bool, message: str | None, iterations: int | None) -> bool:
        with transaction(self._db):
            updated = self._db.execute(
                "UPDATE jobs SET state = ?, ended = ?, success = ?, report = ?, iterations = ?, token_digest = NULL,"
                " iteration = COALESCE(?, iteration) WHERE id = ? AND ended IS NULL",
                (state, time.time(), success, message, iterations, iterations, job_id),
            )
            self._db.execute("DELETE FROM credentials WHERE job = ?", (job_id,))
        self._wake(job_id)
        return updated.rowcount == 1

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        rows = self._db.execute(statement, values).fetchall()
        return rows[0] if rows else None

    def _row(self, statement: str, *values: object) -> tuple[Any, ...]:
        row = self._one(statement, *values)
        if row is None:
            raise KeyError(values[0])
        return row
