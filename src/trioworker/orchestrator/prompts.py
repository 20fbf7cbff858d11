"""Follow-up prompts: queued by people, taken by the worker one at a time, and kept to show what was read and when."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trioworker.orchestrator.views import PromptView
from trioworker.protocol.wire import Prompt

if TYPE_CHECKING:
    import sqlite3


class Prompts:
    """The prompts of all jobs, in the orchestrator's database. Each change is one statement."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, job_id: str, prompt: Prompt) -> bool:
        """Queue a prompt. False: the job has ended or doesn't exist."""
        inserted = self._db.execute(
            "INSERT INTO prompts (job, content, done, sent)"
            " SELECT id, ?, ?, ? FROM jobs WHERE id = ? AND ended IS NULL",
            (prompt.content, bool(prompt.done), time.time(), job_id),
        )
        return inserted.rowcount == 1

    def take(self, job_id: str) -> Prompt | None:
        """Return the oldest queued prompt and mark it as taken. None: nothing is queued, or the job has ended."""
        rows = self._db.execute(
            "UPDATE prompts SET taken = ? WHERE number = (SELECT MIN(number) FROM prompts JOIN jobs ON jobs.id = job"
            " WHERE job = ? AND taken IS NULL AND ended IS NULL) RETURNING content, done",
            (time.time(), job_id),
        ).fetchall()
        return Prompt(content=rows[0][0], done=bool(rows[0][1])) if rows else None

    def views(self, job_id: str) -> list[PromptView]:
        """All prompts of the job, oldest first."""
        rows = self._db.execute("SELECT content, sent, taken FROM prompts WHERE job = ? ORDER BY number", (job_id,))
        return [PromptView(content=content, sent=sent, taken=taken) for content, sent, taken in rows]
