"""Jobs of earlier runs in the orchestrator's database: finds them again, and removes old ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.orchestrator.database import transaction

if TYPE_CHECKING:
    import sqlite3

_LAST_ACTIVITY = (
    "COALESCE(ended, (SELECT at FROM events WHERE job = jobs.id ORDER BY number DESC LIMIT 1), created)"  # Unix time
)


class KeptJobs:
    """The jobs of a database, by what identifies them to a person. Every method returns ids of jobs."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def newest_like(self, description: str, project_dir: str) -> str | None:
        """The newest job with this description and folder, if it hasn't ended. A newer job replaces it."""
        row = self._db.execute(
            "SELECT id, ended FROM jobs WHERE description = ? AND project_dir = ?"
            " ORDER BY created DESC, rowid DESC LIMIT 1",
            (description, project_dir),
        ).fetchone()
        return None if row is None or row[1] is not None else row[0]

    def unfinished_in(self, project_dir: str) -> list[str]:
        """The unfinished jobs of a folder, newest first."""
        return self._ids(
            "SELECT id FROM jobs WHERE ended IS NULL AND project_dir = ? ORDER BY created DESC, rowid DESC", project_dir
        )

    def with_prefix(self, prefix: str) -> list[str]:
        """The jobs whose id starts with `prefix`, newest first."""
        return self._ids(
            "SELECT id FROM jobs WHERE substr(id, 1, ?) = ? ORDER BY created DESC, rowid DESC",
            len(prefix),
            prefix.lower(),
        )

    def event_count(self, job_id: str) -> int:
        """The number of the job's events."""
        return self._db.execute("SELECT COALESCE(MAX(number), 0) FROM events WHERE job = ?", (job_id,)).fetchone()[0]

    def inactive_since(self, time: float) -> list[str]:
        """The jobs that ended before `time`, or whose last event came before it. Oldest first."""
        return self._ids(
            f"SELECT id FROM jobs WHERE created < ? AND {_LAST_ACTIVITY} < ? ORDER BY created",  # noqa: S608 - constant
            time,
            time,
        )

    def remove(self, job_id: str) -> None:
        """Remove a job with everything that belongs to it."""
        with transaction(self._db):
            for table in ("events", "starts", "prompts", "credentials"):
                self._db.execute(f"DELETE FROM {table} WHERE job = ?", (job_id,))  # noqa: S608 - a constant
            self._db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def _ids(self, statement: str, *values: object) -> list[str]:
        return [row[0] for row in self._db.execute(statement, values)]
