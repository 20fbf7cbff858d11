"""Grants each job to one start of a worker, so that two copies of a worker can't both work on it.

A start identifies itself by a header and begins with `GET job` (contract, 'Starts'). The job is granted to the start
whose first `GET job` came last; the requests of all other starts are refused, even after the job has ended. A
worker that doesn't send the header can't be told apart from others, and is always admitted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from trioworker.protocol.values import START_HEADER

if TYPE_CHECKING:
    import sqlite3

    from starlette.requests import Request


class Starts:
    """The starts of all jobs, in the orchestrator's database: they survive its restart."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def ask(self, job_id: str, start: str) -> None:
        """Grant the job to a start that asks for the first time. A start that asked before keeps its position."""
        self._db.execute("INSERT OR IGNORE INTO starts (job, start) VALUES (?, ?)", (job_id, start))

    def granted(self, job_id: str) -> str | None:
        """The start to which the job is granted; None if none has asked for it."""
        return self._one("SELECT start FROM starts WHERE job = ? ORDER BY number DESC LIMIT 1", job_id)

    def is_known(self, job_id: str, start: str) -> bool:
        """Whether a start has asked for the job."""
        return self._one("SELECT start FROM starts WHERE job = ? AND start = ?", job_id, start) is not None

    def _one(self, statement: str, *values: str) -> str | None:
        row = self._db.execute(statement, values).fetchone()
        return None if row is None else row[0]


def check_start(starts: Starts, request: Request, job_id: str, *, has_access: bool) -> None:
    """Admit the request of the granted start, or of a worker without the header; `GET job` of a new start grants it.

    `has_access` is whether the request has the job's token. A worker whose token was revoked by another start's report
    still learns that it was superseded.

    Raises:
        HTTPException: 409 for another start, 400 for a header that doesn't identify one.
    """
    start = request.headers.get(START_HEADER)
    if start is None:
        return
    if not re.fullmatch("[0-9a-f]{32}", start):
        raise HTTPException(400, f"{START_HEADER}: expected 32 lower-case hex digits")
    if has_access and request.url.path.endswith("/job"):
        starts.ask(job_id, start)
    granted = starts.granted(job_id)
    if granted not in {None, start} and (has_access or starts.is_known(job_id, start)):
        raise HTTPException(409, "superseded")
