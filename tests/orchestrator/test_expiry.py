"""Removal of old jobs and of the files that they left."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from trioworker.orchestrator.expiry import ABANDONED_LOCK_AGE, KEPT_SECONDS, remove_expired
from trioworker.orchestrator.job_lock import lock_job
from trioworker.orchestrator.state_files import database_path, lock_path
from trioworker.orchestrator.store import Store
from trioworker.protocol.wire import CompletionReport
from trioworker.worker.state.journal_file import journal_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 24 * 3600.0
UNKNOWN = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(database_path(tmp_path)) as store:
        yield store


def job_of(store: Store, state_dir: Path, *, ended: bool) -> str:
    """A job with an event, a journal and a lock file."""
    job_id = store.create_job("Fix it.", title="Fix").id
    store.add_event(job_id, "status", {"message": "on", "seq": 0})
    store.starts.ask(job_id, "a" * 32)
    if ended:
        store.complete(job_id, CompletionReport(success=True, message="Done.", iterations=1))
    journal_path(state_dir, job_id).write_bytes(b"x")
    lock_path(state_dir, job_id).write_bytes(b"1")
    return job_id


@pytest.mark.parametrize("ended", [True, False])
def test_job_is_removed_with_its_events_and_files_after_30_days(store: Store, tmp_path: Path, ended: bool) -> None:
    job_id = job_of(store, tmp_path, ended=ended)
    remove_expired(store, tmp_path, time.time() + KEPT_SECONDS - DAY)
    assert store.view(job_id) is not None

    remove_expired(store, tmp_path, time.time() + KEPT_SECONDS + DAY)
    assert store.view(job_id) is None
    assert store.events(job_id, 0) == []
    assert not journal_path(tmp_path, job_id).exists()
    assert not lock_path(tmp_path, job_id).exists()


async def test_job_that_runs_is_kept(store: Store, tmp_path: Path) -> None:
    job_id = job_of(store, tmp_path, ended=False)
    lock = await lock_job(tmp_path, job_id)
    assert lock is not None
    with lock:
        remove_expired(store, tmp_path, time.time() + KEPT_SECONDS + DAY)
    assert store.view(job_id) is not None
    assert journal_path(tmp_path, job_id).exists()


def test_files_of_a_job_that_has_ended_are_removed_at_once(store: Store, tmp_path: Path) -> None:
    ended, unfinished = (job_of(store, tmp_path, ended=ended) for ended in (True, False))
    remove_expired(store, tmp_path, time.time())

    assert store.view(ended) is not None
    assert not journal_path(tmp_path, ended).exists()
    assert not lock_path(tmp_path, ended).exists()
    assert journal_path(tmp_path, unfinished).exists()
    assert lock_path(tmp_path, unfinished).exists()


def test_journals_of_other_orchestrators_are_kept(store: Store, tmp_path: Path) -> None:
    journal_path(tmp_path, UNKNOWN).write_bytes(b"x")
    os.utime(journal_path(tmp_path, UNKNOWN), (0, 0))
    remove_expired(store, tmp_path, time.time())

    assert journal_path(tmp_path, UNKNOWN).exists()


def test_a_lock_whose_job_was_never_created_is_removed_after_a_while(store: Store, tmp_path: Path) -> None:
    lock_path(tmp_path, UNKNOWN).write_bytes(b"1")
    remove_expired(store, tmp_path, time.time())
    assert lock_path(tmp_path, UNKNOWN).exists()

    remove_expired(store, tmp_path, time.time() + ABANDONED_LOCK_AGE + 60)
    assert not lock_path(tmp_path, UNKNOWN).exists()


def test_a_locked_database_or_a_file_that_cannot_be_deleted_prevents_nothing(store: Store, tmp_path: Path) -> None:
    blocked = job_of(store, tmp_path, ended=True)
    journal_path(tmp_path, blocked).unlink()
    journal_path(tmp_path, blocked).mkdir()
    other = job_of(store, tmp_path, ended=True)
    remove_expired(store, tmp_path, time.time())
    assert not journal_path(tmp_path, other).exists()

    locked = sqlite3.connect(database_path(tmp_path), isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")
    remove_expired(store, tmp_path, time.time() + KEPT_SECONDS + DAY)
    locked.close()
    assert store.view(other) is not None
