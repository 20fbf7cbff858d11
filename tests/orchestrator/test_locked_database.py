"""A database that another process locks, and one that fails."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from orchestrator.serving import ADMIN, Worker, pages_of, serving
from trioworker.errors import ConfigError
from trioworker.orchestrator import database
from trioworker.orchestrator.app import make_app
from trioworker.orchestrator.backends.factory import NoBackend
from trioworker.orchestrator.database import DatabaseLockedError, unlocked
from trioworker.orchestrator.store import Store
from trioworker.protocol.wire import Prompt

if TYPE_CHECKING:
    from pathlib import Path

LOCKED_FOR = 2.0


def locked(path: Path) -> sqlite3.Connection:
    """Another connection, which holds the lock for writers until it is closed."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


async def test_a_locked_database_delays_changes_and_blocks_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with Store(path) as store:
        created = store.create_job("fix it", title="Fix")
        app = make_app(store, NoBackend(), pages_of(store))
        async with serving(app) as url, httpx.AsyncClient(base_url=url, headers=ADMIN, timeout=20.0) as client:
            worker = Worker(client, created.id, created.token)
            statuses: list[int] = []
            longest = 0.0

            async def change() -> None:
                statuses.append((await worker.event(0)).status_code)
                statuses.append((await worker.post("status", {"message": "on", "iteration": 1})).status_code)
                statuses.append((await worker.complete()).status_code)

            async with trio.open_nursery() as nursery:
                with closing(locked(path)):
                    nursery.start_soon(change)
                    until = trio.current_time() + LOCKED_FOR
                    while trio.current_time() < until:
                        began = trio.current_time()
                        assert (await client.get("/health")).status_code == 200
                        assert (await worker.get("job")).status_code == 200
                        longest = max(longest, trio.current_time() - began)
                    assert statuses == []
            assert statuses == [200, 200, 200]
            # SQLite's own wait would have blocked everything for as long as the lock was held.
            assert longest < LOCKED_FOR
        view = store.view(created.id)
        assert view is not None
        assert (view.state, len(store.events(created.id, 0))) == ("completed", 1)


async def test_a_database_that_stays_locked_is_503_and_the_client_may_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_TIMEOUT", 0.2)
    path = tmp_path / "jobs.db"
    with Store(path) as store:
        created = store.create_job("fix it", title="Fix")
        async with serving(make_app(store, NoBackend())) as url, httpx.AsyncClient(base_url=url) as client:
            worker = Worker(client, created.id, created.token)
            with closing(locked(path)):
                refused = await worker.event(0)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.text.startswith("the database failed: another process locks")
            assert (await worker.event(0)).status_code == 200


async def test_a_full_disk_is_503_and_a_later_change_succeeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(tmp_path / "jobs.db") as store:
        created = store.create_job("fix it", title="Fix")
        async with serving(make_app(store, NoBackend())) as url, httpx.AsyncClient(base_url=url) as client:
            worker = Worker(client, created.id, created.token)
            pages = store._db.execute("PRAGMA page_count").fetchone()[0]  # pyright: ignore[reportPrivateUsage]
            store._db.execute(f"PRAGMA max_page_count = {pages}")  # pyright: ignore[reportPrivateUsage]
            for _ in range(3):
                refused = await worker.event(0, message="x" * 100_000)
                assert (refused.status_code, refused.text) == (503, "the database failed: database or disk is full")
            # One notice, not one per retry.
            assert capsys.readouterr().err.count("the database failed: database or disk is full; requests") == 1
            store._db.execute("PRAGMA max_page_count = 1000000")  # pyright: ignore[reportPrivateUsage]
            assert (await worker.event(0, message="x" * 100_000)).status_code == 200
            assert (await worker.complete()).status_code == 200


async def test_a_call_waits_for_the_lock_in_virtual_time(tmp_path: Path, autojump_clock: object) -> None:
    path = tmp_path / "jobs.db"
    with Store(path) as store:
        job = store.create_job("fix it", title="Fix")
        with closing(locked(path)):
            start = trio.current_time()
            with pytest.raises(DatabaseLockedError, match="another process locks the orchestrator's database"):
                await unlocked(store.add_prompt, job.id, Prompt(content="x"))
            assert trio.current_time() - start >= database.LOCK_TIMEOUT
        assert await unlocked(store.add_prompt, job.id, Prompt(content="x"))


def test_a_database_that_is_locked_at_the_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "OPEN_TIMEOUT", 0.1)
    path = tmp_path / "jobs.db"
    Store(path).__exit__()
    with closing(locked(path)), pytest.raises(ConfigError, match="database is locked; end the process that locks it"):
        Store(path)
