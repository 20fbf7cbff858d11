"""The journal that a worker finds: its own, another job's, in use, or damaged."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio
from starlette.responses import Response

from support.process_invariants import process_violations
from support.program import until
from support.realjob import real_orchestrator
from support.restartable import RestartableJob, restartable_job
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.program import Ended
    from trioworker.orchestrator.store import Store

pytestmark = pytest.mark.integration

BLOCKED = call("shell", command="echo CALL_ID >> log; while [ ! -e go ]; do sleep 0.05; done; echo went")
"""A call that runs until the test creates the file `go`."""


async def test_only_the_user_can_read_the_journal(store: Store, tmp_path: Path) -> None:
    async with real_orchestrator(store, [DONE]) as orchestrator, restartable_job(orchestrator, tmp_path / "job") as job:
        async with job.start() as worker:
            assert (await worker.ended()).code == 0

        assert job.journal.stat().st_mode & 0o777 == 0o600
        assert job.state_dir.stat().st_mode & 0o777 == 0o700


async def test_second_worker_of_a_running_job_is_refused(store: Store, tmp_path: Path) -> None:
    async with (
        real_orchestrator(store, [BLOCKED, DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job") as job,
    ):
        async with job.start() as first:
            await until(lambda: job.lines)
            async with job.start() as second:
                ended = await second.ended()
            assert ended.code == 2
            assert "another worker runs this job" in ended.complaint

            (job.workspace / "go").touch()
            assert (await first.ended()).code == 0
        assert process_violations(job) == []


@pytest.mark.parametrize(
    ("code", "options", "stop"),
    [(0, (), False), (1, ("--max-iterations", "1"), False), (4, (), True)],
    ids=["completed", "failed", "cancelled"],
)
async def test_restart_of_an_ended_job_prints_the_outcome_without_a_request(
    code: int, options: tuple[str, ...], stop: bool, store: Store, tmp_path: Path
) -> None:
    async with (
        real_orchestrator(store, [BLOCKED, DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job") as job,
    ):
        async with job.start(*options) as worker:
            await until(lambda: job.lines)
            if stop:
                worker.signal(signal.SIGTERM)
            else:
                (job.workspace / "go").touch()
            first = await worker.ended()
        assert first.code == code, first.err
        requests, journal = len(job.proxy.requests), job.journal.read_bytes()

        async with job.start(*options) as worker:
            again = await worker.ended()

        assert (again.code, _outcome(again)) == (code, _outcome(first)), again.err
        assert len(job.proxy.requests) == requests
        assert job.journal.read_bytes() == journal
        assert process_violations(job) == []


async def test_unreported_end_is_reported_by_the_next_start(store: Store, tmp_path: Path) -> None:
    is_down = True

    async def unavailable(_: str, path: str) -> Response | None:
        await trio.lowlevel.checkpoint()
        return Response("busy", 503) if is_down and path in {"event", "complete"} else None

    async with (
        real_orchestrator(store, [BLOCKED, DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job") as job,
    ):
        async with job.start("--grace", "1") as worker:
            await until(lambda: job.lines)
            orchestrator.intervene = unavailable
            worker.signal(signal.SIGTERM)
            first = await worker.ended()
        assert first.code == 5, first.err

        is_down = False
        async with job.start() as worker:
            again = await worker.ended()

        assert again.code == 4, again.err
        assert process_violations(job) == []
        assert [event.event_type for event in store.events(job.id, 0)][-1] == "result"


def of_another_job(job: RestartableJob, other: RestartableJob) -> bytes:
    return other.journal.read_bytes()


def of_another_job_and_torn(job: RestartableJob, other: RestartableJob) -> bytes:
    return other.journal.read_bytes() + b"\x10\0\0\0torn"


def of_a_newer_version(job: RestartableJob, other: RestartableJob) -> bytes:
    return other.journal.read_bytes().replace(b"journal 3\n", b"journal 4\n", 1)


def not_a_journal(job: RestartableJob, other: RestartableJob) -> bytes:
    return b"Dear diary,\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (of_another_job, "belongs to job"),
        (of_another_job_and_torn, "belongs to job"),
        (of_a_newer_version, "newer"),
        (not_a_journal, "not a trioworker journal"),
    ],
)
async def test_file_that_is_not_the_jobs_journal_is_refused_and_kept(
    content: Callable[[RestartableJob, RestartableJob], bytes], complaint: str, store: Store, tmp_path: Path
) -> None:
    async with (
        real_orchestrator(store, [DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job") as job,
        restartable_job(orchestrator, tmp_path / "other") as other,
    ):
        async with other.start() as worker:
            assert (await worker.ended()).code == 0
        job.state_dir.mkdir()
        found = content(job, other)
        job.journal.write_bytes(found)

        async with job.start() as worker:
            ended = await worker.ended()

        assert ended.code == 2, ended.err
        assert complaint in ended.complaint
        assert job.journal.read_bytes() == found
        assert job.proxy.requests == []


async def test_torn_tail_is_cut_and_logged(store: Store, tmp_path: Path) -> None:
    async with (
        real_orchestrator(store, [BLOCKED, DONE]) as orchestrator,
        restartable_job(orchestrator, tmp_path / "job") as job,
    ):
        async with job.start() as worker:
            await until(lambda: job.lines)
            worker.signal(signal.SIGKILL)
            await worker.ended()
        whole = job.journal.read_bytes()
        job.journal.write_bytes(whole + whole[-9:])

        (job.workspace / "go").touch()
        async with job.start() as worker:
            ended = await worker.ended()

        assert ended.code == 0, ended.err
        assert "cut off a torn or damaged tail of 9 bytes" in ended.err
        assert job.journal.read_bytes().startswith(whole)
        assert process_violations(job, kills=1) == []
        # The model asked for the killed call again, under another id.
        assert job.lines == ["call_1_1", "call_1_1_1"]


def _outcome(ended: Ended) -> dict[str, object]:
    return {name: value for name, value in ended.outcome.items() if name != "metrics"}
