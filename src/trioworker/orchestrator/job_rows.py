"""Reads jobs from the orchestrator's database, as the management API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioworker.orchestrator.views import JobSummary, JobView, Report, Usage

if TYPE_CHECKING:
    import sqlite3

LIST_LIMIT = 1000
"""Maximum number of jobs in a list: the newest."""


def select_view(db: sqlite3.Connection, job_id: str) -> JobView | None:
    """The job, or None if there is no such job."""
    row = db.execute(f"{_SELECT} WHERE id = ?", (job_id,)).fetchone()
    return None if row is None else _view(row)


def select_views(db: sqlite3.Connection) -> list[JobView]:
    """The newest jobs, newest first."""
    rows = db.execute(f"{_SELECT} ORDER BY created DESC, rowid DESC LIMIT ?", (LIST_LIMIT,))
    return [_view(row) for row in rows]


def search_jobs(db: sqlite3.Connection, text: str) -> list[JobSummary]:
    """The newest jobs whose title, task, report or id contains `text`, whatever the case of its letters."""
    rows = db.execute(
        "SELECT id, title, state, created, ended FROM jobs WHERE ? = '' OR instr(casefold(id || char(10) || title"
        " || char(10) || description || char(10) || COALESCE(report, '')), ?)"
        " ORDER BY created DESC, rowid DESC LIMIT ?",
        (text, text.casefold(), LIST_LIMIT),
    )
    return [
        JobSummary(id=job_id, title=title, state=state, created=created, ended=ended)
        for job_id, title, state, created, ended in rows
    ]


_SELECT = (
    "SELECT id, title, description, project_dir, state, iteration, status, created, ended, success, report, iterations,"
    " requests, input_tokens, output_tokens, model FROM jobs"
)


def _view(row: tuple[Any, ...]) -> JobView:
    job_id, title, description, project_dir, state, iteration, status, created, ended, *rest = row
    success, report, iterations, requests, input_tokens, output_tokens, model = rest
    return JobView(
        id=job_id,
        title=title,
        description=description,
        project_dir=project_dir,
        state=state,
        iteration=iteration,
        status=status,
        model=model,
        created=created,
        ended=ended,
        report=None if ended is None else Report(success=bool(success), message=report, iterations=iterations),
        usage=Usage(requests=requests, input_tokens=input_tokens, output_tokens=output_tokens),
    )
