"""Copies of one worker: each resumes a copy of one journal, and the orchestrator grants the job to one of them."""

from __future__ import annotations

import shutil
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import trio

from support.program import until
from support.realjob import RealJob, real_orchestrator
from support.restartable import restartable_job
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from pathlib import Path

    from support.program import Ended, Program
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

COPIES = 8
GAP = 0.2
"""Seconds between two starts: some ask for the job at once, some while another one works on it."""
BLOCKED = call("shell", command="echo CALL_ID >> log; while [ ! -e go ]; do sleep 0.05; done")
"""A call that runs until the test creates the file `go`."""
SLOW = call("shell", command="sleep 1; echo CALL_ID >> log")
SUPERSEDED = "superseded: another worker was started for this job; this one stops without a report"
DENIED = "401: the token is wrong, or the job has ended"
"""What a copy is told whose first request comes after the report."""


async def test_eight_copies_of_one_journal_give_one_report(store: Store, tmp_path: Path) -> None:
    async with (
        real_orchestrator(store, [BLOCKED, SLOW, SLOW, DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job") as job,
    ):
        async with job.start() as worker:
            await until(lambda: job.lines)
            worker.signal(signal.SIGKILL)
            await worker.ended()
        (job.workspace / "go").touch()
        folders = [tmp_path / f"state-{number}" for number in range(COPIES)]
        for folder in folders:
            shutil.copytree(job.state_dir, folder)

        async with AsyncExitStack() as stack:
            workers: list[Program] = []
            for folder in folders:
                options = ("--state-dir", str(folder), "--log-level", "error")
                workers.append(await stack.enter_async_context(job.start(*options)))
                await trio.sleep(GAP)
            ended = [await worker.ended() for worker in workers]

        assert sorted(end.code for end in ended) == [0] + [3] * (COPIES - 1), [end.err for end in ended]
        assert [request.path for request in job.proxy.requests if request.status == 200].count("complete") == 1
        assert job.report.success
        complaints = [end.complaint for end in ended if end.code]
        assert all(line.endswith((SUPERSEDED, DENIED)) for line in complaints), complaints
        assert job.survivors() == {}
        assert [event.event_type for event in store.events(job.id, 0)][-1] == "result"


async def test_superseded_worker_ends_its_processes_and_can_be_resumed(store: Store, tmp_path: Path) -> None:
    async with (
        real_orchestrator(store, [BLOCKED, DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job") as job,
    ):
        async with job.start("--log-level", "error") as worker:
            await until(lambda: job.lines)
            store.starts.ask(job.id, "f" * 32)
            ended = await worker.ended()
        assert_superseded(ended, job)
        journal = job.journal.read_bytes()

        (job.workspace / "go").touch()
        async with job.start() as worker:
            again = await worker.ended()
        assert again.code == 0, again.err
        assert job.journal.read_bytes().startswith(journal)
        assert job.report.success


def assert_superseded(ended: Ended, job: RealJob) -> None:
    assert ended.code == 3, ended.err
    assert ended.complaint.endswith(SUPERSEDED)
    assert job.view.report is None
    assert job.survivors() == {}
