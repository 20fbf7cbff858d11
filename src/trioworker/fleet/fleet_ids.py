"""The identity of a fleet and of its jobs, which is the same when the fleet is run again.

The id of a job is derived from its fleet's id and its task's key. So nothing is written when a job starts, and a rerun
finds the job's journal and its row in the database. The fleet's id is in the results, and before the first result, in
the database of the state folder, under the path of the results. A new file of results is a new fleet.
"""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from trioworker.errors import ConfigError
from trioworker.orchestrator.database import OPEN_TIMEOUT, open_database

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

SCHEMA = "CREATE TABLE IF NOT EXISTS fleets (results TEXT PRIMARY KEY, id TEXT NOT NULL)"


def forget_fleet(database: Path, results: Path) -> None:
    """Forget the id of the fleet that had this file of results. Call it before a new one is created.

    Raises:
        ConfigError: the database can't be used.
    """
    with _fleets(database) as db:
        db.execute("DELETE FROM fleets WHERE results = ?", (str(results.resolve()),))


def fleet_id(database: Path, results: Path, in_results: str | None) -> str:
    """Return the fleet's id: `in_results`, which is None if there are no results yet, or that in the database.

    Raises:
        ConfigError: the database can't be used.
    """
    if in_results is not None:
        return in_results
    path = str(results.resolve())
    with _fleets(database) as db:
        db.execute("INSERT OR IGNORE INTO fleets (results, id) VALUES (?, ?)", (path, str(uuid.uuid4())))
        return db.execute("SELECT id FROM fleets WHERE results = ?", (path,)).fetchone()[0]


def task_job_id(fleet: str, key: str) -> str:
    """The id of the job of a task."""
    return str(uuid.uuid5(uuid.UUID(fleet), key))


@contextmanager
def _fleets(database: Path) -> Generator[sqlite3.Connection]:
    try:
        with closing(open_database(database, option="--state-dir")) as db:
            # At the start, nothing else runs in the event loop.
            db.execute(f"PRAGMA busy_timeout = {OPEN_TIMEOUT * 1000:.0f}")
            db.execute(SCHEMA)
            yield db
    except sqlite3.Error as error:
        raise ConfigError(f"--state-dir: {database}: {error}; name another folder") from error
