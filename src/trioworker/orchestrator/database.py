"""The orchestrator's database: schema, opening or creating the file, and waiting while another process locks it."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import trio

from trioworker.errors import ConfigError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

P = ParamSpec("P")
T = TypeVar("T")

SCHEMA_VERSION = 3
"""Stored in the file as `user_version`; a file with another version is refused."""

OPEN_TIMEOUT = 5.0
"""Seconds that opening waits for a locked database."""
LOCK_TIMEOUT = 20.0
"""Seconds that a change waits for a locked database."""
LOCK_POLL_INTERVAL = 0.05

WRITABLE = "use a folder that exists and that you can write to"

SCHEMA = f"""
PRAGMA journal_mode = WAL;
-- A machine crash may lose the last events. A crash of the program loses none.
PRAGMA synchronous = NORMAL;
PRAGMA foreign_keys = ON;
PRAGMA user_version = {SCHEMA_VERSION};

CREATE TABLE IF NOT EXISTS jobs (
    id            TEXT PRIMARY KEY,
    token_digest  TEXT,                               -- NULL once the job has ended
    title         TEXT NOT NULL,
    description   TEXT NOT NULL,
    project_dir   TEXT,
    state         TEXT NOT NULL DEFAULT 'pending',
    iteration     INTEGER NOT NULL DEFAULT 0,
    status        TEXT,                               -- the last status message
    created       REAL NOT NULL,                      -- Unix time in seconds, like all times here
    ended         REAL,
    success       INTEGER,
    report        TEXT,
    iterations    INTEGER,                            -- as reported at the end
    model         TEXT,                               -- the model that replied last
    requests      INTEGER NOT NULL DEFAULT 0,         -- to the model, failed ones too
    input_tokens  INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (created);

CREATE TABLE IF NOT EXISTS events (
    job           TEXT NOT NULL REFERENCES jobs (id),
    number        INTEGER NOT NULL,                   -- from 1, in order of arrival
    seq           INTEGER,                            -- the worker's number, if it sends one; copies reuse numbers
    event_type    TEXT NOT NULL,
    data          TEXT NOT NULL,
    at            REAL NOT NULL,
    input_tokens  INTEGER NOT NULL,                   -- the job's total at this event
    output_tokens INTEGER NOT NULL,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_by_seq ON events (job, seq);

CREATE TABLE IF NOT EXISTS prompts (
    number  INTEGER PRIMARY KEY,
    job     TEXT NOT NULL REFERENCES jobs (id),
    content TEXT NOT NULL,
    done    INTEGER NOT NULL,
    sent    REAL NOT NULL,
    taken   REAL                                      -- when the worker fetched it; NULL while it is queued
);
CREATE INDEX IF NOT EXISTS prompts_by_job ON prompts (job, number);

CREATE TABLE IF NOT EXISTS credentials (
    job     TEXT NOT NULL REFERENCES jobs (id),
    env_var TEXT NOT NULL,
    value   TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS credentials_by_job ON credentials (job);

CREATE TABLE IF NOT EXISTS starts (
    number INTEGER PRIMARY KEY,                       -- ascending: a job is granted to its last start
    job    TEXT NOT NULL REFERENCES jobs (id),
    start  TEXT NOT NULL,
    UNIQUE (job, start)
);
"""


class DatabaseLockedError(WorkerError):
    """Another process has locked the database for longer than `LOCK_TIMEOUT`."""


async def unlocked(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a method of the store, and retry it while another process locks the database.

    SQLite's own wait would block the event loop. There is no await between a call that succeeds and the return.

    Raises:
        DatabaseLockedError: the database is still locked after `LOCK_TIMEOUT`.
    """
    give_up = trio.current_time() + LOCK_TIMEOUT
    while True:
        try:
            return call(*args, **kwargs)
        except sqlite3.OperationalError as error:
            if not _is_locked(error):
                raise
            if trio.current_time() >= give_up:
                raise DatabaseLockedError(
                    "another process locks the orchestrator's database; end that process"
                ) from error
        await trio.sleep(LOCK_POLL_INTERVAL)


def open_database(database: Path | None, *, option: str = "--database") -> sqlite3.Connection:
    """Open the database, in memory if None, and create it if needed. Each statement is its own transaction.

    `option` is the one that chooses another database; errors name it.

    Raises:
        ConfigError: the file can't be opened, or isn't an orchestrator's database.
    """
    try:
        if database is not None:
            # It holds credentials until their job ends, so no other user may read it.
            os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(database or ":memory:", isolation_level=None, timeout=OPEN_TIMEOUT)
        try:
            # Tables first: another program that creates the database at this moment sets the version before them.
            has_tables = db.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in {0, SCHEMA_VERSION}:
                age = "an older" if version < SCHEMA_VERSION else "a newer"
                raise ConfigError(
                    f"{option}: {database}: created by {age} version, whose jobs this one can't read; move the file "
                    "away, or name another file or folder"
                )
            if version == 0 and has_tables:
                raise ConfigError(f"{option}: {database}: not an orchestrator's database; use another one")
            _apply_schema(db)
            # SQLite's own `lower` knows only ASCII.
            db.create_function("casefold", 1, str.casefold, deterministic=True)
            # From now on `unlocked` waits.
            db.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            db.close()
            raise
    except OSError as error:
        raise ConfigError(f"{option}: {database}: {error.strerror}; {_remedy_of(error.errno)}") from error
    except sqlite3.Error as error:
        raise unusable(database, error, option=option) from error
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """Commit what the block does, or, if it raises, none of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself if, for example, the disk is full.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _apply_schema(db: sqlite3.Connection) -> None:
    give_up = time.monotonic() + OPEN_TIMEOUT
    while True:
        try:
            db.executescript(SCHEMA)
        except sqlite3.OperationalError as error:
            # SQLite doesn't wait for another program that switches to the write-ahead log at this moment.
            if not _is_locked(error) or time.monotonic() >= give_up:
                raise
            time.sleep(LOCK_POLL_INTERVAL)
        else:
            return


def unusable(database: Path | None, error: sqlite3.Error, *, option: str) -> ConfigError:
    """The error for a database that SQLite can't use, with the remedy."""
    remedies = {
        sqlite3.SQLITE_BUSY: "end the process that locks it",
        sqlite3.SQLITE_FULL: "free some space",
        sqlite3.SQLITE_NOTADB: "move it away",
        sqlite3.SQLITE_CORRUPT: "move it away",
    }
    return ConfigError(f"{option}: {database}: {error}; {remedies.get(_primary_code(error), WRITABLE)}")


def _remedy_of(error_number: int | None) -> str:
    return "free some space" if error_number in {errno.ENOSPC, errno.EDQUOT} else WRITABLE


def _is_locked(error: sqlite3.Error) -> bool:
    return _primary_code(error) == sqlite3.SQLITE_BUSY


def _primary_code(error: sqlite3.Error) -> int:
    # The lower byte is the primary code; an error raised by Python's module has none.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
