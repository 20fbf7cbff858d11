"""Lines that become follow-up prompts."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import trio

from trioworker.local.follow_ups import FollowUps
from trioworker.orchestrator.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from trio.testing import MockClock


async def delivered(store: Store, job_id: str, *lines: str, seconds: float = 1.0) -> list[str]:
    """The prompts of a job after lines were added, and some time."""
    follow_ups = FollowUps(store, job_id)
    for line in lines:
        follow_ups.add(line)
    with trio.move_on_after(seconds):
        await follow_ups.run()
    prompts: list[str] = []
    while prompt := store.take_prompt(job_id):
        prompts.append(prompt.content)
    return prompts


async def test_lines_are_delivered_in_order(autojump_clock: MockClock) -> None:
    with Store() as store:
        job = store.create_job("Fix it.", title="Fix")
        assert await delivered(store, job.id, "one", "t\0wo") == ["one", "two"]


async def test_a_line_is_delivered_once_another_process_unlocks_the_database(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    with Store(tmp_path / "jobs.db") as store:
        job = store.create_job("Fix it.", title="Fix")
        other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        async def unlock() -> None:
            await trio.sleep(3)
            other.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(unlock)
            assert await delivered(store, job.id, "one", seconds=5) == ["one"]


async def test_a_line_after_the_end_is_not_delivered_and_says_so(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store() as store:
        job = store.create_job("Fix it.", title="Fix")
        store.cancel(job.id, "stopped")
        assert await delivered(store, job.id, "one") == []
    assert capsys.readouterr().err == "trioworker: the job has ended; the line was not delivered\n"
